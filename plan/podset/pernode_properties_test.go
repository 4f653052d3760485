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
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

func TestEveryPromiseToNodesHoldsWhateverHappensAndTheEndIsReachedAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newNodes(t)
		happen := map[string]func(){
			"image": r.image, "metadata": r.metadata, "env": r.env, "strategy": r.strategy, "come": r.come, "go": r.leave,
			"trouble": r.trouble, "label": r.label, "pod": r.pod, "tick": r.tick, "hooks": r.hooks, "round": r.round,
		}
		// What moves things on is drawn more often than what disturbs.
		names := []string{"image", "metadata", "env", "strategy", "come", "go", "trouble", "trouble", "label", "pod", "pod", "hooks",
			"tick", "tick", "tick", "tick", "tick", "round", "round", "round", "round", "round"}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			happen[rapid.SampledFrom(names).Draw(t, "event")]()
		}
		r.finish()
	})
}

// nodes is a random DaemonSet in a random world. Its methods are what may happen next.
type nodes struct {
	*rapid.T
	w       *world.World
	d       *story.DaemonSet
	names   int
	history []string
}

func newNodes(t *rapid.T) *nodes {
	r := &nodes{T: t, w: world.New()}
	r.w.SetNodes(0)
	r.w.Bad[badImage] = true
	for range rapid.IntRange(0, 8).Draw(t, "nodes") {
		r.come()
	}
	spec := v1beta1.DaemonSetSpec{MinReadySeconds: int32(rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "minReadySeconds"))}
	spec.Template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "demo"}, Annotations: map[string]string{}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}}},
	}
	if rapid.IntRange(0, 2).Draw(t, "selects nodes") == 0 {
		spec.Template.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	}
	if rapid.IntRange(0, 2).Draw(t, "hook") == 0 {
		spec.Template.Labels["hold/preDelete"] = "yes"
		spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{
			LabelsHandler:   map[string]string{"hold/preDelete": "yes"},
			MarkPodNotReady: rapid.Bool().Draw(t, "marks not ready"),
		}}
	}
	if rapid.IntRange(0, 2).Draw(t, "burst") == 0 {
		spec.BurstReplicas = new(intstr.FromInt(rapid.IntRange(1, 3).Draw(t, "burstReplicas")))
	}
	r.d = story.NewDaemonSet("demo", spec)
	r.d.Options.PruneIneligible = rapid.Bool().Draw(t, "prune ineligible nodes")
	r.d.Options.BindDirectly = rapid.IntRange(0, 3).Draw(t, "bind directly") == 0
	r.strategy()
	return r
}

func (r *nodes) strategy() {
	s := &v1beta1.RollingUpdateDaemonSet{
		Type:   rapid.SampledFrom([]v1beta1.RollingUpdateType{v1beta1.StandardRollingUpdateType, v1beta1.InplaceRollingUpdateType}).Draw(r.T, "type"),
		Paused: new(rapid.IntRange(0, 4).Draw(r.T, "paused") == 0),
	}
	drawn := func(name string, low int) *intstr.IntOrString {
		v := intstr.FromInt(rapid.IntRange(low, 4).Draw(r.T, name))
		if rapid.IntRange(0, 3).Draw(r.T, name+" in percent") == 0 {
			v = intstr.FromString(rapid.SampledFrom([]string{"1%", "20%", "50%", "99%", "100%"}).Draw(r.T, name))
		}
		return &v
	}
	if s.Type == v1beta1.StandardRollingUpdateType && rapid.Bool().Draw(r.T, "surge") {
		s.MaxSurge, s.MaxUnavailable = drawn("maxSurge", 1), new(intstr.FromInt32(0))
	} else {
		s.MaxUnavailable = drawn("maxUnavailable", 1)
	}
	if rapid.Bool().Draw(r.T, "partitioned") {
		s.Partition = drawn("partition", 0)
	}
	if rapid.IntRange(0, 3).Draw(r.T, "updates some nodes") == 0 {
		s.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"zone": "a"}}
	}
	r.d.Spec.UpdateStrategy = v1beta1.DaemonSetUpdateStrategy{Type: v1beta1.RollingUpdateDaemonSetStrategyType, RollingUpdate: s}
	if rapid.IntRange(0, 9).Draw(r.T, "on delete") == 0 {
		r.d.Spec.UpdateStrategy.Type = v1beta1.OnDeleteDaemonSetStrategyType
	}
	r.d.Spec.ScaleStrategy = &v1beta1.DaemonSetScaleStrategy{PartitionedScaling: rapid.IntRange(0, 3).Draw(r.T, "partitioned scaling") == 0}
}

func (r *nodes) image() {
	r.d.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2", "web:3", badImage}).Draw(r.T, "image")
}

func (r *nodes) metadata() {
	r.d.Spec.Template.Annotations["note"] = rapid.SampledFrom([]string{"one", "two"}).Draw(r.T, "annotation")
}

// env makes a change that cannot be made in place.
func (r *nodes) env() {
	r.d.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "LEVEL", Value: rapid.SampledFrom([]string{"1", "2"}).Draw(r.T, "env")}}
}

func (r *nodes) come() {
	r.w.AddNode(fmt.Sprintf("node-%d", r.names))
	r.names++
	r.label()
}

func (r *nodes) leave() {
	if name := r.someNode(); name != "" {
		r.w.RemoveNode(name)
	}
}

func (r *nodes) someNode() string {
	if len(r.w.Nodes) == 0 {
		return ""
	}
	return r.w.Nodes[rapid.IntRange(0, len(r.w.Nodes)-1).Draw(r.T, "node")].Name
}

func (r *nodes) label() {
	if name := r.someNode(); name != "" {
		r.must(r.w.ChangeNode(name, func(n *corev1.Node) {
			n.Labels["disk"] = rapid.SampledFrom([]string{"ssd", "ssd", "hdd"}).Draw(r.T, "disk")
			n.Labels["zone"] = rapid.SampledFrom([]string{"a", "b"}).Draw(r.T, "zone")
		}))
	}
}

// trouble begins or ends trouble on a node.
func (r *nodes) trouble() {
	name, is := r.someNode(), rapid.Bool().Draw(r.T, "begins")
	if name == "" {
		return
	}
	switch rapid.SampledFrom([]string{"cordon", "taint", "drive out", "lose", "fill"}).Draw(r.T, "trouble") {
	case "cordon":
		r.must(r.w.Cordon(name, is))
	case "taint":
		r.must(r.w.Taint(name, corev1.Taint{Key: "team", Effect: corev1.TaintEffectNoSchedule}, is))
	case "drive out":
		r.must(r.w.Taint(name, corev1.Taint{Key: "broken", Effect: corev1.TaintEffectNoExecute}, is))
	case "lose":
		r.must(r.w.LoseNode(name, is))
	case "fill":
		r.w.Full[name] = is
	}
}

// pod does something to one pod.
func (r *nodes) pod() {
	if len(r.w.Pods) == 0 {
		return
	}
	name := r.w.Pods[rapid.IntRange(0, len(r.w.Pods)-1).Draw(r.T, "pod")].Name
	switch rapid.SampledFrom([]string{"lose", "delete", "evict", "doom", "sync"}).Draw(r.T, "what becomes of it") {
	case "lose":
		r.w.Lose(name)
	case "delete":
		r.must(r.w.Delete(name, ""))
	case "evict":
		r.must(r.w.Evict(name))
	case "doom":
		r.must(r.w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels[v1beta1.SpecifiedDeleteKey] = "true" }))
	case "sync":
		r.w.Sync(name)
	}
}

func (r *nodes) tick() { r.w.Tick(time.Second) }

// hooks lets go of the pods that are held.
func (r *nodes) hooks() {
	for _, pod := range slices.Clone(r.w.Pods) {
		if lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]) == lifecycle.PreparingDelete {
			r.must(r.w.Edit(pod.Name, func(m *metav1.ObjectMeta) { delete(m.Labels, "hold/preDelete") }))
		}
	}
}

// round lets the controller decide and carry out a part of its plan; some steps are refused, and the rest is lost, as in a
// crash.
func (r *nodes) round() {
	var refused func(podset.Step) bool
	if rapid.Bool().Draw(r.T, "some steps are refused") {
		refused = func(podset.Step) bool { return rapid.IntRange(0, 9).Draw(r.T, "a step is refused") == 0 }
	}
	r.reconcile(rapid.IntRange(0, 20).Draw(r.T, "writes before the crash"), refused)
}

func (r *nodes) reconcile(most int, refused func(podset.Step) bool) *story.NodeRound {
	round, err := r.d.Decide(r.w)
	if round != nil {
		r.remember(round)
	}
	r.must(err)
	r.checkPermutation(round)
	if refused != nil {
		round.Plan.Steps = slices.DeleteFunc(round.Plan.Steps, refused)
	}
	r.must(round.Act(r.w, most))
	return round
}

// checkPermutation checks that the order in which pods are listed makes no difference.
func (r *nodes) checkPermutation(round *story.NodeRound) {
	other := slices.Clone(round.Pods)
	slices.Reverse(other)
	if a, b := describe(round.Plan), describe(round.Want.Plan(r.w.Now, other)); a != b {
		r.fatal("the same pods in another order give another plan:\n" + a + "and:\n" + b)
	}
}

// finish ends all trouble, and waits for the end.
func (r *nodes) finish() {
	clear(r.w.Full)
	for _, node := range r.w.Nodes {
		r.must(r.w.LoseNode(node.Name, false))
		r.must(r.w.Taint(node.Name, corev1.Taint{Key: "team", Effect: corev1.TaintEffectNoSchedule}, false))
	}
	if rapid.Bool().Draw(r.T, "the registry is repaired") {
		clear(r.w.Bad)
	} else {
		r.d.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:3"}).Draw(r.T, "good image")
		u := &r.d.Spec.UpdateStrategy
		u.Type, u.RollingUpdate.Paused, u.RollingUpdate.Partition, u.RollingUpdate.Selector = v1beta1.RollingUpdateDaemonSetStrategyType, nil, nil, nil
	}
	rest := 0
	for range enough {
		round := r.reconcile(1000, nil)
		if rest++; len(round.Plan.Steps) > 0 || !round.Plan.Wake.IsZero() {
			rest = 0
		}
		if rest > 6 { // longer than a container takes to start
			r.checkEnd(round)
			return
		}
		r.hooks()
		r.tick()
	}
	r.fatal(fmt.Sprintf("no rest after %d rounds", enough))
}

// checkEnd checks that what is wanted is so.
func (r *nodes) checkEnd(round *story.NodeRound) {
	want, c := round.Want, story.NodeCensusOf(round.Want, round.Pods)
	active := 0
	for i := range round.Pods {
		active += count(round.Pods[i].Active())
	}
	held := 0
	if want.PartitionedScaling {
		held = c.Held
	}
	switch {
	case c.Available+held != c.Desired:
		r.fatal(fmt.Sprintf("%d of %d nodes have an available pod in the end", c.Available, c.Desired))
	case active+held != c.Desired+round.Plan.Tally.Misscheduled:
		r.fatal(fmt.Sprintf("%d pods in the end, for %d nodes", active, c.Desired))
	case c.Doomed > 0:
		r.fatal(fmt.Sprintf("%d pods that were asked to go are still there", c.Doomed))
	case !want.Paused && !want.OnDelete && min(c.Old, c.Desired-want.Partition-c.Settled) > 0:
		r.fatal(fmt.Sprintf("%d nodes have old pods in the end, the partition is %d", c.Old, want.Partition))
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (r *nodes) must(err error) {
	if err != nil {
		r.fatal(err)
	}
}

// fatal fails with the story so far.
func (r *nodes) fatal(what any) {
	r.Helper()
	r.Fatalf("%v\nthe latest rounds:\n%s", what, strings.Join(r.history[max(len(r.history)-8, 0):], "\n"))
}

// remember writes down what a person needs to follow a failure.
func (r *nodes) remember(round *story.NodeRound) {
	var b strings.Builder
	want := round.Want
	fmt.Fprintf(&b, "%s: %+v, paused %v, on delete %v, burst %d, partitioned scaling %v, %s to %s\n", r.w.Now.Format("04:05"), want.Rolling,
		want.Paused, want.OnDelete, want.Burst, want.PartitionedScaling, want.Policy, want.UpdateRevision)
	for _, n := range want.Nodes {
		fmt.Fprintf(&b, "  %s runs %v keeps %v lost %v excluded %v\n", n.Name, n.Runs, n.Keeps, n.Lost, n.Excluded)
	}
	for i := range round.Pods {
		p := &round.Pods[i]
		fmt.Fprintf(&b, "  %s on %s %s %q phase %d stage %d ready %v available %v doomed %v terminating %v %s\n",
			p.Name, p.Node, p.Revision, p.State, p.Phase, p.Stage, p.Ready, p.Available, p.SpecifiedDelete, p.Terminating, p.Trouble)
	}
	b.WriteString(describe(round.Plan))
	r.history = append(r.history, b.String())
}
