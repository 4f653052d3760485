package podset_test

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
	"kruise.io/kruise/plan/workload"
)

// rollout is a random CloneSet in a random world. Its methods are what may happen next.
type rollout struct {
	chaos
	c *story.CloneSet
	// wasInPlaceOnly is true once pods were not to be recreated: then changes of claim templates reach none that is there.
	wasInPlaceOnly bool
}

func newRollout(t *rapid.T) *rollout {
	r := &rollout{c: &story.CloneSet{Name: "demo"}}
	r.chaos = newChaos(t, &r.c.Spec.Template)
	r.decide, r.checkEnd, r.templateOf = r.decidePool, r.checkPool, r.revision
	spec := &r.c.Spec
	if rapid.Bool().Draw(t, "claims") {
		spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claimTemplate("data", "1Gi")}
		spec.ScaleStrategy.EnablePVCReuse = rapid.Bool().Draw(t, "reuse of claims")
	}
	r.c.Options = workload.Options{
		PartitionRollback:       rapid.Bool().Draw(t, "partition rollback"),
		PreparingUpdateAsUpdate: rapid.IntRange(0, 3).Draw(t, "preparing counts as updated") == 0,
		ShortHash:               rapid.IntRange(0, 3).Draw(t, "short hash") == 0,
		RecreateForClaims:       rapid.Bool().Draw(t, "claims make a rollout"),
		InPlace:                 r.inPlace,
	}
	spec.MinReadySeconds = int32(rapid.SampledFrom([]int{0, 0, 0, 3}).Draw(t, "minReadySeconds"))
	spec.ScaleStrategy.ExcludePreparingDelete = rapid.Bool().Draw(t, "excludePreparingDelete")
	if rapid.Bool().Draw(t, "scale limit") {
		spec.ScaleStrategy.MaxUnavailable = r.drawCount("scale limit", 1, 4)
	}
	spec.Lifecycle = r.drawHooks()
	r.scale()
	r.strategy()
	return r
}

func (r *rollout) scale() {
	n := int32(rapid.IntRange(0, 12).Draw(r.T, "replicas"))
	r.c.Spec.Replicas = &n
}

// claims changes the claim templates: their sizes, and which of them there are.
func (r *rollout) claims() {
	r.c.Spec.VolumeClaimTemplates = nil
	for _, name := range []string{"data", "logs"} {
		if size := rapid.SampledFrom([]string{"", "1Gi", "2Gi"}).Draw(r.T, "size of "+name); size != "" {
			r.c.Spec.VolumeClaimTemplates = append(r.c.Spec.VolumeClaimTemplates, claimTemplate(name, size))
		}
	}
}

func claimTemplate(name, size string) corev1.PersistentVolumeClaim {
	t := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	t.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	return t
}

// strategy draws the parameters of the update, within what the API allows.
func (r *rollout) strategy() {
	s := &v1beta1.RollingUpdateCloneSetStrategy{
		PodUpdatePolicy: rapid.SampledFrom([]v1beta1.PodUpdatePolicyType{
			v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType,
		}).Draw(r.T, "policy"),
		MaxUnavailable:        r.drawCount("maxUnavailable", 0, 4),
		Paused:                rapid.IntRange(0, 4).Draw(r.T, "paused") == 0,
		InPlaceUpdateStrategy: &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: int32(rapid.SampledFrom([]int{0, 0, 2}).Draw(r.T, "grace"))},
	}
	r.wasInPlaceOnly = r.wasInPlaceOnly || s.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType
	if s.PodUpdatePolicy != v1beta1.InPlaceOnlyPodUpdatePolicyType && rapid.Bool().Draw(r.T, "surge") {
		s.MaxSurge = r.drawCount("maxSurge", 1, 3)
	} else if *s.MaxUnavailable == intstr.FromInt32(0) {
		*s.MaxUnavailable = intstr.FromInt32(1)
	}
	if rapid.Bool().Draw(r.T, "partitioned") {
		s.Partition = r.drawCount("partition", 0, 12)
	}
	r.order(s)
	r.c.Spec.UpdateStrategy = v1beta1.CloneSetUpdateStrategy{Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType, RollingUpdate: s}
	if rapid.IntRange(0, 9).Draw(r.T, "on delete") == 0 {
		r.c.Spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
	}
}

// order draws priorities and scatter over labels that some pods get later.
func (r *rollout) order(s *v1beta1.RollingUpdateCloneSetStrategy) {
	switch rapid.SampledFrom([]string{"none", "none", "weight", "order"}).Draw(r.T, "priority") {
	case "weight":
		s.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{WeightPriority: []v1beta1.UpdatePriorityWeightTerm{
			{Weight: 50, MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{"rank": "1"}}},
		}}
	case "order":
		s.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: "rank"}}}
	}
	if rapid.IntRange(0, 3).Draw(r.T, "scattered") == 0 {
		s.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: "rank", Value: "2"}}
	}
}

// labelledClaim draws the one claim template, with a label.
func (r *rollout) labelledClaim() {
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data"}}
	claim.Labels = map[string]string{"tier": rapid.SampledFrom([]string{"fast", "slow"}).Draw(r.T, "tier of the claims")}
	size := rapid.SampledFrom([]string{"1Gi", "2Gi"}).Draw(r.T, "size of the claims")
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	r.c.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{claim}
}

// checkEveryClaim checks that every claim is what the one template says, those that wait for another pod included, and that there are
// such only where claims are used again.
func (r *rollout) checkEveryClaim() {
	used := map[string]bool{}
	for _, pod := range r.w.Pods {
		for _, v := range pod.Spec.Volumes {
			used[v.PersistentVolumeClaim.ClaimName] = true
		}
	}
	for _, claim := range r.w.Claims {
		if !storage.Matches(claim, &r.c.Spec.VolumeClaimTemplates[0]) {
			r.fatal(fmt.Sprintf("claim %s is not what its template says: %v", claim.Name, claim.ObjectMeta))
		}
		if !used[claim.Name] && !r.c.Spec.ScaleStrategy.EnablePVCReuse {
			r.fatal(fmt.Sprintf("claim %s is left", claim.Name))
		}
	}
}

func (r *rollout) doom() {
	name := r.somePod()
	if rapid.Bool().Draw(r.T, "by name") {
		r.c.Spec.ScaleStrategy.PodsToDelete = []string{name}
	} else if name != "" {
		r.must(r.w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels[v1beta1.SpecifiedDeleteKey] = "true" }))
	}
}

// revision is the template of a revision.
func (r *rollout) revision(name string) (*corev1.PodTemplateSpec, error) {
	view, err := r.c.View(r.w)
	r.must(err)
	return view.Template(name)
}

// pool is what the set wants.
func (r *rollout) pool() *podset.Pool {
	pool, err := r.c.Pool(r.w)
	r.must(err)
	return pool
}

func (r *rollout) observe() []replica.Replica {
	pods, err := r.c.Observe(r.w)
	r.must(err)
	return pods
}
