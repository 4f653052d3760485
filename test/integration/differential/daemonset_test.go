package differential

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/test/integration/stepped"
)

// nodes is how many nodes each case has.
const nodes = 4

// place is the label of the nodes of a case, with its namespace as value; role is the one that is put on and taken off.
const (
	place = "differential/place"
	role  = "differential/role"
)

// nodeSpec is what both DaemonSets are told.
type nodeSpec struct {
	namespace                string
	image, env, track        string
	maxUnavailable, maxSurge intstr.IntOrString
	onDelete, byRole         bool
	// byAffinity asks for the role in an affinity, and not in a selector of nodes.
	byAffinity bool
	tolerates  corev1.TaintEffect
}

func TestDaemonSetsOfBothGroupsComeToTheSameEnd(t *testing.T) {
	server.RunControllers(t, "daemonset-controller")
	play(t, func(t *testing.T, seed int) {
		t.Helper()
		c := nodeCases().Example(seed)
		t.Logf("%+v\n%v", c.spec, c.moves)
		w := stepped.New(t, server, daemonset.Options{}.NewReconciler,
			&v1beta1.DaemonSetList{}, &corev1.NodeList{}, &corev1.PodList{}, &appsv1.ControllerRevisionList{})
		c.spec.namespace = w.Namespace
		makeNodes(w)
		meet(w, c.spec, nativeDaemonSet(), ourDaemonSet()).play(c.moves)
	})
}

// makeNodes makes the nodes of a case, which are there until it ends.
func makeNodes(w *stepped.World) {
	w.Helper()
	for i := range nodes {
		bringNode(w, i)
		w.Cleanup(func() { dropNode(context.WithoutCancel(w.Context()), w, i) })
	}
}

// bringNode makes a node, unless it is there.
func bringNode(w *stepped.World, i int) {
	w.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name: nodeName(w.Namespace, i), Labels: map[string]string{place: w.Namespace, role: "yes"},
	}}
	err := w.API.Create(w.Context(), node)
	if apierrors.IsAlreadyExists(err) {
		return
	}
	if err != nil {
		w.Fatal(err)
	}
	// The API server takes a new node for one that is not ready.
	changeNode(w, i, func(node *corev1.Node) { node.Spec.Taints = nil })
}

// dropNode removes a node, if it is there.
func dropNode(ctx context.Context, w *stepped.World, i int) {
	w.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName(w.Namespace, i)}}
	if err := w.API.Delete(ctx, node); client.IgnoreNotFound(err) != nil {
		w.Errorf("removing a node: %v", err)
	}
}

func nodeName(namespace string, i int) string { return fmt.Sprintf("%s-%d", namespace, i) }

// changeNode changes a node, if it is there.
func changeNode(w *stepped.World, i int, change func(*corev1.Node)) {
	w.Helper()
	node := &corev1.Node{}
	err := w.API.Get(w.Context(), client.ObjectKey{Name: nodeName(w.Namespace, i)}, node)
	if apierrors.IsNotFound(err) {
		return
	}
	if err != nil {
		w.Fatal(err)
	}
	before := node.DeepCopy()
	change(node)
	if err := w.API.Patch(w.Context(), node, client.MergeFrom(before)); err != nil {
		w.Fatal(err)
	}
}

// nodeCase is a spec to begin with, and the moves.
type nodeCase struct {
	spec  nodeSpec
	moves []move[nodeSpec]
}

// pace is when moves are made, and which.
type pace struct {
	// calm has each move made once both have come to their end with the one before. Otherwise moves come as they like.
	calm bool
	// repelling has nodes get the taint that keeps new pods off and lets old ones stay. Which pods are old depends on the timing, so
	// such cases are calm. What an update does with them differs, so the template stays or nothing is updated.
	repelling, fixed bool
}

// nodeCases makes up cases.
func nodeCases() *rapid.Generator[nodeCase] {
	return rapid.Custom(func(t *rapid.T) nodeCase {
		c := nodeCase{spec: nodeSpec{image: "a:1", env: "1", track: "stable", byRole: rapid.Bool().Draw(t, "by role")}}
		c.spec.byAffinity = c.spec.byRole && rapid.Bool().Draw(t, "by affinity")
		c.spec.tolerates = rapid.SampledFrom([]corev1.TaintEffect{"", corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute}).Draw(t, "tolerates")
		nodeBudgets().Draw(t, "budget").change(&c.spec)
		p := pace{calm: rapid.Bool().Draw(t, "calm")}
		c.spec.onDelete = p.calm && rapid.IntRange(0, 3).Draw(t, "on delete") == 0
		p.repelling = p.calm && rapid.Bool().Draw(t, "repelling")
		p.fixed = p.repelling && !c.spec.onDelete
		c.moves = rapid.SliceOfN(nodeMoves(p), 3, 7).Draw(t, "moves")
		if p.calm {
			c.moves = calmly(c.moves)
		}
		c.moves = append(c.moves, move[nodeSpec]{words: "an image that can be pulled", all: true, change: func(s *nodeSpec) {
			if s.image == brokenImage {
				s.image = "a:4"
			}
		}})
		return c
	})
}

func nodeBudgets() *rapid.Generator[move[nodeSpec]] {
	return rapid.Map(rapid.SampledFrom([][2]string{{"1", "0"}, {"2", "0"}, {"34%", "0"}, {"100%", "0"}, {"0", "1"}, {"0", "50%"}, {"0", "100%"}}),
		func(b [2]string) move[nodeSpec] {
			return move[nodeSpec]{words: fmt.Sprintf("maxUnavailable %s, maxSurge %s", b[0], b[1]), change: func(s *nodeSpec) {
				s.maxUnavailable, s.maxSurge = intstr.Parse(b[0]), intstr.Parse(b[1])
			}}
		})
}

func nodeMoves(p pace) *rapid.Generator[move[nodeSpec]] {
	taints := []corev1.TaintEffect{"", "", corev1.TaintEffectNoExecute}
	images := []string{"a:1", "a:2", "a:3", brokenImage}
	if p.calm {
		images = images[:3]
	}
	if p.repelling {
		taints = append(taints, corev1.TaintEffectNoSchedule)
	}
	kinds := []string{"budget", "delete", "cordon", "taint", "taint", "silent", "role", "there", "there"}
	if !p.fixed {
		kinds = append(kinds, "image", "image", "label")
	}
	return rapid.Custom(func(t *rapid.T) move[nodeSpec] {
		i := rapid.IntRange(0, nodes-1).Draw(t, "node")
		onNode := func(words string, change func(*corev1.Node)) move[nodeSpec] {
			return move[nodeSpec]{words: fmt.Sprintf("node %d %s", i, words), world: func(r *rivals[nodeSpec]) {
				changeNode(r.World, i, change)
				r.nudge()
			}}
		}
		var m move[nodeSpec]
		switch rapid.SampledFrom(kinds).Draw(t, "kind") {
		case "image":
			image := rapid.SampledFrom(images).Draw(t, "image")
			m = move[nodeSpec]{words: "image " + image, change: func(s *nodeSpec) { s.image = image }}
		case "label":
			value := rapid.SampledFrom([]string{"1", "2"}).Draw(t, "value")
			m = move[nodeSpec]{words: "track " + value, change: func(s *nodeSpec) { s.track = value }}
		case "budget":
			m = nodeBudgets().Draw(t, "budget")
		case "delete":
			m = move[nodeSpec]{words: fmt.Sprintf("delete the pods on node %d", i), world: func(r *rivals[nodeSpec]) {
				r.deletePods(func(_ string, pod *corev1.Pod) bool { return pod.Spec.NodeName == nodeName(r.Namespace, i) })
			}}
		case "cordon":
			cordoned := rapid.Bool().Draw(t, "cordoned")
			m = onNode(fmt.Sprintf("cordoned %t", cordoned), func(node *corev1.Node) { node.Spec.Unschedulable = cordoned })
		case "taint":
			effect := rapid.SampledFrom(taints).Draw(t, "effect")
			m = onNode("tainted "+string(effect), func(node *corev1.Node) {
				node.Spec.Taints = nil
				if effect != "" {
					node.Spec.Taints = []corev1.Taint{{Key: "differential/taint", Effect: effect}}
				}
			})
		case "silent": // which pods of a DaemonSet tolerate
			silent := rapid.SampledFrom([]string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable, ""}).Draw(t, "silent")
			m = onNode("tainted as a silent node is: "+silent, func(node *corev1.Node) {
				node.Spec.Taints = nil
				if silent != "" {
					node.Spec.Taints = []corev1.Taint{{Key: silent, Effect: corev1.TaintEffectNoExecute}}
				}
			})
		case "there":
			there := rapid.Bool().Draw(t, "there")
			m = move[nodeSpec]{words: fmt.Sprintf("node %d is there: %t", i, there), world: func(r *rivals[nodeSpec]) {
				if there {
					bringNode(r.World, i)
				} else {
					dropNode(r.Context(), r.World, i)
					loseNode(r, nodeName(r.Namespace, i))
				}
				r.nudge()
			}}
		case "role":
			has := rapid.Bool().Draw(t, "has the role")
			m = onNode(fmt.Sprintf("has the role %t", has), func(node *corev1.Node) {
				delete(node.Labels, role)
				if has {
					node.Labels[role] = "yes"
				}
			})
		}
		m.turns = rapid.IntRange(0, 4).Draw(t, "turns")
		return m
	})
}

// loseNode ends the pods of a node that is gone, as the collector of such pods does.
func loseNode(r *rivals[nodeSpec], name string) {
	r.Helper()
	for _, pod := range r.Pods() {
		if pod.Spec.NodeName == name {
			r.Vanish(pod.Name)
		}
	}
}

// template is the pod template of a DaemonSet of this name.
func (s nodeSpec) template(name string) corev1.PodTemplateSpec {
	t := look{image: s.image, env: s.env, track: s.track}.template()
	t.Labels["app"] = name
	t.Spec.NodeSelector = map[string]string{place: s.namespace}
	switch {
	case s.byAffinity:
		t.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: role, Operator: corev1.NodeSelectorOpIn, Values: []string{"yes", "perhaps"}}},
			}}},
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 1, Preference: corev1.NodeSelectorTerm{
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: place, Operator: corev1.NodeSelectorOpExists}},
			}}},
		}}
	case s.byRole:
		t.Spec.NodeSelector[role] = "yes"
	}
	if s.tolerates != "" {
		t.Spec.Tolerations = []corev1.Toleration{{Key: "differential/taint", Operator: corev1.TolerationOpExists, Effect: s.tolerates}}
	}
	return t
}

func nativeDaemonSet() side[nodeSpec] {
	return side[nodeSpec]{
		name:  native,
		empty: func() client.Object { return &appsv1.DaemonSet{} },
		into: func(s nodeSpec, object client.Object) {
			set := object.(*appsv1.DaemonSet)
			set.Spec.Template = s.template(native)
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": native}}
			set.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{Type: appsv1.OnDeleteDaemonSetStrategyType}
			if !s.onDelete {
				set.Spec.UpdateStrategy = appsv1.DaemonSetUpdateStrategy{
					Type:          appsv1.RollingUpdateDaemonSetStrategyType,
					RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: &s.maxUnavailable, MaxSurge: &s.maxSurge},
				}
			}
		},
		observed: func(object client.Object) int64 { return object.(*appsv1.DaemonSet).Status.ObservedGeneration },
		end: func(object client.Object, pods []corev1.Pod, s nodeSpec) (any, bool) {
			st := object.(*appsv1.DaemonSet).Status
			return nodeEnd(pods, s.template(native), s.onDelete, nodeOutcome{
				Desired: st.DesiredNumberScheduled, Current: st.CurrentNumberScheduled, Misscheduled: st.NumberMisscheduled, Ready: st.NumberReady,
				Available: st.NumberAvailable, Unavailable: st.NumberUnavailable, Updated: st.UpdatedNumberScheduled,
			})
		},
	}
}

func ourDaemonSet() side[nodeSpec] {
	return side[nodeSpec]{
		name:  ours,
		empty: func() client.Object { return &v1beta1.DaemonSet{} },
		into: func(s nodeSpec, object client.Object) {
			set := object.(*v1beta1.DaemonSet)
			set.Spec.Template = s.template(ours)
			set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": ours}}
			set.Spec.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{Type: v1beta1.OnDeleteDaemonSetStrategyType}
			if !s.onDelete {
				set.Spec.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{
					Type:          v1beta1.RollingUpdateDaemonSetStrategyType,
					RollingUpdate: &v1beta1.RollingUpdateDaemonSet{MaxUnavailable: &s.maxUnavailable, MaxSurge: &s.maxSurge},
				}
			}
		},
		observed: func(object client.Object) int64 { return object.(*v1beta1.DaemonSet).Status.ObservedGeneration },
		end: func(object client.Object, pods []corev1.Pod, s nodeSpec) (any, bool) {
			st := object.(*v1beta1.DaemonSet).Status
			return nodeEnd(pods, s.template(ours), s.onDelete, nodeOutcome{
				Desired: st.DesiredNumberScheduled, Current: st.CurrentNumberScheduled, Misscheduled: st.NumberMisscheduled, Ready: st.NumberReady,
				Available: st.NumberAvailable, Unavailable: st.NumberUnavailable, Updated: st.UpdatedNumberScheduled,
			})
		},
	}
}

// nodeOutcome is what users see of a DaemonSet.
type nodeOutcome struct {
	// Pods are the labels and specs of the pods by node, without what each controller adds for itself.
	Pods map[string][]podView
	// Desired and those below are the counts of the status.
	Desired, Current, Misscheduled, Ready, Available, Unavailable, Updated int32
}

// nodeEnd adds the pods to an outcome, and says whether it is the end.
func nodeEnd(pods []corev1.Pod, template corev1.PodTemplateSpec, onDelete bool, o nodeOutcome) (any, bool) {
	complete := o.Current == o.Desired && o.Ready == o.Desired && o.Available == o.Desired && o.Unavailable == 0
	o.Pods = map[string][]podView{}
	for i, view := range views(pods) {
		node := view.Spec.NodeName
		slices.SortFunc(view.Spec.Tolerations, func(a, b corev1.Toleration) int { return cmp.Compare(a.String(), b.String()) })
		o.Pods[node] = append(o.Pods[node], view)
		complete = complete && pods[i].DeletionTimestamp == nil && (onDelete || asTold(&pods[i], template)) && len(o.Pods[node]) == 1
	}
	return o, complete
}
