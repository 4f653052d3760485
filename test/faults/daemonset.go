package faults

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clocks "k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

const daemonSetKind = "DaemonSet"

var daemonSets = &kind{
	name: daemonSetKind, manifest: "daemonset.yaml", nodes: true, marked: 2, adopts: true,
	blank: func() client.Object { return &v1beta1.DaemonSet{} },
	reconciler: func(ctx context.Context, mgr ctrl.Manager, now clocks.PassiveClock, o workload.Options) (reconcile.Reconciler, error) {
		return daemonset.Options{Options: o}.NewReconciler(ctx, mgr, now)
	},
	template:  func(set client.Object) *corev1.PodTemplateSpec { return &asDaemonSet(set).Spec.Template },
	spec:      func(set client.Object) any { return asDaemonSet(set).Spec },
	setStatus: func(into, from client.Object) { asDaemonSet(into).Status = asDaemonSet(from).Status },
	hooks:     func(set client.Object) *v1beta1.Lifecycle { return asDaemonSet(set).Spec.Lifecycle },
	doom:      func(client.Object, string) {}, // a label does it
	view:      viewOfDaemonSet,
	ended:     daemonSetEnded,
	tallies:   func(t *podset.Tally) { t.UpdatedReady, t.UpdatedAvailable = 0, 0 },
	reported:  daemonSetReported,
	draw:      generator.daemonSet,
	image:     generator.templateImage,
	images:    templateImages,
	person:    generator.daemonPerson,
	resize:    func(g generator) string { return g.nodeIs("gone", "gone", "marked") },
	options:   []string{bindDirectly, pruneIneligible}, odds: 3, share: 3,
	usual:   []string{resizePods, envFromMetadata},
	simpler: simplerDaemonSets,
}

func asDaemonSet(set client.Object) *v1beta1.DaemonSet {
	d, ok := set.(*v1beta1.DaemonSet)
	if !ok {
		panic("not a DaemonSet")
	}
	return d
}

func viewOfDaemonSet(p *process, set client.Object) (*view, error) {
	spec := &asDaemonSet(set).Spec
	owned := workload.Owned{Revisions: cached[*appsv1.ControllerRevision](p.mirrors[kindRevision])}
	about, err := workload.NewDaemonSet(asDaemonSet(set), owned, cached[*corev1.Node](p.mirrors[kindNode]), nil, p.machine.options)
	if err != nil {
		return nil, err
	}
	d, err := about.PerNode(nil)
	if err != nil {
		return nil, err
	}
	desired, excluded := 0, 0
	for _, n := range d.Nodes {
		if n.Runs {
			desired++
		}
		if n.Runs && n.Excluded {
			excluded++
		}
	}
	facts := replica.Options{MinReadySeconds: spec.MinReadySeconds}
	if spec.Lifecycle != nil {
		facts.Hooks = &v1beta1.Lifecycle{PreDelete: spec.Lifecycle.PreDelete}
	}
	return &view{newest: about.Revisions.Update, template: about.Template, wanted: wanted{
		replicas: desired, partition: max(d.Partition, excluded), paused: d.Paused || d.OnDelete, selector: spec.Selector, facts: facts, perNode: d,
	}}, nil
}

func daemonSetReported(set client.Object) reported {
	status := asDaemonSet(set).Status
	r := reported{
		tally:      tallyOf(status.CurrentNumberScheduled, status.NumberReady, status.NumberAvailable, status.UpdatedNumberScheduled, 0, 0),
		generation: status.ObservedGeneration, update: status.UpdateRevision, conditions: map[string]string{},
		failures: []string{string(v1beta1.DaemonSetConditionStalled)},
	}
	for _, c := range status.Conditions {
		r.conditions[string(c.Type)] = c.Message
	}
	return r
}

// daemonSet draws a DaemonSet.
func (g generator) daemonSet() client.Object {
	set := &v1beta1.DaemonSet{}
	spec := &set.Spec
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	spec.Template = g.podTemplate()
	if g.IntN(3) == 0 {
		spec.Template.Spec.NodeSelector = marked()
	}
	if hook := g.hook("preDelete", &spec.Template); hook != nil {
		spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: hook}
	}
	spec.MinReadySeconds = pick[int32](g, 0, 0, 0, 2)
	if g.IntN(4) == 0 {
		spec.BurstReplicas = g.number(1, 3)
	}
	if g.IntN(3) == 0 {
		spec.RevisionHistoryLimit = new(int32(g.IntN(3)))
	}
	spec.ScaleStrategy = &v1beta1.DaemonSetScaleStrategy{PartitionedScaling: g.IntN(4) == 0}
	spec.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{Type: v1beta1.RollingUpdateDaemonSetStrategyType, RollingUpdate: g.nodeStrategy()}
	if g.IntN(12) == 0 {
		spec.UpdateStrategy.Type = v1beta1.OnDeleteDaemonSetStrategyType
	}
	return set
}

// marked are the labels of nodes that a set may ask for.
func marked() map[string]string { return map[string]string{"disk": "ssd"} }

// nodeStrategy draws the parameters of the update, within what the API allows.
func (g generator) nodeStrategy() *v1beta1.RollingUpdateDaemonSet {
	s := &v1beta1.RollingUpdateDaemonSet{
		Type:   pick(g, v1beta1.StandardRollingUpdateType, v1beta1.InplaceRollingUpdateType),
		Paused: new(g.IntN(10) == 0),
	}
	if s.Type == v1beta1.StandardRollingUpdateType && g.IntN(2) == 0 {
		s.MaxUnavailable, s.MaxSurge = new(intstr.FromInt32(0)), g.number(1, 3)
	} else {
		s.MaxUnavailable = g.number(1, 3)
	}
	if g.IntN(3) == 0 {
		s.Partition = g.number(0, 4)
	}
	if g.IntN(5) == 0 {
		s.Selector = &metav1.LabelSelector{MatchLabels: marked()}
	}
	return s
}

// nodeIs draws whether a node is one of some things.
func (g generator) nodeIs(what ...string) string {
	return fmt.Sprintf("%s %d %s", pick(g, "node-is", "node-is-not", "node-is-not"), g.IntN(5), pick(g, what...))
}

// daemonPerson draws what a person does to a DaemonSet alone.
func (g generator) daemonPerson() string {
	switch g.IntN(6) {
	case 0:
		return fmt.Sprintf(`patch {"updateStrategy":{"rollingUpdate":{"maxUnavailable":0,"maxSurge":%d}}}`, 1+g.IntN(3))
	case 1:
		return `patch {"updateStrategy":{"rollingUpdate":{"maxUnavailable":1,"maxSurge":0}}}`
	case 2, 3:
		return g.nodeIs("cordoned", "tainted", "silent", "full")
	default:
		return pick(g, "delete ", "pin ") + g.somePod()
	}
}

// simplerDaemonSets are parts of a DaemonSet that may have nothing to do with a failure.
var simplerDaemonSets = []func(client.Object){
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.Lifecycle = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.Template.Spec.NodeSelector = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.ScaleStrategy = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.BurstReplicas = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy.RollingUpdate.Selector = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{} }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.RevisionHistoryLimit = nil }),
	daemonSetPart(func(s *v1beta1.DaemonSetSpec) { s.MinReadySeconds = 0 }),
}

func daemonSetPart(simplify func(*v1beta1.DaemonSetSpec)) func(client.Object) {
	return func(set client.Object) { simplify(&asDaemonSet(set).Spec) }
}

// daemonSetEnded checks that no node has two pods, and none is without one that is not kept so.
func daemonSetEnded(m *machine, v *view) {
	pods := map[string]string{}
	for _, r := range v.pods {
		if other := pods[r.Node]; r.Active() && other != "" {
			m.brokenf("pods %s and %s share node %s in the end", r.Name, other, r.Node)
		}
		if r.Active() {
			pods[r.Node] = r.Name
		}
	}
	c := m.census(v)
	if want := v.wanted.perNode; c.Held > 0 && (!want.PartitionedScaling || c.Renewable(want) > 0) {
		m.brokenf("%d nodes are without a pod in the end:\n%s", c.Held, m.describe())
	}
}
