package podset_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

const badImage = "web:bad"

// enough is a number of rounds, one second each, in which any rollout of at most 12 pods must come to its end: each pod
// takes about a dozen seconds for itself, with hooks, grace and minReadySeconds, and may be replaced more than once.
const enough = 600

// chaos is what may happen to a workload of any kind in a random world.
type chaos struct {
	*rapid.T
	w        *world.World
	template *corev1.PodTemplateSpec // of the workload
	inPlace  inplace.Options
	// decide lets the controller decide, and checkEnd checks what is reached in the end.
	decide   func() (decided, error)
	checkEnd func(podset.Plan)
	// templateOf finds the template of a revision.
	templateOf func(revision string) (*corev1.PodTemplateSpec, error)
	history    []string
}

// decided is one turn of a controller.
type decided struct {
	wanted string // in words
	pods   []replica.Replica
	plan   *podset.Plan
	// again decides about pods at the same time, and act carries the plan out.
	again func(pods []replica.Replica) podset.Plan
	act   func(w *world.World, writes int) error
}

// newChaos begins with an empty world and two containers in the template, which may start in an order, take labels and annotations
// into their environment, and ask for cpu.
func newChaos(t *rapid.T, template *corev1.PodTemplateSpec) chaos {
	r := chaos{T: t, w: world.New(), template: template}
	r.w.Bad[badImage] = true
	r.w.OldKubelet = rapid.Bool().Draw(t, "old kubelet")
	if rapid.Bool().Draw(t, "same digests") {
		r.w.Digests["web:1"], r.w.Digests["web:2"] = "sha256:same", "sha256:same"
	}
	r.inPlace = inplace.Options{Resources: rapid.Bool().Draw(t, "pods are resized"), EnvFromMetadata: rapid.Bool().Draw(t, "env is renewed")}
	r.w.Agent = r.inPlace.EnvFromMetadata
	r.w.ReadyTakes = time.Duration(rapid.SampledFrom([]int{0, 0, 2}).Draw(t, "getting ready takes")) * time.Second
	*template = corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "demo", tier: "silver"}, Annotations: map[string]string{tier: "silver"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1"}, {Name: "side", Image: "side:1"}}},
	}
	order := rapid.SampledFrom([]string{"", "", "by priority", "as listed"}).Draw(t, "containers start in an order")
	if order == "as listed" {
		template.Annotations[v1beta1.ContainerLaunchPriorityKey] = v1beta1.ContainerLaunchOrdered
	}
	for i := range template.Spec.Containers {
		r.drawContainer(&template.Spec.Containers[i])
		if order == "by priority" { // the sidecar first
			c := &template.Spec.Containers[i]
			c.Env = append(c.Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: fmt.Sprint(i)})
		}
	}
	return r
}

// tier is a label and an annotation that containers may take into their environment.
const tier = "tier"

func (r *chaos) drawContainer(c *corev1.Container) {
	if from := rapid.SampledFrom([]string{"", "", "labels", "annotations"}).Draw(r.T, c.Name+" takes in"); from != "" {
		field := &corev1.ObjectFieldSelector{FieldPath: fmt.Sprintf("metadata.%s['%s']", from, tier)}
		c.Env = []corev1.EnvVar{{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: field}}}
	}
	if rapid.Bool().Draw(r.T, c.Name+" asks for cpu") {
		c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	}
	if rapid.IntRange(0, 2).Draw(r.T, c.Name+" restarts for cpu") == 0 {
		c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	}
}

// drawHooks draws hooks of which some hold every pod from its creation on.
func (r *chaos) drawHooks() *v1beta1.Lifecycle {
	hooks := &v1beta1.Lifecycle{}
	hold := func(name string) *v1beta1.LifecycleHook {
		if rapid.IntRange(0, 2).Draw(r.T, name+" hook") > 0 {
			return nil
		}
		if name != "preNormal" && rapid.Bool().Draw(r.T, name+" held from the start") {
			r.template.Labels["hold/"+name] = "yes"
		}
		return &v1beta1.LifecycleHook{
			LabelsHandler:   map[string]string{"hold/" + name: "yes"},
			MarkPodNotReady: name != "preNormal" && rapid.Bool().Draw(r.T, name+" marks not ready"),
		}
	}
	hooks.PreDelete, hooks.InPlaceUpdate, hooks.PreNormal = hold("preDelete"), hold("inPlaceUpdate"), hold("preNormal")
	return hooks
}

func (r *chaos) drawCount(name string, low, high int) *intstr.IntOrString {
	v := intstr.FromInt(rapid.IntRange(low, high).Draw(r.T, name))
	if rapid.IntRange(0, 3).Draw(r.T, name+" in percent") == 0 {
		v = intstr.FromString(rapid.SampledFrom([]string{"1%", "20%", "50%", "99%", "100%"}).Draw(r.T, name))
	}
	return &v
}

// rank labels a pod for priorities and scatter.
func (r *chaos) rank() {
	if name := r.somePod(); name != "" {
		rank := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(r.T, "rank")
		r.must(r.w.Edit(name, func(m *metav1.ObjectMeta) { m.Labels["rank"] = rank }))
	}
}

func (r *chaos) image() {
	r.template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2", "web:3", badImage}).Draw(r.T, "image")
	if rapid.Bool().Draw(r.T, "second image, too") {
		r.template.Spec.Containers[1].Image = rapid.SampledFrom([]string{"side:1", "side:2", badImage}).Draw(r.T, "second image")
	}
}

// tier changes a label or an annotation, which containers may take into their environment.
func (r *chaos) tier() {
	of := r.template.Labels
	if rapid.Bool().Draw(r.T, "of the annotations") {
		of = r.template.Annotations
	}
	of[tier] = rapid.SampledFrom([]string{"silver", "gold"}).Draw(r.T, tier)
}

// cpu asks for other cpu for a container, or for both.
func (r *chaos) cpu() {
	names := rapid.SampledFrom([]string{"web", "side", "web side"}).Draw(r.T, "resized")
	for i := range r.template.Spec.Containers {
		if c := &r.template.Spec.Containers[i]; c.Resources.Requests != nil && strings.Contains(names, c.Name) {
			cpu := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(r.T, "cpu of "+c.Name)
			c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu)}
		}
	}
}

// resizes changes what kubelets say to a resize.
func (r *chaos) resizes() {
	r.w.Resize = rapid.SampledFrom([]string{"", "", corev1.PodReasonDeferred, corev1.PodReasonInfeasible}).Draw(r.T, "a resize is")
}

func (r *chaos) metadata() {
	r.template.Annotations["note"] = rapid.SampledFrom([]string{"one", "two"}).Draw(r.T, "annotation")
}

// env makes a change that cannot be made in place.
func (r *chaos) env() {
	c := &r.template.Spec.Containers[0]
	others := slices.DeleteFunc(slices.Clone(c.Env), func(e corev1.EnvVar) bool { return e.Name == "LEVEL" })
	others = append(others, corev1.EnvVar{Name: "LEVEL", Value: rapid.SampledFrom([]string{"1", "2"}).Draw(r.T, "env")})
	c.Env = others
}

// repair ends all trouble, either by repairing what is bad or by asking for something good, and says which.
func (r *chaos) repair() (asked bool) {
	r.w.Resize = ""
	if rapid.Bool().Draw(r.T, "the registry is repaired") {
		clear(r.w.Bad)
		return false
	}
	r.template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:3"}).Draw(r.T, "good image")
	r.template.Spec.Containers[1].Image = "side:1"
	return true
}

func (r *chaos) somePod() string {
	if len(r.w.Pods) == 0 {
		return ""
	}
	var names []string
	for _, pod := range r.w.Pods {
		names = append(names, pod.Name)
	}
	return rapid.SampledFrom(names).Draw(r.T, "pod")
}

func (r *chaos) lose() { r.w.Lose(r.somePod()) }

// remove deletes a pod as a user does, with its grace period.
func (r *chaos) remove() {
	if name := r.somePod(); name != "" {
		r.must(r.w.Delete(name, ""))
	}
}

// kubelet lets the cluster look at one pod alone.
func (r *chaos) kubelet() { r.w.Sync(r.somePod()) }

func (r *chaos) tick() { r.w.Tick(time.Second) }

// hooks lets go of every pod, or holds it again, as its state asks for.
func (r *chaos) hooks() {
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

func (r *chaos) must(err error) {
	if err != nil {
		r.fatal(err)
	}
}

// fatal fails with the story so far.
func (r *chaos) fatal(what any) {
	r.Helper()
	r.Fatalf("%v\nthe latest rounds:\n%s", what, strings.Join(r.history[max(len(r.history)-8, 0):], "\n"))
}

// happen lets things happen that have names. What moves things on is drawn more often than what disturbs.
func (r *chaos) happen(what map[string]func(), disturb ...string) {
	names := slices.Concat(disturb, []string{"tick", "tick", "tick", "tick", "tick", "round", "round", "round", "round", "round"})
	for range rapid.IntRange(0, 60).Draw(r.T, "events") {
		what[rapid.SampledFrom(names).Draw(r.T, "event")]()
	}
}

// round lets the controller decide and carry out a part of its plan; some steps are refused, and the rest is lost, as in a
// crash.
func (r *chaos) round() {
	refused := func(podset.Step) bool { return rapid.IntRange(0, 9).Draw(r.T, "a step is refused") == 0 }
	if rapid.Bool().Draw(r.T, "all steps are taken") {
		refused = nil
	}
	r.reconcileBut(rapid.IntRange(0, 20).Draw(r.T, "writes before the crash"), refused)
}

// reconcile makes a plan, checks it, and carries out at most so many writes, checking the world after each.
func (r *chaos) reconcile(most int) podset.Plan { return r.reconcileBut(most, nil) }

// reconcileBut is reconcile without the steps that are refused.
func (r *chaos) reconcileBut(most int, refused func(podset.Step) bool) podset.Plan {
	round, err := r.decide()
	if round.plan != nil {
		r.remember(round)
	}
	r.must(err)
	r.checkPermutation(round)
	if refused != nil {
		round.plan.Steps = slices.DeleteFunc(round.plan.Steps, refused)
	}
	r.must(round.act(r.w, most))
	return *round.plan
}

// settle runs controller and cluster until nothing happens any more, and checks what is reached.
func (r *chaos) settle() {
	rest := 0
	for range enough {
		plan := r.reconcile(1000)
		if rest++; len(plan.Steps) > 0 || !plan.Wake.IsZero() {
			rest = 0
		}
		if rest > 12 { // longer than an agent waits before it stops a container, and that takes to end, to start and to be ready
			r.checkEnd(plan)
			return
		}
		r.hooks()
		r.tick()
	}
	r.fatal(fmt.Sprintf("no rest after %d rounds", enough))
}

// checkContainers checks that every pod is as its revision says, and that every container runs what its pod says.
func (r *chaos) checkContainers() {
	for _, pod := range r.w.Pods {
		for _, container := range pod.Spec.Containers {
			if !r.w.Current(pod, container.Name) {
				r.fatal(fmt.Sprintf("pod %s does not run in %s what it says", pod.Name, container.Name))
			}
		}
		template, err := r.templateOf(pod.Labels[appsv1.ControllerRevisionHashLabelKey])
		r.must(err)
		template = template.DeepCopy()
		maps.DeleteFunc(template.Labels, func(key, _ string) bool { return strings.HasPrefix(key, "hold/") })
		r.must(story.CheckTemplate(pod, template))
	}
}

// checkPermutation checks that the order in which pods are listed makes no difference.
func (r *chaos) checkPermutation(round decided) {
	other := slices.Clone(round.pods)
	slices.Reverse(other)
	if n := len(other); n > 2 { // neither sorted nor reversed
		other[0], other[n/2] = other[n/2], other[0]
	}
	if a, b := describe(round.again(round.pods)), describe(round.again(other)); a != b {
		r.fatal("the same pods in another order give another plan:\n" + a + "and:\n" + b)
	}
}

// remember writes down what a person needs to follow a failure.
func (r *chaos) remember(round decided) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s\n", r.w.Now.Format("04:05"), round.wanted)
	for i := range round.pods {
		p := &round.pods[i]
		fmt.Fprintf(&b, "  %s %s %q stage %d ready %v available %v doomed %v holds %+v terminating %v %s\n",
			p.Name, p.Revision, p.State, p.Stage, p.Ready, p.Available, p.SpecifiedDelete, p.Holds, p.Terminating, p.Trouble)
	}
	b.WriteString(describe(*round.plan))
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
