package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

const badImage = "web:bad"

// rollout is a random CloneSet in a random world. Its methods are what may happen next.
type rollout struct {
	*rapid.T
	w       *world.World
	c       *story.CloneSet
	history []string
}

func newRollout(t *rapid.T) *rollout {
	r := &rollout{T: t, w: world.New(), c: &story.CloneSet{Name: "demo"}}
	r.w.Bad[badImage] = true
	r.w.OldKubelet = rapid.Bool().Draw(t, "old kubelet")
	if rapid.Bool().Draw(t, "same digests") {
		r.w.Digests["web:1"], r.w.Digests["web:2"] = "sha256:same", "sha256:same"
	}
	spec := &r.c.Spec
	spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "demo"}, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}, {Name: "side", Image: "side:1"}}},
	}
	if rapid.Bool().Draw(t, "claims") {
		spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		spec.ScaleStrategy.EnablePVCReuse = rapid.Bool().Draw(t, "reuse of claims")
	}
	r.c.Options = workload.Options{
		PartitionRollback:       rapid.Bool().Draw(t, "partition rollback"),
		PreparingUpdateAsUpdate: rapid.IntRange(0, 3).Draw(t, "preparing counts as updated") == 0,
		ShortHash:               rapid.IntRange(0, 3).Draw(t, "short hash") == 0,
	}
	spec.MinReadySeconds = int32(rapid.SampledFrom([]int{0, 0, 0, 3}).Draw(t, "minReadySeconds"))
	spec.ScaleStrategy.ExcludePreparingDelete = rapid.Bool().Draw(t, "excludePreparingDelete")
	if rapid.Bool().Draw(t, "scale limit") {
		spec.ScaleStrategy.MaxUnavailable = r.drawCount("scale limit", 1, 4)
	}
	r.drawHooks()
	r.scale()
	r.strategy()
	return r
}

// drawHooks draws hooks of which some hold every pod from its creation on.
func (r *rollout) drawHooks() {
	hooks := &v1beta1.Lifecycle{}
	hold := func(name string) *v1beta1.LifecycleHook {
		if rapid.IntRange(0, 2).Draw(r.T, name+" hook") > 0 {
			return nil
		}
		if name != "preNormal" && rapid.Bool().Draw(r.T, name+" held from the start") {
			r.c.Spec.Template.Labels["hold/"+name] = "yes"
		}
		return &v1beta1.LifecycleHook{
			LabelsHandler:   map[string]string{"hold/" + name: "yes"},
			MarkPodNotReady: name != "preNormal" && rapid.Bool().Draw(r.T, name+" marks not ready"),
		}
	}
	hooks.PreDelete, hooks.InPlaceUpdate, hooks.PreNormal = hold("preDelete"), hold("inPlaceUpdate"), hold("preNormal")
	r.c.Spec.Lifecycle = hooks
}

func (r *rollout) drawCount(name string, low, high int) *intstr.IntOrString {
	v := intstr.FromInt(rapid.IntRange(low, high).Draw(r.T, name))
	if rapid.IntRange(0, 3).Draw(r.T, name+" in percent") == 0 {
		v = intstr.FromString(rapid.SampledFrom([]string{"1%", "20%", "50%", "99%", "100%"}).Draw(r.T, name))
	}
	return &v
}

func (r *rollout) scale() {
	n := int32(rapid.IntRange(0, 12).Draw(r.T, "replicas"))
	r.c.Spec.Replicas = &n
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

// rank labels a pod for priorities and scatter.
func (r *rollout) rank() {
	if name := r.somePod(); name != "" {
		rank := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(r.T, "rank")
		r.must(r.w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels["rank"] = rank }))
	}
}

func (r *rollout) image() {
	r.c.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2", "web:3", badImage}).Draw(r.T, "image")
	if rapid.Bool().Draw(r.T, "second image, too") {
		r.c.Spec.Template.Spec.Containers[1].Image = rapid.SampledFrom([]string{"side:1", "side:2"}).Draw(r.T, "second image")
	}
}

func (r *rollout) metadata() {
	r.c.Spec.Template.Annotations["note"] = rapid.SampledFrom([]string{"one", "two"}).Draw(r.T, "annotation")
}

// env makes a change that cannot be made in place.
func (r *rollout) env() {
	r.c.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{
		{Name: "LEVEL", Value: rapid.SampledFrom([]string{"1", "2"}).Draw(r.T, "env")},
	}
}

func (r *rollout) somePod() string {
	if len(r.w.Pods) == 0 {
		return ""
	}
	var names []string
	for _, pod := range r.w.Pods {
		names = append(names, pod.Name)
	}
	return rapid.SampledFrom(names).Draw(r.T, "pod")
}

func (r *rollout) lose() { r.w.Lose(r.somePod()) }

// remove deletes a pod as a user does, with its grace period.
func (r *rollout) remove() {
	if name := r.somePod(); name != "" {
		r.must(r.w.Delete(name, ""))
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

// kubelet lets the cluster look at one pod alone.
func (r *rollout) kubelet() { r.w.Sync(r.somePod()) }

func (r *rollout) tick() { r.w.Tick(time.Second) }

// hooks lets go of every pod, or holds it again, as its state asks for.
func (r *rollout) hooks() {
	for _, pod := range slices.Clone(r.w.Pods) {
		r.must(r.w.Edit(pod.Name, func(m *metav1.ObjectMeta) {
			switch lifecycle.State(m.Labels[v1beta1.LifecycleStateKey]) {
			case lifecycle.PreparingDelete:
				delete(m.Labels, "hold/preDelete")
			case lifecycle.PreparingUpdate:
				delete(m.Labels, "hold/inPlaceUpdate")
			case lifecycle.Updated:
				m.Labels["hold/inPlaceUpdate"] = "yes"
			case lifecycle.PreparingNormal:
				m.Labels["hold/preNormal"] = "yes"
			}
		}))
	}
}

// round lets the controller decide and carry out a part of its plan; some steps are refused, and the rest is lost, as in a
// crash.
func (r *rollout) round() {
	refused := func(podset.Step) bool { return rapid.IntRange(0, 9).Draw(r.T, "a step is refused") == 0 }
	if rapid.Bool().Draw(r.T, "all steps are taken") {
		refused = nil
	}
	r.reconcileBut(rapid.IntRange(0, 20).Draw(r.T, "writes before the crash"), refused)
}

func (r *rollout) must(err error) {
	if err != nil {
		r.fatal(err)
	}
}

// fatal fails with the story so far.
func (r *rollout) fatal(what any) {
	r.Helper()
	r.Fatalf("%v\nthe latest rounds:\n%s", what, strings.Join(r.history[max(len(r.history)-8, 0):], "\n"))
}

// reconcile makes a plan, checks it, and carries out at most so many writes, checking the world after each.
func (r *rollout) reconcile(most int) podset.Plan { return r.reconcileBut(most, nil) }

// reconcileBut is reconcile without the steps that are refused.
func (r *rollout) reconcileBut(most int, refused func(podset.Step) bool) podset.Plan {
	round, err := r.c.Decide(r.w)
	if round != nil {
		r.remember(round.Pool, round.Pods, round.Plan)
	}
	r.must(err)
	r.checkPermutation(round.Pool, round.Pods)
	if refused != nil {
		round.Plan.Steps = slices.DeleteFunc(round.Plan.Steps, refused)
	}
	r.must(round.Act(r.w, most))
	return round.Plan
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

// remember writes down what a person needs to follow a failure.
func (r *rollout) remember(pool *podset.Pool, pods []replica.Replica, plan podset.Plan) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: want %d, %+v, paused %v, %s to %s (before: %s)\n", r.w.Now.Format("04:05"), pool.Replicas, pool.Rolling,
		pool.Paused, pool.Policy, pool.UpdateRevision, pool.CurrentRevision)
	for i := range pods {
		p := &pods[i]
		fmt.Fprintf(&b, "  %s %s %q stage %d ready %v available %v doomed %v holds %+v terminating %v %s\n",
			p.Name, p.Revision, p.State, p.Stage, p.Ready, p.Available, p.SpecifiedDelete || pool.Doomed[p.Name], p.Holds, p.Terminating, p.Trouble)
	}
	b.WriteString(describe(plan))
	r.history = append(r.history, b.String())
}

// describe writes a plan as text, without what differs between equal plans.
func describe(plan podset.Plan) string {
	var b strings.Builder
	for _, s := range plan.Steps {
		name := s.Slot
		if s.Pod != nil {
			name = s.Pod.Name
		}
		fmt.Fprintf(&b, "  -> %s %s to %q %q (%s)\n", s.Do, name, s.To, s.State, s.Why)
	}
	for _, n := range plan.Notes {
		fmt.Fprintf(&b, "  -- %s of %d: %s\n", n.Wish, n.Pods, n.Because)
	}
	fmt.Fprintf(&b, "  wake %v tally %+v\n", plan.Wake, plan.Tally)
	return b.String()
}
