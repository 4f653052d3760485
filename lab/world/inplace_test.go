package world_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// updater updates one pod in place, as a manager does that may stop between any two writes.
type updater struct {
	*rapid.T
	*world.World
	template *corev1.PodTemplateSpec // that the pod is on its way to
	revision int
	grace    int32
}

// wanted is a template of four containers: two with launch priorities, two without; all take labels in, two of them the
// same one; two restart when they are resized. Images are of the first so many.
func wanted(t *rapid.T, images int) *corev1.PodTemplateSpec {
	out := &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}}}
	for _, key := range []string{"a", "shared", "plain"} {
		if v := rapid.IntRange(0, 2).Draw(t, key); v > 0 || key != "plain" {
			out.Labels[key] = fmt.Sprint(v)
		}
	}
	takesIn := map[string][]string{"first": {"a"}, "second": {"shared"}, "free": {"shared"}, "other": nil}
	for i, name := range []string{"other", "second", "first", "free"} {
		c := corev1.Container{
			Name: name, Image: fmt.Sprintf("%s:%d", name, rapid.IntRange(1, images).Draw(t, name)),
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				"cpu": *resource.NewQuantity(rapid.Int64Range(1, 3).Draw(t, name+" cpu"), resource.DecimalSI),
			}},
		}
		for _, key := range takesIn[name] {
			c.Env = append(c.Env, corev1.EnvVar{Name: key, ValueFrom: &corev1.EnvVarSource{
				FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['" + key + "']"}}})
		}
		if name == "first" || name == "second" {
			c.Env = append(c.Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: map[string]string{"first": "5", "second": "1"}[name]})
		}
		if i%2 == 0 {
			c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.RestartContainer}}
		}
		out.Spec.Containers = append(out.Spec.Containers, c)
	}
	return out
}

func (u *updater) pod() *corev1.Pod { return u.Pod("demo") }

// send sends some of the writes, in their order.
func (u *updater) send(p inplace.Patches, err error) {
	if err != nil {
		u.Fatal(err)
	}
	var writes []func() error
	if p.Status != nil {
		writes = append(writes, func() error { return u.PatchStatus("demo", p.Status) })
	}
	if p.Pod != nil {
		writes = append(writes, func() error { return u.PatchPod("demo", p.Pod) })
	}
	if p.Resize != nil {
		writes = append(writes, func() error { return u.PatchResize("demo", p.Resize) })
	}
	stop := len(writes)
	if rapid.IntRange(0, 3).Draw(u.T, "crashes") == 0 {
		stop = rapid.IntRange(0, len(writes)).Draw(u.T, "after")
	}
	for _, write := range writes[:stop] {
		if err := write(); err != nil {
			u.Fatal(err)
		}
	}
}

// onTarget says whether the pod was labelled for the template that is wanted.
func (u *updater) onTarget() bool {
	return u.pod().Labels["controller-revision-hash"] == fmt.Sprintf("demo-v%d", u.revision)
}

// begin begins the update to the template, from the one that the pod is labelled for.
func (u *updater) begin(from *corev1.PodTemplateSpec) {
	change, err := inplace.Compare(from, u.template, inplace.Options{Resources: true, EnvFromMetadata: true})
	if err != nil || !change.Possible() {
		u.Fatalf("error %v, blocked %s", err, change.Blocked)
	}
	hash := fmt.Sprintf("v%d", u.revision)
	u.send(inplace.Begin(u.pod(), inplace.Target{Revision: "demo-" + hash, Hash: hash, Template: u.template, Change: change, GraceSeconds: u.grace}, u.Now))
}

// step does what the pod asks for.
func (u *updater) step() {
	switch p := inplace.ProgressOf(u.pod()); {
	case p.Stage == inplace.NextBatch || p.Stage == inplace.Grace && !u.Now.Before(p.GraceUntil):
		u.send(inplace.Continue(u.pod(), u.Now))
	case p.Stage == inplace.Done:
		if at := lifecycle.State(u.pod().Labels[v1beta1.LifecycleStateKey]); at == lifecycle.Updating || p.Unsettled || !u.serves() {
			u.send(inplace.Settle(u.pod(), lifecycle.Normal, "", u.Now), nil)
		}
	}
}

func (u *updater) serves() bool {
	for _, c := range u.pod().Status.Conditions {
		if c.Type == v1beta1.InPlaceUpdateReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// current fails if a container does not run as the pod says.
func (u *updater) current(when string) {
	for _, c := range u.pod().Spec.Containers {
		if !u.Current(u.pod(), c.Name) {
			u.Fatalf("%s, container %s does not run as the pod says: %v %v", when, c.Name, u.pod().Labels, u.pod().Annotations)
		}
	}
}

func TestNoContainerIsMissedAndNoneWaitsForEverWhateverOvertakesAndWhoeverCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		u := &updater{T: t, World: world.New(), template: wanted(t, 2)}
		u.Agent = true
		for _, name := range []string{"other", "second", "first", "free"} { // what overtakes may have to repair
			u.Bad[name+":3"] = rapid.Bool().Draw(t, name+":3 cannot be pulled")
		}
		u.ReadyTakes = time.Duration(rapid.IntRange(0, 2).Draw(t, "ready takes")) * time.Second
		made := u.template.DeepCopy()
		made.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
		made.Labels["controller-revision-hash"] = "demo-v0"
		if err := u.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "demo", Labels: made.Labels, Annotations: made.Annotations}, Spec: made.Spec}); err != nil {
			t.Fatal(err)
		}
		u.run(10)
		templates := map[string]*corev1.PodTemplateSpec{"demo-v0": u.template}
		for left := rapid.IntRange(1, 4).Draw(t, "revisions"); left > 0; left-- {
			u.revision++
			u.template, u.grace = wanted(t, min(2+left/2, 3)), rapid.Int32Range(0, 3).Draw(t, "grace") // the last one is good
			templates[fmt.Sprintf("demo-v%d", u.revision)] = u.template
			for range rapid.IntRange(0, 12).Draw(t, "time until it is overtaken") {
				u.once(templates)
			}
		}
		for range 80 {
			u.once(templates)
			u.Tick(time.Second)
		}
		u.current("at rest")
		p := inplace.ProgressOf(u.pod())
		if p.Stage != inplace.Done || p.Unsettled || !u.serves() || !u.onTarget() || u.pod().Labels[v1beta1.LifecycleStateKey] == "Updating" {
			t.Fatalf("never at rest: %+v, %v %v %+v", p, u.pod().Labels, u.pod().Annotations, u.pod().Status.ContainerStatuses)
		}
		got := map[string]string{}
		for i, c := range u.pod().Spec.Containers {
			got[c.Name] = c.Image + " " + c.Resources.Requests.Cpu().String()
			want := u.template.Spec.Containers[i]
			if w := want.Image + " " + want.Resources.Requests.Cpu().String(); got[c.Name] != w {
				t.Errorf("container %s is %s, want %s", c.Name, got[c.Name], w)
			}
		}
		labels := maps.Clone(u.pod().Labels)
		maps.DeleteFunc(labels, func(key, _ string) bool { return len(key) > len("shared") })
		if diff := cmp.Diff(u.template.Labels, labels); diff != "" {
			t.Errorf("labels (-want +got):\n%s", diff)
		}
	})
}

// once does what is to be done, lets time pass, and looks at a pod that serves.
func (u *updater) once(templates map[string]*corev1.PodTemplateSpec) {
	if !u.onTarget() {
		u.begin(templates[u.pod().Labels["controller-revision-hash"]])
	} else {
		u.step()
	}
	if rapid.Bool().Draw(u.T, "time passes") {
		u.Tick(time.Second)
	}
	p := inplace.ProgressOf(u.pod())
	if p.Stage == inplace.Done && u.serves() && u.onTarget() {
		u.current("in service and done")
	}
}

func (u *updater) run(ticks int) {
	for range ticks {
		u.step()
		u.Tick(time.Second)
	}
}

func TestTheAPIResizesCPUAndMemoryAndNothingElse(t *testing.T) {
	w := world.New()
	err := w.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "web", Image: "web:1",
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"cpu": resource.MustParse("1"), "example.com/gpu": resource.MustParse("1")}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	const resources = `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"web","image":"web:2","resources":%s}]}}`
	for name, test := range map[string]struct {
		resources string
		refused   bool
	}{
		"another limit":    {`{"limits":{"cpu":"2"},"requests":{"cpu":"2"}}`, false},
		"a limit more":     {`{"limits":{"memory":"1Gi"}}`, true},
		"a limit less":     {`{"limits":{"cpu":null}}`, true},
		"another resource": {`{"limits":{"example.com/gpu":"2"}}`, true},
	} {
		if err := w.PatchResize("demo", fmt.Appendf(nil, resources, test.resources)); (err != nil) != test.refused {
			t.Errorf("%s: error %v", name, err)
		}
	}
	pod := w.Pod("demo")
	if c := pod.Spec.Containers[0]; c.Image != "web:1" || pod.Labels["a"] != "" || c.Resources.Limits.Cpu().String() != "2" || pod.Generation != 2 {
		t.Errorf("pod %+v", pod)
	}
}
