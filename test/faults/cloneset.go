package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

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
	"kruise.io/kruise/manager/cloneset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

const cloneSetKind = "CloneSet"

var cloneSets = &kind{
	name: cloneSetKind, manifest: "cloneset.yaml",
	blank: func() client.Object { return &v1beta1.CloneSet{} },
	reconciler: func(ctx context.Context, mgr ctrl.Manager, now clocks.PassiveClock, o workload.Options) (reconcile.Reconciler, error) {
		return cloneset.Options{Options: o}.NewReconciler(ctx, mgr, now)
	},
	template:  func(set client.Object) *corev1.PodTemplateSpec { return &asCloneSet(set).Spec.Template },
	spec:      func(set client.Object) any { return asCloneSet(set).Spec },
	setStatus: func(into, from client.Object) { asCloneSet(into).Status = asCloneSet(from).Status },
	hooks:     func(set client.Object) *v1beta1.Lifecycle { return asCloneSet(set).Spec.Lifecycle },
	doom:      doomInCloneSet,
	view:      viewOfCloneSet,
	created:   podOfCloneSetCreated,
	ended:     cloneSetEnded,
	reported:  cloneSetReported,
	draw:      generator.cloneSet,
	image:     generator.templateImage,
	images:    templateImages,
	person:    generator.cloneSetPerson,
	options:   []string{shortHash, partitionRollback, excludeLeaving, prepareIsUpdate}, odds: 6, share: 1,
	usual:   []string{resizePods, envFromMetadata, recreateForClaims},
	simpler: simplerCloneSets,
}

func asCloneSet(set client.Object) *v1beta1.CloneSet {
	c, ok := set.(*v1beta1.CloneSet)
	if !ok {
		panic("not a CloneSet")
	}
	return c
}

func doomInCloneSet(set client.Object, pod string) {
	scale := &asCloneSet(set).Spec.ScaleStrategy
	if !slices.Contains(scale.PodsToDelete, pod) {
		scale.PodsToDelete = append(scale.PodsToDelete, pod)
	}
}

func viewOfCloneSet(p *process, set client.Object) (*view, error) {
	spec := &asCloneSet(set).Spec
	about, err := workload.NewCloneSet(asCloneSet(set), workload.Owned{Revisions: cached[*appsv1.ControllerRevision](p.mirrors[kindRevision])}, p.machine.options)
	if err != nil {
		return nil, err
	}
	pool, err := about.Pool(nil)
	if err != nil {
		return nil, err
	}
	return &view{newest: about.Revisions.Update, template: about.Template, wanted: wanted{
		replicas: pool.Replicas, surge: pool.MaxSurge, partition: pool.Partition, floor: pool.Replicas - pool.MaxUnavailable,
		paused: pool.Paused || pool.OnDelete, stuck: pool.Paused && pool.MaxUnavailable == 0, excludesLeaving: pool.ExcludePreparingDelete,
		doomed: pool.Doomed, selector: spec.Selector,
		facts: replica.Options{MinReadySeconds: spec.MinReadySeconds, Hooks: spec.Lifecycle, SlotLabel: v1beta1.CloneSetInstanceID},
	}}, nil
}

// podOfCloneSetCreated checks that no two pods are in one slot.
func podOfCloneSetCreated(m *machine, _ *view, pod *corev1.Pod) {
	slot := pod.Labels[v1beta1.CloneSetInstanceID]
	for _, other := range list[*corev1.Pod](m.server, kindPod) {
		if other.UID != pod.UID && other.Labels[v1beta1.CloneSetInstanceID] == slot {
			m.brokenf("pods %s and %s have the same instance id", pod.Name, other.Name)
		}
	}
}

// cloneSetEnded checks that no slot is shared, and that no claims are left that nobody will use. The claims of a pod that was
// let go of belong to the set on, and end with it.
func cloneSetEnded(m *machine, v *view) {
	slots, used := map[string]string{}, map[string]bool{}
	for _, pod := range list[*corev1.Pod](m.server, kindPod) {
		for _, name := range claimsOf(pod) {
			used[name] = true
		}
	}
	for _, pod := range m.active() {
		slot := pod.Labels[v1beta1.CloneSetInstanceID]
		if other := slots[slot]; ours(pod, v.set.GetUID()) && other != "" {
			m.brokenf("pods %s and %s share a slot", pod.Name, other)
		}
		slots[slot] = pod.Name
	}
	for _, claim := range list[*corev1.PersistentVolumeClaim](m.server, kindClaim) {
		if !used[claim.Name] && !asCloneSet(v.set).Spec.ScaleStrategy.EnablePVCReuse {
			m.brokenf("claim %s is left, and nobody will use it", claim.Name)
		}
	}
	m.checkClaimTemplates(v, used)
}

// checkClaimTemplates checks what became of a change of claim templates, where that is a rollout: each pod of the newest revision has claims as
// the templates say or, where claims are used again, none that are smaller, and none that are smaller wait for a pod once all are updated.
func (m *machine) checkClaimTemplates(v *view, used map[string]bool) {
	spec, status := &asCloneSet(v.set).Spec, &asCloneSet(v.set).Status
	inPlaceOnly := spec.UpdateStrategy.RollingUpdate != nil && spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType
	if !m.options.RecreateForClaims || inPlaceOnly {
		return
	}
	updated := map[string]bool{}
	for _, pod := range m.active() {
		if !ours(pod, v.set.GetUID()) || !v.isNew(revisionOf(pod)) || m.ledger.adopted[pod.UID] > 0 {
			continue
		}
		want, is := map[string]string{}, map[string]string{}
		for i := range spec.VolumeClaimTemplates {
			t := &spec.VolumeClaimTemplates[i]
			want[t.Name+"-"+pod.Name] = t.Spec.Resources.Requests.Storage().String()
		}
		for _, name := range claimsOf(pod) {
			updated[name] = true
			if claim, there := m.tables[kindClaim].objects[name].(*corev1.PersistentVolumeClaim); there {
				is[name] = claim.Spec.Resources.Requests.Storage().String()
			}
		}
		if !spec.ScaleStrategy.EnablePVCReuse && !maps.Equal(want, is) {
			m.brokenf("pod %s has the newest revision and the claims %v, its claim templates ask for %v", pod.Name, is, want)
		}
	}
	for _, claim := range list[*corev1.PersistentVolumeClaim](m.server, kindClaim) {
		waits := !used[claim.Name] && status.CurrentRevision == status.UpdateRevision
		for i := range spec.VolumeClaimTemplates {
			t := &spec.VolumeClaimTemplates[i]
			has, wanted := claim.Spec.Resources.Requests.Storage(), t.Spec.Resources.Requests.Storage()
			if strings.HasPrefix(claim.Name, t.Name+"-") && (waits || updated[claim.Name]) && has.Cmp(*wanted) < 0 {
				m.brokenf("claim %s asks for %s in the end, and its template for %s:\n%s", claim.Name, has, wanted, m.describe())
			}
		}
	}
}

func cloneSetReported(set client.Object) reported {
	status := asCloneSet(set).Status
	r := reported{
		tally: tallyOf(status.Replicas, status.ReadyReplicas, status.AvailableReplicas,
			status.UpdatedReplicas, status.UpdatedReadyReplicas, status.UpdatedAvailableReplicas),
		generation: status.ObservedGeneration, update: status.UpdateRevision, conditions: map[string]string{},
		failures: []string{string(v1beta1.CloneSetConditionFailedScale), string(v1beta1.CloneSetConditionFailedUpdate)},
	}
	for _, c := range status.Conditions {
		r.conditions[string(c.Type)] = c.Message
	}
	return r
}

// cloneSet draws a CloneSet.
func (g generator) cloneSet() client.Object {
	set := &v1beta1.CloneSet{}
	spec := &set.Spec
	replicas := int32(1 + g.IntN(7))
	spec.Replicas = &replicas
	spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	spec.Template = g.podTemplate()
	spec.MinReadySeconds = pick[int32](g, 0, 0, 0, 2)
	g.claims(spec)
	spec.Lifecycle = g.hooks(&spec.Template)
	spec.ScaleStrategy.ExcludePreparingDelete = g.IntN(4) == 0
	if g.IntN(5) == 0 {
		spec.ScaleStrategy.MaxUnavailable = g.number(1, 3)
	}
	if g.IntN(4) == 0 {
		deadline := int32(20 + g.IntN(100))
		spec.ProgressDeadlineSeconds = &deadline
	}
	if g.IntN(3) == 0 {
		limit := int32(g.IntN(3))
		spec.RevisionHistoryLimit = &limit
	}
	spec.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType, RollingUpdate: g.strategy()}
	if g.IntN(12) == 0 {
		spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
	}
	return set
}

func (g generator) claims(spec *v1beta1.CloneSetSpec) {
	if g.IntN(3) > 0 {
		return
	}
	spec.VolumeClaimTemplates = claimTemplates()
	spec.ScaleStrategy.EnablePVCReuse = g.IntN(2) == 0
}

// strategy draws the parameters of the update, within what the API allows.
func (g generator) strategy() *v1beta1.RollingUpdateCloneSetStrategy {
	s := &v1beta1.RollingUpdateCloneSetStrategy{
		PodUpdatePolicy: pick(g, v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
			v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType),
		MaxUnavailable:        g.number(0, 3),
		Paused:                g.IntN(10) == 0,
		InPlaceUpdateStrategy: &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: pick[int32](g, 0, 0, 0, 2)},
	}
	if s.PodUpdatePolicy != v1beta1.InPlaceOnlyPodUpdatePolicyType && g.IntN(2) == 0 {
		s.MaxSurge = g.number(1, 3)
	} else if *s.MaxUnavailable == intstr.FromInt32(0) {
		*s.MaxUnavailable = intstr.FromInt32(1)
	}
	if g.IntN(4) == 0 {
		s.Partition = g.number(0, 6)
	}
	return s
}

// cloneSetPerson draws what a person does to a CloneSet alone.
func (g generator) cloneSetPerson() string {
	switch g.IntN(6) {
	case 0, 1:
		return fmt.Sprintf("claims data=%dGi", 1+g.IntN(3))
	case 2:
		return "claims " + pick(g, "logs=1Gi", "logs-", "data-", "data=2Gi logs=1Gi")
	default:
		return pick(g, "delete ", "doom ", "pin ") + g.somePod()
	}
}

// changeClaims changes the claim templates of a CloneSet: their sizes, and which of them there are.
func changeClaims(set client.Object, text string) error {
	c, ok := set.(*v1beta1.CloneSet)
	if !ok {
		return nil
	}
	templates := &c.Spec.VolumeClaimTemplates
	for change := range strings.FieldsSeq(text) {
		name, size, sized := strings.Cut(change, "=")
		if !sized {
			name, _ = strings.CutSuffix(change, "-")
		}
		rest := slices.DeleteFunc(slices.Clone(*templates), func(t corev1.PersistentVolumeClaim) bool { return t.Name == name })
		if sized {
			quantity, err := resource.ParseQuantity(size)
			if err != nil {
				return err
			}
			rest = append(rest, claimTemplate(name, quantity))
		}
		*templates = rest
	}
	return nil
}

// simplerCloneSets are parts of a CloneSet that may have nothing to do with a failure.
var simplerCloneSets = []func(client.Object){
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.Lifecycle = nil }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.VolumeClaimTemplates = nil }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.ScaleStrategy = v1beta1.CloneSetScaleStrategy{} }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.ScaleStrategy.EnablePVCReuse = false }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{} }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.ProgressDeadlineSeconds = nil }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.RevisionHistoryLimit = nil }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { s.MinReadySeconds = 0 }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { one := int32(1); s.Replicas = &one }),
	cloneSetPart(func(s *v1beta1.CloneSetSpec) { two := int32(2); s.Replicas = &two }),
}

func cloneSetPart(simplify func(*v1beta1.CloneSetSpec)) func(client.Object) {
	return func(set client.Object) { simplify(&asCloneSet(set).Spec) }
}
