package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func TestEveryPromiseOfSidecarsHoldsWhateverHappensAndTheEndIsReachedAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newGuests(t)
		happen := map[string]func(){
			"image": r.image, "env": r.env, "strategy": r.strategy, "come": r.come, "go": r.leave, "trouble": r.trouble,
			"tick": r.tick, "kubelet": r.kubelet, "round": r.round,
		}
		// What moves things on is drawn more often than what disturbs.
		names := []string{"image", "image", "env", "strategy", "come", "go", "trouble", "kubelet", "kubelet",
			"tick", "tick", "tick", "tick", "tick", "round", "round", "round", "round", "round"}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			happen[rapid.SampledFrom(names).Draw(t, "event")]()
		}
		r.finish()
	})
}

// guests is a random SidecarSet in a random world. Its methods are what may happen next.
type guests struct {
	*rapid.T
	w       *world.World
	s       *story.SidecarSet
	history []string
}

func newGuests(t *rapid.T) *guests {
	r := &guests{T: t, w: world.New()}
	r.w.Bad["side:bad"] = true
	r.w.OldKubelet = rapid.IntRange(0, 3).Draw(t, "old kubelet") == 0
	r.w.ReadyTakes = time.Duration(rapid.IntRange(0, 2).Draw(t, "ready takes")) * time.Second
	if rapid.Bool().Draw(t, "same digests") {
		r.w.Digests["side:1"], r.w.Digests["side:2"] = "sha256:same", "sha256:same"
	}
	side := func(name string) v1beta1.SidecarContainer {
		return v1beta1.SidecarContainer{Container: corev1.Container{Name: name, Image: "side:1"}}
	}
	r.s = &story.SidecarSet{Name: "demo", Spec: v1beta1.SidecarSetSpec{Containers: []v1beta1.SidecarContainer{side("cold")}}}
	if rapid.Bool().Draw(t, "a hot one") {
		hot := side("hot")
		hot.UpgradeStrategy = v1beta1.SidecarContainerUpgradeStrategy{UpgradeType: v1beta1.SidecarContainerHotUpgrade, HotUpgradeEmptyImage: "idle:1"}
		r.s.Spec.Containers = append(r.s.Spec.Containers, hot)
	}
	if rapid.Bool().Draw(t, "a native one") {
		native := side("native")
		native.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		r.s.Spec.InitContainers = []v1beta1.SidecarContainer{native}
	}
	for range rapid.IntRange(0, 3).Draw(t, "pods from the start") {
		r.come()
	}
	r.strategy()
	return r
}

func (r *guests) image() {
	for _, list := range [][]v1beta1.SidecarContainer{r.s.Spec.Containers, r.s.Spec.InitContainers} {
		for i := range list {
			if rapid.IntRange(0, 2).Draw(r.T, "changes "+list[i].Name) > 0 {
				list[i].Image = rapid.SampledFrom([]string{"side:1", "side:2", "side:3", "side:bad"}).Draw(r.T, "image of "+list[i].Name)
			}
		}
	}
}

// env makes a change that cannot be made in place.
func (r *guests) env() {
	r.s.Spec.Containers = slices.Clone(r.s.Spec.Containers)
	r.s.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: rapid.SampledFrom([]string{"1", "2"}).Draw(r.T, "env")}}
}

func (r *guests) strategy() {
	count := func(name string) *intstr.IntOrString {
		v := intstr.FromInt(rapid.IntRange(0, 4).Draw(r.T, name))
		if rapid.IntRange(0, 3).Draw(r.T, name+" in percent") == 0 {
			v = intstr.FromString(rapid.SampledFrom([]string{"0%", "1%", "20%", "50%", "99%", "100%"}).Draw(r.T, name))
		}
		return &v
	}
	s := v1beta1.SidecarSetUpdateStrategy{Paused: rapid.IntRange(0, 4).Draw(r.T, "paused") == 0, MaxUnavailable: count("maxUnavailable")}
	switch rapid.IntRange(0, 3).Draw(r.T, "which pods") {
	case 0:
		s.Partition = count("partition")
	case 1:
		s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}
	}
	if rapid.Bool().Draw(r.T, "scattered") {
		s.ScatterStrategy = []v1beta1.UpdateScatterTerm{{Key: "zone", Value: "*"}}
	}
	if rapid.IntRange(0, 9).Draw(r.T, "not updated") == 0 {
		s.Type = v1beta1.NotUpdateSidecarSetStrategyType
	}
	r.s.Spec.UpdateStrategy = s
}

func (r *guests) come() {
	zone := rapid.SampledFrom([]string{"a", "b"}).Draw(r.T, "zone")
	r.must(r.s.AddPods(r.w, rapid.IntRange(1, 4).Draw(r.T, "new pods"), map[string]string{"zone": zone}))
}

func (r *guests) pod() string {
	if len(r.w.Pods) == 0 {
		return ""
	}
	return r.w.Pods[rapid.IntRange(0, len(r.w.Pods)-1).Draw(r.T, "pod")].Name
}

func (r *guests) leave() {
	name := r.pod()
	if name == "" {
		return
	}
	switch rapid.IntRange(0, 2).Draw(r.T, "how") {
	case 0:
		r.w.Lose(name)
	case 1:
		r.must(r.w.Evict(name))
	default:
		r.must(r.w.Delete(name, ""))
	}
}

// trouble lets containers of the pods' authors break or recover, or an image of a sidecar never be ready.
func (r *guests) trouble() {
	image := rapid.SampledFrom([]string{"main:1", "side:3"}).Draw(r.T, "which")
	r.w.Unready[image] = !r.w.Unready[image]
}

func (r *guests) tick() { r.w.Tick(time.Second) }

func (r *guests) kubelet() {
	if name := r.pod(); name != "" {
		r.w.Sync(name)
	}
}

// round lets the controller decide and carry out a part of its plan; the rest is lost, as in a crash.
func (r *guests) round() { r.act(rapid.SampledFrom([]int{0, 1, 2, story.NoLimit}).Draw(r.T, "writes")) }

func (r *guests) act(writes int) *story.SidecarRound {
	round, err := r.s.Decide(r.w)
	if err != nil {
		r.fatal(err)
	}
	r.history = append(r.history, fmt.Sprintf("%s: %+v\n  steps %v\n  notes %v", r.w.Now.Format(time.TimeOnly), describeGuests(round.Pods), stepsOf(round.Plan), round.Plan.Notes))
	shuffled := rapid.Permutation(round.Pods).Draw(r.T, "another order")
	if again := round.Want.Plan(r.w.Now, shuffled); stepsOf(again) != stepsOf(round.Plan) {
		r.fatal(fmt.Sprintf("in another order the plan is another: %s", stepsOf(again)))
	}
	r.must(round.Act(r.w, writes))
	return round
}

func stepsOf(p podset.Plan) string {
	var words []string
	for _, s := range p.Steps {
		words = append(words, fmt.Sprintf("%s %s to %s", s.Do, s.Pod.Name, s.To))
	}
	return strings.Join(words, ", ")
}

func describeGuests(pods []replica.Replica) string {
	var words []string
	for i := range pods {
		r := &pods[i]
		words = append(words, fmt.Sprintf("%s:%s ready=%t stage=%d", r.Name, r.Revision, r.Ready, r.Stage))
	}
	return strings.Join(words, " | ")
}

func (r *guests) must(err error) {
	if err != nil {
		r.fatal(err)
	}
}

// fatal fails with the story so far.
func (r *guests) fatal(what any) {
	r.Helper()
	r.Fatalf("%v\nthe latest rounds:\n%s", what, strings.Join(r.history[max(len(r.history)-8, 0):], "\n"))
}

// finish makes the world fair, and the end is reached: every pod that is to be upgraded is, and nothing is left half done.
func (r *guests) finish() {
	r.w.Unready = map[string]bool{}
	for _, list := range [][]v1beta1.SidecarContainer{r.s.Spec.Containers, r.s.Spec.InitContainers} {
		for i := range list {
			if r.w.Bad[list[i].Image] {
				list[i].Image = "side:2"
			}
		}
	}
	r.s.Spec.UpdateStrategy.MaxUnavailable = new(intstr.FromInt(rapid.IntRange(1, 3).Draw(r.T, "maxUnavailable in the end")))
	var round *story.SidecarRound
	for range enough {
		round = r.act(story.NoLimit)
		r.w.Tick(time.Second)
		if len(round.Plan.Steps) == 0 && r.settled(round) {
			break
		}
	}
	r.checkEnd(round)
}

func (r *guests) settled(round *story.SidecarRound) bool {
	return !slices.ContainsFunc(round.Pods, func(p replica.Replica) bool { return p.Active() && !p.Available })
}

func (r *guests) checkEnd(round *story.SidecarRound) {
	want, wanted, old, lost := round.Want, 0, 0, 0
	for i := range round.Pods {
		p := &round.Pods[i]
		if !p.Active() {
			continue
		}
		switch stuck := !want.IsNew(p.Revision) && r.bad(p.Name); {
		case !p.Available && !stuck:
			pod := r.w.Pod(p.Name)
			r.fatal(fmt.Sprintf("pod %s is not back in the end:\n%+v\n%v\n%v", p.Name, *p, pod.Annotations, pod.Spec.Containers))
		case p.Stage == inplace.NextBatch:
			r.fatal(fmt.Sprintf("pod %s is left in a hot upgrade", p.Name))
		}
		switch {
		case want.IsNew(p.Revision):
		case want.Blocked(p) != "" || want.Selects != nil && !want.Selects(p):
			if !p.Available && !want.Excused(p) { // upgraded to a bad image once, and not to be upgraded any more
				lost++
			}
		default:
			old++
		}
	}
	if !want.Paused && !want.NotUpdate {
		wanted = max(old-want.Partition, 0)
	}
	if wanted > 0 && lost < want.MaxUnavailable {
		r.fatal(fmt.Sprintf("%d pods more are to be upgraded in the end", wanted))
	}
}

// bad says whether a pod has an image that cannot be pulled, and that nothing takes away.
func (r *guests) bad(name string) bool {
	pod := r.w.Pod(name)
	return slices.ContainsFunc(slices.Concat(pod.Spec.Containers, pod.Spec.InitContainers), func(c corev1.Container) bool { return r.w.Bad[c.Image] })
}
