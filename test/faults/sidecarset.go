package faults

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clocks "k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/sidecarset"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/sidecar"
	"kruise.io/kruise/plan/workload"
)

const sidecarSetKind = "SidecarSet"

// The sidecars of a SidecarSet, of which only the first is always there, and the image of a twin of the hot one that is idle.
const (
	cold, hot, native = "cold", "hot", "native"
	idleImage         = "idle:1"
)

// ownNamespace is that of the manager.
const ownNamespace = "kruise-system"

var sidecarSets = &kind{
	name: sidecarSetKind, manifest: "sidecarset.yaml", guests: true,
	blank: func() client.Object { return &v1beta1.SidecarSet{} },
	reconciler: func(ctx context.Context, mgr ctrl.Manager, now clocks.PassiveClock, _ workload.Options) (reconcile.Reconciler, error) {
		return sidecarset.Options{Namespace: ownNamespace}.NewReconciler(ctx, mgr, now)
	},
	admit:     admitSidecarSet,
	container: containerOfSidecarSet,
	spec:      func(set client.Object) any { return asSidecarSet(set).Spec },
	setStatus: func(into, from client.Object) { asSidecarSet(into).Status = asSidecarSet(from).Status },
	doom:      func(client.Object, string) {}, // none of the pods is its own
	view:      viewOfSidecarSet,
	written:   guestWritten,
	ended:     sidecarSetEnded,
	tallies:   func(t *podset.Tally) { t.Available, t.UpdatedReady = 0, 0 },
	reported:  sidecarSetReported,
	draw:      generator.sidecarSet,
	opening:   func(g generator) []string { return []string{fmt.Sprintf("come %d", g.IntN(6))} },
	image:     generator.sidecarImage,
	images:    []string{"side:2", "side:3", "main:1"},
	person:    generator.sidecarPerson,
	resize:    func(g generator) string { return g.comes() },
	share:     4,
	simpler:   simplerSidecarSets,
}

func asSidecarSet(set client.Object) *v1beta1.SidecarSet {
	s, ok := set.(*v1beta1.SidecarSet)
	if !ok {
		panic("not a SidecarSet")
	}
	return s
}

func admitSidecarSet(set, old client.Object) error {
	if old == nil {
		return sidecar.Stamp(asSidecarSet(set), nil)
	}
	return sidecar.Stamp(asSidecarSet(set), asSidecarSet(old))
}

func containerOfSidecarSet(set client.Object, name string) *corev1.Container {
	spec := &asSidecarSet(set).Spec
	for _, list := range [][]v1beta1.SidecarContainer{spec.Containers, spec.InitContainers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i].Container
			}
		}
	}
	return nil
}

func viewOfSidecarSet(p *process, set client.Object) (*view, error) {
	in := workload.Injected{Namespace: ownNamespace, NamespaceLabels: func(string) map[string]string {
		for _, n := range cached[*metav1.PartialObjectMetadata](p.mirrors[kindNamespace]) {
			return n.Labels
		}
		return nil
	}}
	for _, pod := range cached[*corev1.Pod](p.mirrors[kindPod]) {
		if sidecar.Injected(pod, set.GetName()) {
			in.Pods = append(in.Pods, pod)
		}
	}
	for _, r := range cached[*appsv1.ControllerRevision](p.mirrors[kindRevision]) {
		if ours(r, set.GetUID()) {
			in.Revisions = append(in.Revisions, r)
		}
	}
	about, err := workload.NewSidecarSet(asSidecarSet(set), in)
	if err != nil {
		return nil, err
	}
	facts := about.Replicas(p.began)
	want, err := about.Sidecars(facts)
	if err != nil {
		return nil, err
	}
	v := &view{newest: about.Update, pods: map[types.UID]*replica.Replica{}, selected: map[types.UID]bool{}}
	v.wanted = wanted{partition: want.Partition, paused: want.Paused || want.NotUpdate, sidecars: want}
	for i := range facts {
		v.pods[facts[i].UID], v.selected[facts[i].UID] = &facts[i], true
	}
	return v, nil
}

func sidecarSetReported(set client.Object) reported {
	status := asSidecarSet(set).Status
	r := reported{
		tally:      podset.Tally{Replicas: int(status.MatchedPods), Ready: int(status.ReadyPods), Updated: int(status.UpdatedPods), UpdatedAvailable: int(status.UpdatedReadyPods)},
		generation: status.ObservedGeneration, update: status.LatestRevision, conditions: map[string]string{},
		failures: []string{v1beta1.SidecarSetConditionStalled},
	}
	for _, c := range status.Conditions {
		if c.Status == metav1.ConditionTrue {
			r.conditions[c.Type] = c.Message
		}
	}
	return r
}

// sidecarSet draws a SidecarSet.
func (g generator) sidecarSet() client.Object {
	set := &v1beta1.SidecarSet{}
	spec := &set.Spec
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	side := func(name string) v1beta1.SidecarContainer {
		return v1beta1.SidecarContainer{Container: corev1.Container{Name: name, Image: "side:1"}}
	}
	spec.Containers = []v1beta1.SidecarContainer{side(cold)}
	if g.IntN(2) == 0 {
		s := side(hot)
		s.UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: idleImage}
		spec.Containers = append(spec.Containers, s)
	}
	if g.IntN(4) == 0 {
		s := side(native)
		s.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		spec.InitContainers = []v1beta1.SidecarContainer{s}
	}
	if g.IntN(4) == 0 {
		spec.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "shop"}}
	}
	if g.IntN(3) == 0 {
		spec.RevisionHistoryLimit = new(int32(g.IntN(3)))
	}
	strategy := &spec.UpdateStrategy
	strategy.MaxUnavailable, strategy.Paused = g.number(1, 3), g.IntN(10) == 0
	switch g.IntN(8) {
	case 0, 1:
		strategy.Partition = g.number(0, 4)
	case 2:
		strategy.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}
	}
	if g.IntN(6) == 0 {
		strategy.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: "zone", Value: "*"}}
	}
	if g.IntN(12) == 0 {
		strategy.Type = v1beta1.NotUpdateSidecarSetStrategyType
	}
	return set
}

func (g generator) sidecarImage() string {
	return fmt.Sprintf("image %s=side:%d", pick(g, cold, cold, hot, hot, native), 1+g.IntN(3))
}

// comes draws that pods come.
func (g generator) comes() string {
	return fmt.Sprintf("%s %d", pick(g, "come", "come", "come", "come", "strangers", "missed"), 1+g.IntN(3))
}

// sidecarPerson draws what a person does to a SidecarSet or to the pods that it stands in.
func (g generator) sidecarPerson() string {
	strategy := func(text string, args ...any) string {
		return fmt.Sprintf(`patch {"updateStrategy":{`+text+`}}`, args...)
	}
	switch g.IntN(20) {
	case 0, 1, 2:
		return g.comes()
	case 3, 4, 5, 6:
		return g.sidecarImage()
	case 7, 16, 17:
		return fmt.Sprintf("env %d", g.IntN(2))
	case 8:
		return strategy(`"partition":%d,"selector":null`, g.IntN(5))
	case 9:
		return strategy(`"partition":null,"selector":%s`, pick(g, "null", `{"matchLabels":{"zone":"a"}}`))
	case 10:
		return strategy(`"paused":%v`, g.IntN(2) == 0)
	case 11:
		return strategy(`"maxUnavailable":%d`, 1+g.IntN(3))
	case 12:
		return pick(g, strategy(`"type":"NotUpdate"`), strategy(`"type":"RollingUpdate"`), "select app=web", "select app=web,zone=a")
	case 13:
		return "label " + g.somePod() + " " + pick(g, "app=other", "app=web", "zone=a", "zone=b")
	case 14:
		return pick(g, "namespace team=shop", "namespace team=shop", "namespace team=other", "drop-set", "make-set", "make-set")
	case 15:
		return pick(g, "delete ", "delete ", "pin ") + g.somePod()
	default:
		return "neighbour " + g.somePod()
	}
}

// simplerSidecarSets are parts of a SidecarSet that may have nothing to do with a failure.
var simplerSidecarSets = []func(client.Object){
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy = v1beta1.SidecarSetUpdateStrategy{} }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy.ScatterStrategy = nil }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.UpdateStrategy.Partition, s.UpdateStrategy.Selector = nil, nil }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.RevisionHistoryLimit = nil }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.NamespaceSelector = nil }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.InitContainers = nil }),
	sidecarSetPart(func(s *v1beta1.SidecarSetSpec) { s.Containers = s.Containers[:1] }),
}

func sidecarSetPart(simplify func(*v1beta1.SidecarSetSpec)) func(client.Object) {
	return func(set client.Object) { simplify(&asSidecarSet(set).Spec) }
}

// doGuests does what a line says of pods that sidecars stand in, or of what only SidecarSets have.
func (m *machine) doGuests(verb, rest string) error {
	switch verb {
	case "namespace":
		return m.labelNamespace(rest)
	case "neighbour":
		return m.doPod(verb, rest)
	case "env":
		return m.changeSet(func(set client.Object) error {
			m.kind.containerOf(set, cold).Env = []corev1.EnvVar{{Name: "LEVEL", Value: rest}}
			return nil
		})
	case "select":
		return m.changeSet(func(set client.Object) (err error) {
			asSidecarSet(set).Spec.Selector, err = metav1.ParseToLabelSelector(rest)
			return err
		})
	default:
		return m.come(verb, rest)
	}
}

// labelNamespace changes a label of the namespace of the pods.
func (m *machine) labelNamespace(text string) error {
	set, err := labels.ConvertSelectorToLabelsMap(text)
	n := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: set}}
	n.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kindNamespace))
	m.store(kindNamespace, n)
	return err
}

// isGuest says whether a SidecarSet stands in a pod, or did.
func isGuest(before, after client.Object) bool {
	return slices.ContainsFunc([]client.Object{before, after}, func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && len(sidecar.InjectedSets(pod)) > 0
	})
}
