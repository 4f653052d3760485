package faults

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	clocks "k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

const statefulSetKind = "StatefulSet"

var statefulSets = &kind{
	name: statefulSetKind, manifest: "statefulset.yaml", adopts: true,
	blank: func() client.Object { return &v1beta1.StatefulSet{} },
	reconciler: func(ctx context.Context, mgr ctrl.Manager, now clocks.PassiveClock, o workload.Options) (reconcile.Reconciler, error) {
		return statefulset.Options{Options: o}.NewReconciler(ctx, mgr, now)
	},
	template:  func(set client.Object) *corev1.PodTemplateSpec { return &asStatefulSet(set).Spec.Template },
	spec:      func(set client.Object) any { return asStatefulSet(set).Spec },
	setStatus: func(into, from client.Object) { asStatefulSet(into).Status = asStatefulSet(from).Status },
	hooks:     func(set client.Object) *v1beta1.Lifecycle { return asStatefulSet(set).Spec.Lifecycle },
	doom:      func(client.Object, string) {}, // a label does it
	view:      viewOfStatefulSet,
	created:   podOfStatefulSetCreated,
	ended:     statefulSetEnded,
	reported:  statefulSetReported,
	draw:      generator.statefulSet,
	image:     generator.templateImage,
	images:    templateImages,
	person:    generator.statefulPerson,
	options:   []string{deleteClaims, resizeClaims}, odds: 2, share: 2,
	usual:   []string{resizePods, envFromMetadata},
	simpler: simplerStatefulSets,
}

func asStatefulSet(set client.Object) *v1beta1.StatefulSet {
	s, ok := set.(*v1beta1.StatefulSet)
	if !ok {
		panic("not a StatefulSet")
	}
	return s
}

func viewOfStatefulSet(p *process, set client.Object) (*view, error) {
	spec := &asStatefulSet(set).Spec
	about, err := workload.NewStatefulSet(asStatefulSet(set), workload.Owned{Revisions: cached[*appsv1.ControllerRevision](p.mirrors[kindRevision])}, p.machine.options)
	if err != nil {
		return nil, err
	}
	s, err := about.Sequence()
	if err != nil {
		return nil, err
	}
	facts := replica.Options{Hooks: spec.Lifecycle, MinReadySeconds: workload.MinReadySeconds(spec)}
	return &view{newest: about.Revisions.Update, template: about.Template, wanted: wanted{
		replicas: len(s.Ordinals), partition: s.Partition, floor: len(s.Ordinals) - s.MaxUnavailable,
		paused: s.Paused || s.OnDelete, selector: spec.Selector, facts: facts, sequence: s,
	}}, nil
}

// podOfStatefulSetCreated checks that a pod has a wanted ordinal, and that in an order all below it are available.
func podOfStatefulSetCreated(m *machine, v *view, pod *corev1.Pod) {
	place := v.wanted.place(&replica.Replica{Name: pod.Name})
	if place < 0 {
		m.brokenf("pod %s is created, and its ordinal is not wanted", pod.Name)
		return
	}
	if !v.wanted.sequence.Ordered {
		return
	}
	below := map[int]bool{}
	for uid, r := range v.pods {
		gone := m.ledger.deleted[uid] > v.at || m.ledger.taken[uid] > v.at
		if at := v.wanted.place(r); v.selected[uid] && r.Active() && r.Available && !gone && at >= 0 && at < place {
			below[at] = true
		}
	}
	if len(below) < place {
		m.brokenf("pod %s is created before those below it are available", pod.Name)
	}
}

// statefulSetEnded checks that the names of pods are free, and that the claims of pods grew with their templates and have the
// owners that they are to have.
func statefulSetEnded(m *machine, v *view) {
	set := asStatefulSet(v.set)
	status := set.Status
	if s := v.wanted.sequence; status.UpdatedReplicas == status.Replicas && int(status.Replicas) == len(s.Ordinals) && status.CurrentRevision != status.UpdateRevision {
		m.brokenf("the rollout is complete, and the status says that %q is the current revision", status.CurrentRevision)
	}
	for _, pod := range m.active() {
		if !ours(pod, set.UID) {
			continue
		}
		for _, name := range claimsOf(pod) {
			if claim, ok := m.tables[kindClaim].objects[name].(*corev1.PersistentVolumeClaim); ok {
				m.checkClaim(v, pod, claim)
			}
		}
	}
}

func (m *machine) checkClaim(v *view, pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) {
	set, s := asStatefulSet(v.set), v.wanted.sequence
	byPod := slices.ContainsFunc(claim.OwnerReferences, func(ref metav1.OwnerReference) bool { return ref.UID == pod.UID })
	if byPod {
		m.brokenf("claim %s goes with pod %s, which stays", claim.Name, pod.Name)
	}
	grows := m.options.ResizeClaims && set.Spec.VolumeClaimUpdateStrategy.Type == v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType
	if !grows || v.wanted.paused || v.wanted.keeps(&replica.Replica{Name: pod.Name}) || s.Unordered {
		return
	}
	want, has := set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage(), claim.Status.Capacity.Storage()
	if has.Cmp(*want) < 0 {
		m.brokenf("claim %s has %s in the end, %s is wanted", claim.Name, has, want)
	}
}

func statefulSetReported(set client.Object) reported {
	status := asStatefulSet(set).Status
	r := reported{
		tally: tallyOf(status.Replicas, status.ReadyReplicas, status.AvailableReplicas,
			status.UpdatedReplicas, status.UpdatedReadyReplicas, status.UpdatedAvailableReplicas),
		generation: status.ObservedGeneration, update: status.UpdateRevision, conditions: map[string]string{},
		failures: []string{string(v1beta1.FailedCreatePod), string(v1beta1.FailedUpdatePod)},
	}
	for _, c := range status.Conditions {
		r.conditions[string(c.Type)] = c.Message
	}
	return r
}

// statefulSet draws a StatefulSet.
func (g generator) statefulSet() client.Object {
	set := &v1beta1.StatefulSet{}
	spec := &set.Spec
	spec.Replicas = new(int32(1 + g.IntN(5)))
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	spec.Template = g.podTemplate()
	spec.PodManagementPolicy = pick(g, appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)
	if g.IntN(2) == 0 {
		spec.VolumeClaimTemplates = claimTemplates()
		spec.VolumeClaimUpdateStrategy.Type = pick(g, v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType, v1beta1.OnPVCDeleteVolumeClaimUpdateStrategyType)
		kinds := []appsv1.PersistentVolumeClaimRetentionPolicyType{
			appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
		spec.PersistentVolumeClaimRetentionPolicy = &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{
			WhenDeleted: pick(g, kinds...), WhenScaled: pick(g, kinds...)}
	}
	spec.Lifecycle = g.hooks(&spec.Template)
	if g.IntN(4) == 0 {
		spec.ReserveOrdinals = []intstr.IntOrString{pick(g, intstr.FromInt(1), intstr.FromString("0-1"))}
	}
	if g.IntN(6) == 0 {
		spec.Ordinals = &v1beta1.StatefulSetOrdinals{Start: int32(1 + g.IntN(3))}
	}
	if g.IntN(3) == 0 {
		spec.RevisionHistoryLimit = new(int32(g.IntN(3)))
	}
	g.statefulStrategy(spec)
	return set
}

// statefulStrategy draws the parameters of the update, within what the API allows.
func (g generator) statefulStrategy(spec *v1beta1.StatefulSetSpec) {
	if g.IntN(12) == 0 {
		spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		return
	}
	s := &v1beta1.RollingUpdateStatefulSetStrategy{
		PodUpdatePolicy: pick(g, v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
			v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType),
		Paused:                g.IntN(10) == 0,
		MinReadySeconds:       new(pick[int32](g, 0, 0, 0, 2)),
		InPlaceUpdateStrategy: &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: pick[int32](g, 0, 0, 0, 2)},
	}
	if g.IntN(4) == 0 {
		s.Partition = new(int32(g.IntN(5)))
	}
	if spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		s.MaxUnavailable = g.number(1, 3)
		if g.IntN(4) == 0 {
			s.UnorderedUpdate = &v1beta1.UnorderedUpdateStrategy{}
		}
		if g.IntN(4) == 0 {
			spec.ScaleStrategy = &v1beta1.StatefulSetScaleStrategy{MaxUnavailable: g.number(1, 3)}
		}
	}
	spec.UpdateStrategy = v1beta1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: s}
}

// statefulPerson draws what a person does to a StatefulSet alone.
func (g generator) statefulPerson() string {
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf(`patch {"reserveOrdinals":[%s]}`, pick(g, "", "0", "1", `"1-2"`, `2,"0-1"`))
	case 1:
		return fmt.Sprintf(`patch {"ordinals":{"start":%d}}`, g.IntN(3))
	case 2, 3, 7:
		return fmt.Sprintf(`grow %dGi`, 1+g.IntN(4))
	case 4:
		return pick(g, "narrow", "wide", "wide")
	default:
		return pick(g, "delete ", "pin ") + g.somePod()
	}
}

// growClaims makes the claim templates of a StatefulSet larger.
func growClaims(set client.Object, size string) error {
	s, ok := set.(*v1beta1.StatefulSet)
	if !ok || len(s.Spec.VolumeClaimTemplates) == 0 {
		return nil
	}
	more, err := resource.ParseQuantity(size)
	if requests := s.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests; err == nil && more.Cmp(*requests.Storage()) > 0 {
		requests[corev1.ResourceStorage] = more
	}
	return err
}

// simplerStatefulSets are parts of a StatefulSet that may have nothing to do with a failure.
var simplerStatefulSets = []func(client.Object){
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.Lifecycle = nil }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) {
		s.VolumeClaimTemplates, s.PersistentVolumeClaimRetentionPolicy = nil, nil
	}),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.PersistentVolumeClaimRetentionPolicy = nil }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.ReserveOrdinals, s.Ordinals = nil, nil }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.ScaleStrategy = nil }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) {
		s.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{}
	}),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.RevisionHistoryLimit = nil }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.Replicas = new(int32(1)) }),
	statefulSetPart(func(s *v1beta1.StatefulSetSpec) { s.Replicas = new(int32(2)) }),
}

func statefulSetPart(simplify func(*v1beta1.StatefulSetSpec)) func(client.Object) {
	return func(set client.Object) { simplify(&asStatefulSet(set).Spec) }
}
