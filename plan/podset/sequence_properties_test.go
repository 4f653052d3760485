package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

// line is a random StatefulSet in a random world. Its methods are what may happen next.
type line struct {
	chaos
	s *story.StatefulSet
}

func newLine(t *rapid.T) *line {
	r := &line{s: &story.StatefulSet{Name: "demo"}}
	r.chaos = newChaos(t, &r.s.Spec.Template)
	r.decide, r.checkEnd, r.templateOf = r.decideLine, r.checkLine, r.revision
	spec := &r.s.Spec
	spec.PodManagementPolicy = rapid.SampledFrom([]appsv1.PodManagementPolicyType{
		appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement}).Draw(t, "pod management")
	r.s.Options = workload.Options{
		AutoDeleteClaims: rapid.Bool().Draw(t, "claims may be deleted"), StartOrdinal: true, ResizeClaims: true, PodIndexLabel: true,
		InPlace: r.inPlace,
	}
	if rapid.Bool().Draw(t, "claims") {
		spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate("data", "1Gi")}
		spec.VolumeClaimUpdateStrategy.Type = v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType
	}
	if r.parallel() && rapid.Bool().Draw(t, "scale limit") {
		spec.ScaleStrategy = &v1beta1.StatefulSetScaleStrategy{MaxUnavailable: r.drawCount("scale limit", 1, 4)}
	}
	spec.Lifecycle = r.drawHooks()
	r.scale()
	r.ordinals()
	r.strategy()
	r.retention()
	return r
}

func (r *line) parallel() bool { return r.s.Spec.PodManagementPolicy == appsv1.ParallelPodManagement }

func (r *line) scale() {
	n := int32(rapid.IntRange(0, 8).Draw(r.T, "replicas"))
	r.s.Spec.Replicas = &n
}

// ordinals draws where ordinals begin, and reserves some.
func (r *line) ordinals() {
	r.s.Spec.ReserveOrdinals, r.s.Spec.Ordinals = nil, nil
	if rapid.IntRange(0, 2).Draw(r.T, "start") == 0 {
		r.s.Spec.Ordinals = &v1beta1.StatefulSetOrdinals{Start: int32(rapid.IntRange(0, 3).Draw(r.T, "start at"))}
	}
	for range rapid.SampledFrom([]int{0, 0, 1, 2}).Draw(r.T, "reserved") {
		first := rapid.IntRange(0, 6).Draw(r.T, "reserved ordinal")
		value := intstr.FromInt(first)
		if rapid.Bool().Draw(r.T, "a range") {
			value = intstr.FromString(fmt.Sprintf("%d-%d", first, first+rapid.IntRange(0, 2).Draw(r.T, "more")))
		}
		r.s.Spec.ReserveOrdinals = append(r.s.Spec.ReserveOrdinals, value)
	}
}

// strategy draws the parameters of the update, within what the API allows.
func (r *line) strategy() {
	r.s.Spec.UpdateStrategy = v1beta1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType}
	if rapid.IntRange(0, 9).Draw(r.T, "on delete") == 0 {
		r.s.Spec.UpdateStrategy.Type = appsv1.OnDeleteStatefulSetStrategyType
		return
	}
	u := &v1beta1.RollingUpdateStatefulSetStrategy{
		PodUpdatePolicy: rapid.SampledFrom([]v1beta1.PodUpdatePolicyType{
			v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType,
		}).Draw(r.T, "policy"),
		Paused:                rapid.IntRange(0, 4).Draw(r.T, "paused") == 0,
		InPlaceUpdateStrategy: &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: int32(rapid.SampledFrom([]int{0, 0, 2}).Draw(r.T, "grace"))},
		MinReadySeconds:       new(int32(rapid.SampledFrom([]int{0, 0, 0, 3}).Draw(r.T, "minReadySeconds"))),
	}
	if rapid.Bool().Draw(r.T, "partitioned") {
		u.Partition = new(int32(rapid.IntRange(0, 8).Draw(r.T, "partition")))
	}
	if r.parallel() {
		u.MaxUnavailable = r.drawCount("maxUnavailable", 1, 4)
		if rapid.IntRange(0, 2).Draw(r.T, "unordered") == 0 {
			u.UnorderedUpdate = &v1beta1.UnorderedUpdateStrategy{PriorityStrategy: &v1beta1.UpdatePriorityStrategy{
				OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: "rank"}}}}
		}
	}
	r.s.Spec.UpdateStrategy.RollingUpdate = u
}

func (r *line) retention() {
	kinds := []appsv1.PersistentVolumeClaimRetentionPolicyType{
		appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
	r.s.Spec.PersistentVolumeClaimRetentionPolicy = &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: rapid.SampledFrom(kinds).Draw(r.T, "whenDeleted"), WhenScaled: rapid.SampledFrom(kinds).Draw(r.T, "whenScaled"),
	}
}

// grow lets the claims grow.
func (r *line) grow() {
	for i := range r.s.Spec.VolumeClaimTemplates {
		size := r.s.Spec.VolumeClaimTemplates[i].Spec.Resources.Requests
		more := size.Storage().DeepCopy()
		more.Add(resource.MustParse("1Gi"))
		size[corev1.ResourceStorage] = more
	}
}

func (r *line) doom() {
	if name := r.somePod(); name != "" {
		r.must(r.w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels[v1beta1.SpecifiedDeleteKey] = "true" }))
	}
}

func (r *line) evict() {
	if name := r.somePod(); name != "" {
		r.must(r.w.Evict(name))
	}
}

func TestEveryPromiseOfASequenceHoldsWhateverHappensAndTheEndIsReachedAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newLine(t)
		r.happen(map[string]func(){
			"scale": r.scale, "ordinals": r.ordinals, "image": r.image, "metadata": r.metadata, "env": r.env, "strategy": r.strategy,
			"tier": r.tier, "cpu": r.cpu, "resizes": r.resizes,
			"retention": r.retention, "grow": r.grow, "evict": r.evict, "lose": r.lose, "remove": r.remove, "doom": r.doom,
			"kubelet": r.kubelet, "rank": r.rank, "tick": r.tick, "hooks": r.hooks, "round": r.round,
		}, "scale", "ordinals", "image", "metadata", "env", "tier", "cpu", "resizes", "strategy", "retention", "grow", "evict", "lose", "remove", "doom", "kubelet", "hooks", "rank")
		r.finish()
	})
}

// TestABrokenPodNeverBlocksItsOwnRepair breaks some pods or all by a bad image, amid creation, an update or scaling, and asks
// for a good one.
func TestABrokenPodNeverBlocksItsOwnRepair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newLine(t)
		r.fairStrategy()
		r.template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", badImage}).Draw(t, "first image")
		r.run(rapid.IntRange(0, 60).Draw(t, "seconds before"))
		r.template.Spec.Containers[0].Image = badImage
		if rapid.Bool().Draw(t, "never ready, and kubelet says nothing") {
			r.w.Bad[badImage], r.w.Unready[badImage] = false, true
		}
		for range rapid.IntRange(0, 3).Draw(t, "lost pods") {
			r.lose()
		}
		if rapid.Bool().Draw(t, "scaled, too") {
			r.scale()
		}
		r.run(rapid.IntRange(0, 100).Draw(t, "seconds with the bad image"))
		r.template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2"}).Draw(t, "good image")
		r.settle()
	})
}

func (r *line) run(seconds int) {
	for range seconds {
		r.reconcile(1000)
		r.hooks()
		r.tick()
	}
}

// fairStrategy leaves nothing in the strategy that could keep a pod on an old revision.
func (r *line) fairStrategy() {
	u := &r.s.Spec.UpdateStrategy
	u.Type = appsv1.RollingUpdateStatefulSetStrategyType
	if u.RollingUpdate == nil {
		u.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{}
	}
	u.RollingUpdate.Paused, u.RollingUpdate.Partition = false, nil
	if u.RollingUpdate.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
		u.RollingUpdate.PodUpdatePolicy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	}
}

// finish ends the trouble, either by repairing what is bad or by asking for something good, and waits for the end.
func (r *line) finish() {
	if r.repair() {
		r.fairStrategy()
	}
	r.settle()
}

// checkLine checks that what is wanted is so.
func (r *line) checkLine(plan podset.Plan) {
	sequence, err := r.s.Sequence(r.w)
	r.must(err)
	pods, err := r.s.Observe(r.w)
	r.must(err)
	l := story.LineupOf(sequence, pods)
	if serving, all := l.Serving(); serving != len(sequence.Ordinals) || all != serving || len(l.Condemned) > 0 {
		r.fatal(fmt.Sprintf("in the end %d pods serve, %d of them wanted; %d are wanted, and %d are not and exist", all, serving, len(sequence.Ordinals), len(l.Condemned)))
	}
	for _, p := range l.Places {
		if p.SpecifiedDelete {
			r.fatal(fmt.Sprintf("pod %s was asked to go and is still there", p.Name))
		}
	}
	r.checkContainers()
	blocked := slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return strings.Contains(n.Because, "InPlaceOnly") })
	if sequence.Paused || sequence.OnDelete || blocked {
		return
	}
	old := l.Old(sequence)
	if sequence.Unordered {
		old = old[min(sequence.Partition, len(old)):]
	}
	for _, place := range old {
		if sequence.Unordered || place >= sequence.Partition {
			r.fatal(fmt.Sprintf("pod %s is on an old revision in the end", l.Places[place].Name))
		}
	}
	for place, ordinal := range sequence.Ordinals {
		claim := r.w.Claim(fmt.Sprintf("data-demo-%d", ordinal))
		keeps := place < sequence.Partition
		if sequence.Unordered {
			keeps = !sequence.IsNew(l.Places[place].Revision)
		}
		if claim == nil || sequence.Claims == nil || keeps {
			continue
		}
		if want := r.s.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests.Storage(); claim.Status.Capacity.Storage().Cmp(*want) < 0 {
			r.fatal(fmt.Sprintf("claim %s has %s in the end, %s is wanted", claim.Name, claim.Status.Capacity.Storage(), want))
		}
	}
}

// revision is the template of a revision.
func (r *line) revision(name string) (*corev1.PodTemplateSpec, error) {
	view, err := r.s.View(r.w)
	r.must(err)
	return view.Template(name)
}

// decideLine lets the controller of a StatefulSet decide.
func (r *line) decideLine() (decided, error) {
	round, err := r.s.Decide(r.w)
	if round == nil {
		return decided{}, err
	}
	s := round.Sequence
	return decided{
		wanted: fmt.Sprintf("want %v (ordered %v), partition %d, unavailable %d, unordered %v, paused %v, %s to %s (before: %s)", s.Ordinals, s.Ordered,
			s.Partition, s.MaxUnavailable, s.Unordered, s.Paused, s.Policy, s.UpdateRevision, s.CurrentRevision),
		pods: round.Pods, plan: &round.Plan, act: round.Act,
		again: func(pods []replica.Replica) podset.Plan { return s.Plan(r.w.Now, pods) },
	}, err
}
