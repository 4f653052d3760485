package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// everywhere is on how many nodes DaemonSets of the stories run: the real ones but for the spare one, and one that is played.
	everywhere = 3
	// playedNode is a node whose kubelet is played, and played the taint that keeps all but DaemonSets off it.
	playedNode = "sim-1"
	played     = "e2e.kruise.io/played"
	// leavingNode is another one, which has only the pod of the story in which it leaves the cluster; leaving keeps others off.
	leavingNode = "sim-2"
	leaving     = "e2e.kruise.io/leaving"
)

// walkThroughDaemonSet types what docs/tasks/daemonset.md says and reads what a user reads.
func walkThroughDaemonSet(s *space) {
	const there = 2 // real nodes without a taint
	kubectl := s.shell(root)
	s.watch(&v1beta1.DaemonSet{})
	s.prints(kubectl("apply", "-f", "docs/tasks/daemonset/daemonset.yaml"), "daemonset.apps.kruise.io/agent created")
	s.untilOnNodes("agent", there)
	s.rows(kubectl("get", "ads"), "NAME DESIRED CURRENT READY UP-TO-DATE AVAILABLE AGE", "agent 2 2 2 2 2")

	before := s.podsNow("agent")
	end := s.guard("agent", serving(there-1), existing(there))
	s.prints(kubectl("patch", "ads", "agent", "--type=json", "-p", imagePatch("1.10.3")), "daemonset.apps.kruise.io/agent patched")
	s.prints(kubectl("wait", "--for=jsonpath={.status.updatedNumberScheduled}=2", "ads/agent", "--timeout=3m"), "daemonset.apps.kruise.io/agent condition met")
	s.untilOnNodes("agent", there)
	end()
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("agent")))
	s.restartedOnce(s.podsNow("agent"))
	said := kubectl("get", "ads", "agent", "-o", `jsonpath={.status.conditions[?(@.type=="Progressing")].message}`)
	s.Logf("the condition says %q", said)

	asked := before[0]
	s.prints(kubectl("label", "pod", asked.Name, "apps.kruise.io/specified-delete=true"), "pod/"+asked.Name+" labeled")
	s.untilGone("agent", asked)
	s.untilOnNodes("agent", there)
	s.untilEvent("SuccessfulDelete", asked.Name)
	if events := kubectl("describe", "ads", "agent"); !strings.Contains(events, "SuccessfulUpdatePodInPlace") || !strings.Contains(events, "SuccessfulDelete") {
		s.Errorf("kubectl describe does not tell of the updates and of the pod that was asked to go:\n%s", events)
	}
	s.prints(kubectl("delete", "ads", "agent"), `daemonset.apps.kruise.io "agent" deleted from `+s.name+" namespace")
	s.untilLeft("agent", 0)
	s.takesOver(kubectl, "DaemonSet", "", there)
}

// beginOnNodes makes a DaemonSet of the demo server, changed as asked. Without a change it updates one node at a time and recreates
// pods.
func (s *space) beginOnNodes(name string, changes ...func(*v1beta1.DaemonSet)) {
	s.Helper()
	s.watch(&v1beta1.DaemonSet{})
	labels := map[string]string{app: name}
	set := &v1beta1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.DaemonSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					Containers:  []corev1.Container{{Name: app, Image: demo("1.10.2")}},
					Tolerations: []corev1.Toleration{{Key: played, Operator: corev1.TolerationOpExists}},
				},
			},
		},
	}
	for _, change := range changes {
		change(set)
	}
	s.create(set)
}

func rolling(change func(*v1beta1.RollingUpdateDaemonSet)) func(*v1beta1.DaemonSet) {
	return func(set *v1beta1.DaemonSet) {
		set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateDaemonSet{}
		change(set.Spec.UpdateStrategy.RollingUpdate)
	}
}

func nodeImage(tag string) func(*v1beta1.DaemonSet) {
	return func(set *v1beta1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = demo(tag) }
}

// onNodes is a DaemonSet as the watch told it last.
func (s *space) onNodes(name string) *v1beta1.DaemonSet {
	s.Helper()
	set := &v1beta1.DaemonSet{}
	if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, set); client.IgnoreNotFound(err) != nil {
		s.Fatalf("looking at the DaemonSet %s: %v", name, err)
	}
	return set
}

// untilOnNodes waits until a DaemonSet, as it is now wanted, has one pod on each of so many nodes, updated and available.
func (s *space) untilOnNodes(name string, nodes int32) {
	s.Helper()
	wanted := &v1beta1.DaemonSet{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, wanted); err != nil {
		s.Fatalf("looking at the DaemonSet %s: %v", name, err)
	}
	s.until(fmt.Sprintf("the DaemonSet %s is as wanted in generation %d", name, wanted.Generation), func() string {
		status := s.onNodes(name).Status
		if status.ObservedGeneration < wanted.Generation || status.DesiredNumberScheduled != nodes || status.CurrentNumberScheduled != nodes ||
			status.UpdatedNumberScheduled != nodes || status.NumberAvailable != nodes || status.NumberMisscheduled != 0 || len(s.pods(name)) != int(nodes) {
			return s.describeOnNodes(name)
		}
		return ""
	})
}

func (s *space) describeOnNodes(name string) string {
	s.Helper()
	set := s.onNodes(name)
	text := fmt.Sprintf("DaemonSet %s: generation %d, status %+v", name, set.Generation, set.Status)
	for _, pod := range s.pods(name) {
		text += "\n  " + describePod(pod)
	}
	return text
}

// onePerNode is the rule that each of so many nodes has a pod that is ready, and no node more than two.
func onePerNode(nodes int) rule {
	return func(pods []*corev1.Pod) string {
		ready, all := map[string]bool{}, map[string]int{}
		for _, pod := range pods {
			all[pod.Spec.NodeName]++
			if pod.Spec.NodeName != "" && all[pod.Spec.NodeName] > 2 {
				return fmt.Sprintf("node %s has more than 2 pods", pod.Spec.NodeName)
			}
			if pod.DeletionTimestamp == nil && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue {
				ready[pod.Spec.NodeName] = true
			}
		}
		return within("(one on each node) are ready", len(ready), nodes, nodes)
	}
}

// surgesOnNodes has a new pod beside the old one on each node until the new one is ready.
func surgesOnNodes(s *space) {
	s.beginOnNodes("surge", rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.MaxUnavailable, r.MaxSurge = new(intstr.FromInt32(0)), new(intstr.FromInt32(1))
	}))
	s.untilOnNodes("surge", everywhere)
	first := s.podsNow("surge")
	end := s.guard("surge", onePerNode(everywhere))
	edit(s, "surge", &v1beta1.DaemonSet{}, nodeImage("1.10.3"))
	s.untilOnNodes("surge", everywhere)
	end()
	s.untilGone("surge", first...)
	s.same("the images", map[string]int{"1.10.3": everywhere}, tags(s.podsNow("surge")))
}

// inPlaceOnNodes updates the pods of two nodes at a time in place.
func inPlaceOnNodes(s *space) {
	s.beginOnNodes("agent", rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.Type, r.MaxUnavailable = v1beta1.InplaceRollingUpdateType, new(intstr.FromInt32(2))
	}))
	s.untilOnNodes("agent", everywhere)
	before := s.podsNow("agent")
	end := s.guard("agent", serving(everywhere-2), existing(everywhere))
	edit(s, "agent", &v1beta1.DaemonSet{}, nodeImage("1.10.3"))
	s.untilOnNodes("agent", everywhere)
	end()
	after := s.podsNow("agent")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
}

// badImageOnNodes stops at as many nodes as may be away.
func badImageOnNodes(s *space) {
	s.beginOnNodes("halt", rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.MaxUnavailable = new(intstr.FromInt32(1)) }))
	s.untilOnNodes("halt", everywhere)
	end := s.guard("halt", ready(everywhere-1), changed("no-such-tag", 1))
	edit(s, "halt", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) {
		nodeImage("no-such-tag")(set)
		// Where kubelets are played every image can be pulled, so the update begins at a real one.
		set.Spec.UpdateStrategy.RollingUpdate.Selector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "type", Operator: metav1.LabelSelectorOpDoesNotExist},
		}}
	})
	s.until("the status says that a node is without a pod, and a pod cannot pull its image", func() string {
		for _, pod := range s.pods("halt") {
			waiting := containerOf(pod, app).State.Waiting
			if waiting != nil && strings.Contains(waiting.Reason, "ImagePull") && s.onNodes("halt").Status.NumberUnavailable == 1 {
				return ""
			}
		}
		return s.describeOnNodes("halt")
	})
	edit(s, "halt", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) {
		nodeImage("1.10.3")(set)
		set.Spec.UpdateStrategy.RollingUpdate.Selector = nil
	})
	s.untilOnNodes("halt", everywhere)
	end()
	s.same("the images", map[string]int{"1.10.3": everywhere}, tags(s.podsNow("halt")))
}

// heldOnNodes replaces a pod that a hook holds, of a DaemonSet that leaves a node without a pod until its partition is lowered.
func heldOnNodes(s *space) {
	s.beginOnNodes("held", rolling(func(r *v1beta1.RollingUpdateDaemonSet) { r.Partition = new(intstr.FromInt32(1)) }), func(set *v1beta1.DaemonSet) {
		set.Spec.ScaleStrategy = &v1beta1.DaemonSetScaleStrategy{PartitionedScaling: true}
		set.Spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: labelHook()}
		set.Spec.Template.Labels[inUse] = "yes"
	})
	s.until("all nodes but one have a pod that is available, and the status says so", func() string {
		status := s.onNodes("held").Status
		if status.DesiredNumberScheduled != everywhere || status.NumberAvailable != everywhere-1 || len(s.pods("held")) != everywhere-1 {
			return s.describeOnNodes("held")
		}
		return ""
	})
	edit(s, "held", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) {
		set.Spec.UpdateStrategy.RollingUpdate.Partition = new(intstr.FromInt32(0))
	})
	s.untilOnNodes("held", everywhere)
	before := s.podsNow("held")
	at := slices.IndexFunc(before, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != playedNode })
	asked := before[at]
	s.label(asked, v1beta1.SpecifiedDeleteKey, "true")
	held := s.untilState("held", v1beta1.LifecycleStatePreparingDelete)
	s.same("the pod that prepares to go", asked.Name, held.Name)
	s.untilOutOfService(held, `{"userAgent":"Lifecycle","key":"preDeleteHook"}`)
	s.until("the status says that a node is without an available pod, and why", func() string {
		set := s.onNodes("held")
		if set.Status.NumberUnavailable != 1 || !strings.Contains(progressOnNodes(set).Message, "preDelete hook of "+held.Name) {
			return s.describeOnNodes("held")
		}
		return ""
	})
	s.same("the pods while one is held", s.identities(before), s.identities(s.podsNow("held")))
	s.label(held, inUse, "")
	s.untilGone("held", held)
	s.untilOnNodes("held", everywhere)
	left := without(held, before)
	kept := s.identities(s.podsNow("held"))
	maps.DeleteFunc(kept, func(_ string, pod identity) bool { return pod.Node == held.Spec.NodeName })
	s.same("the other pods", s.identities(left), kept)
}

// progressOnNodes is the condition that says how far a DaemonSet is.
func progressOnNodes(set *v1beta1.DaemonSet) v1beta1.DaemonSetCondition {
	for _, condition := range set.Status.Conditions {
		if condition.Type == v1beta1.DaemonSetConditionProgressing {
			return condition
		}
	}
	return v1beta1.DaemonSetCondition{Reason: "none"}
}

// nodeGoneAndBack takes a node out of the cluster and puts it back. What ran there is deleted at once, as by somebody who knows that the
// machine is gone; Kubernetes does the same a minute later.
func nodeGoneAndBack(s *space) {
	s.beginOnNodes("return", tolerating(leaving))
	s.untilOnNodes("return", everywhere+1)
	before, lost := s.podsNow("return"), s.onNode("return", leavingNode)
	node := &corev1.Node{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Name: leavingNode}, node); err != nil {
		s.Fatal(err)
	}
	back := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: node.Name, Labels: node.Labels, Annotations: node.Annotations}, Spec: node.Spec, Status: node.Status,
	}
	if err := s.client.Delete(s.Context(), node); err != nil {
		s.Fatal(err)
	}
	s.until("the status counts the other nodes alone", func() string {
		status := s.onNodes("return").Status
		if status.DesiredNumberScheduled != everywhere || status.NumberAvailable != everywhere || status.NumberMisscheduled != 0 {
			return s.describeOnNodes("return")
		}
		return ""
	})
	end := s.guard("return", existing(everywhere+1))
	if err := s.client.Delete(s.Context(), lost, client.GracePeriodSeconds(0)); client.IgnoreNotFound(err) != nil { // Kubernetes may be first
		s.Fatal(err)
	}
	s.untilGone("return", lost)
	edit(s, "return", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) { set.Spec.RevisionHistoryLimit = new(int32(5)) }) // to hear that it has looked again
	s.untilOnNodes("return", everywhere)
	if err := s.client.Create(s.Context(), back); err != nil {
		s.Fatal(err)
	}
	s.untilOnNodes("return", everywhere+1)
	end()
	if fresh := s.onNode("return", leavingNode); fresh.UID == lost.UID {
		s.Errorf("the node that is back has its old pod: %s", describePod(fresh))
	}
	kept, after := s.identities(before), s.identities(s.podsNow("return"))
	for _, pods := range []map[string]identity{kept, after} {
		maps.DeleteFunc(pods, func(_ string, pod identity) bool { return pod.Node == leavingNode })
	}
	s.same("the pods on the other nodes", kept, after)
}

// daemonsWait changes the image of a DaemonSet that has a pod on the spare node, while nobody hears of that node: it is none that
// is to have a pod, and counts as one without. The function that it returns is for when the node is back.
func (s *space) daemonsWait(name string) (back func()) {
	s.Helper()
	end := s.guard(name, changed("1.10.3", 0))
	generation := edit(s, name, &v1beta1.DaemonSet{}, nodeImage("1.10.3")).Generation
	s.until("the update of the DaemonSet waits for the node that is lost", func() string {
		set := s.onNodes(name)
		if set.Status.ObservedGeneration < generation || set.Status.NumberMisscheduled != 1 || !strings.Contains(progressOnNodes(set).Message, "maxUnavailable is 1") {
			return s.describeOnNodes(name)
		}
		return ""
	})
	s.Logf("the DaemonSet says: %s", progressOnNodes(s.onNodes(name)).Message)
	end()
	return func() {
		s.untilOnNodes(name, everywhere+1)
		s.same("the images of the DaemonSet", map[string]int{"1.10.3": everywhere + 1}, tags(s.podsNow(name)))
	}
}

// tolerating lets pods of a DaemonSet run on nodes that a taint keeps for others.
func tolerating(taint string) func(*v1beta1.DaemonSet) {
	return func(set *v1beta1.DaemonSet) {
		spec := &set.Spec.Template.Spec
		spec.Tolerations = append(spec.Tolerations, corev1.Toleration{Key: taint, Operator: corev1.TolerationOpExists})
	}
}
