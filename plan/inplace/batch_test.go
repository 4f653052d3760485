package inplace_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// prioritised gives containers of a template launch priorities, in the order of the list; an empty one has none.
func prioritised(priorities ...string) func(*corev1.PodTemplateSpec) {
	return func(t *corev1.PodTemplateSpec) {
		for i, p := range priorities {
			if p != "" {
				t.Spec.Containers[i].Env = append(t.Spec.Containers[i].Env, corev1.EnvVar{Name: v1beta1.ContainerLaunchPriorityEnv, Value: p})
			}
		}
	}
}

// made is a pod of a template, at its work.
func made(t *corev1.PodTemplateSpec) *corev1.Pod {
	return pod(func(p *corev1.Pod) {
		for i := range t.Spec.Containers {
			p.Spec.Containers[i].Env = t.Spec.Containers[i].Env
			p.Spec.Containers[i].Resources = t.Spec.Containers[i].Resources
		}
		maps.Copy(p.Annotations, t.Annotations)
		reportResources(p)
	})
}

func bothImages(t *corev1.PodTemplateSpec) { image("web", "web:2")(t); image("side", "side:2")(t) }

func TestContainersAreChangedInTheOrderOfTheirLaunchPriorities(t *testing.T) {
	barrier := func(container int, key string) func(*corev1.PodTemplateSpec) {
		return func(t *corev1.PodTemplateSpec) {
			t.Spec.Containers[container].Env = []corev1.EnvVar{{Name: v1beta1.ContainerLaunchBarrierEnv, ValueFrom: &corev1.EnvVarSource{
				ConfigMapKeyRef: &corev1.ConfigMapKeySelector{Key: key}}}}
		}
	}
	type edits = []func(*corev1.PodTemplateSpec)
	for name, test := range map[string]struct {
		of, change edits
		first      map[string]string
	}{
		"the higher one first":            {edits{prioritised("1", "5")}, edits{bothImages}, map[string]string{"web": "web:1", "side": "side:2"}},
		"a negative one after none":       {edits{prioritised("-1", "")}, edits{bothImages}, map[string]string{"web": "web:2", "side": "side:2"}},
		"equal ones together":             {edits{prioritised("3", "3")}, edits{bothImages}, map[string]string{"web": "web:2", "side": "side:2"}},
		"the low one alone needs no turn": {edits{prioritised("1", "5")}, edits{image("web", "web:2")}, map[string]string{"web": "web:2", "side": "side:1"}},
		"in the order of the spec": {edits{annotation(v1beta1.ContainerLaunchPriorityKey, "Ordered")}, edits{bothImages},
			map[string]string{"web": "web:2", "side": "side:1"}},
		"by the barriers that the pod started with":   {edits{barrier(0, "p_-2"), barrier(1, "p_0")}, edits{bothImages}, map[string]string{"web": "web:1", "side": "side:2"}},
		"a priority and a barrier that are no number": {edits{prioritised("many"), barrier(1, "other")}, edits{bothImages}, map[string]string{"web": "web:2", "side": "side:2"}},
		"together where they take in the same label": {
			edits{prioritised("1", "5"), tier, envFrom(1, "metadata.labels['tier']")}, edits{bothImages, label("tier", "back")},
			map[string]string{"web": "web:2", "side": "side:2"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := made(template(test.of...))
			after := begin(t, before, to(t, before, template(append(test.of, test.change...)...)))
			if diff := cmp.Diff(test.first, images(after)); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
		})
	}
}

// goOn continues an update in the stage NextBatch.
func goOn(t *testing.T, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	if got := inplace.ProgressOf(p); got.Stage != inplace.NextBatch {
		t.Fatalf("progress %+v", got)
	}
	patches, err := inplace.Continue(p, start().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, p, patches)
}

func ready(is bool, container int) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Status.ContainerStatuses[container].Ready = is }
}

func TestTheNextBatchWaitsUntilTheOneBeforeIsUpdatedAndReady(t *testing.T) {
	low := prioritised("1", "5")
	before := made(template(low, cpu("1")))
	first := begin(t, before, to(t, before, template(low, bothImages, cpu("2"))))
	record, _ := inplace.StateOf(first)
	want := v1beta1.InPlaceUpdateState{
		Revision: "demo-v2", UpdateTimestamp: metav1.NewTime(start()), UpdateImages: true, UpdateResources: true,
		LastContainerStatuses: map[string]v1beta1.InPlaceUpdateContainerStatus{
			"side": {ImageID: "sha256:side:1", ContainerID: "containerd://first-side", Image: "side:1"}},
		NextContainerImages:    map[string]string{"web": "web:2"},
		NextContainerResources: map[string]corev1.ResourceRequirements{"web": {Requests: quantities("cpu", "2")}},
		PreCheckBeforeNext:     &v1beta1.InPlaceUpdatePreCheckBeforeNext{ContainersRequiredReady: []string{"side"}},
		ContainerBatchesRecord: []v1beta1.InPlaceUpdateContainerBatch{{Timestamp: metav1.NewTime(start()), Containers: []string{"side"}}},
	}
	if diff := cmp.Diff(want, record); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
	updated := edited(first, restart("side", "side:2", "sha256:side:2"), ready(false, 1))
	for name, p := range map[string]*corev1.Pod{"not updated": first, "updated and not ready": updated} {
		if got := inplace.ProgressOf(p); got.Stage != inplace.Running || got.Waiting != "side" {
			t.Errorf("%s: progress %+v", name, got)
		}
	}
	second := goOn(t, edited(updated, ready(true, 1)))
	if images(second)["web"] != "web:2" || cpuOf(second) != "2" {
		t.Errorf("images %v, cpu %s", images(second), cpuOf(second))
	}
	record, _ = inplace.StateOf(second)
	if len(record.ContainerBatchesRecord) != 2 || record.PreCheckBeforeNext != nil || record.NextContainerImages != nil || record.NextContainerResources != nil {
		t.Errorf("record %+v", record)
	}
	if got := inplace.ProgressOf(edited(second, reportResources)); got.Stage != inplace.Running || got.Waiting != "web" {
		t.Errorf("progress %+v", got)
	}
	if got := inplace.ProgressOf(edited(second, reportResources, restart("web", "web:2", "sha256:web:2"))).Stage; got != inplace.Done {
		t.Errorf("stage %v", got)
	}
}

func TestANewerRevisionThatOvertakesAHalfDoneBatchLosesNoContainer(t *testing.T) {
	low := prioritised("1", "5")
	before := made(template(low))
	first := begin(t, before, to(t, before, template(low, bothImages)))
	// From demo-v2 to demo-v3 only the container changes that was changed already.
	overtaken := begin(t, first, inplace.Target{Revision: "demo-v3", Hash: "v3", Template: template(low, bothImages, image("side", "side:3")),
		Change: inplace.Change{Images: map[string]string{"side": "side:3"}}})
	last := goOn(t, edited(overtaken, restart("side", "side:3", "sha256:side:3")))
	if diff := cmp.Diff(map[string]string{"web": "web:2", "side": "side:3"}, images(last)); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
	// Back at demo-v1, nothing is left for later.
	back := begin(t, first, to(t, first, template(low), revision("demo-v1", "v1")))
	if got := inplace.ProgressOf(edited(back, restart("side", "side:1", "sha256:side:1"))); got.Stage != inplace.Done || images(back)["web"] != "web:1" {
		t.Errorf("progress %+v, images %v", got, images(back))
	}
}

func TestANewerRevisionKeepsTheOrderOfContainersThatTheOneBeforeRestarts(t *testing.T) {
	low := prioritised("1", "5")
	before := made(template(low))
	under := begin(t, before, to(t, before, template(low, image("side", "side:2"))))
	notReady := edited(under, restart("side", "side:2", "sha256:side:2"), ready(false, 1))
	next := template(low, image("side", "side:2"), image("web", "web:2"))
	change := inplace.Change{Images: map[string]string{"web": "web:2"}}
	for name, test := range map[string]struct {
		pod   *corev1.Pod
		grace int32
		waits bool
	}{
		"not restarted yet":                     {under, 0, true},
		"restarted and not ready":               {notReady, 0, true},
		"the same, and a grace period to wait":  {notReady, 5, true},
		"ready":                                 {edited(notReady, ready(true, 1)), 0, false},
		"not restarted, and without priorities": {edited(under, func(p *corev1.Pod) { p.Spec.Containers[0].Env, p.Spec.Containers[1].Env = nil, nil }), 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			target := inplace.Target{Revision: "demo-v3", Hash: "v3", Template: next, Change: change, GraceSeconds: test.grace}
			over := begin(t, test.pod, target)
			if test.grace > 0 {
				patches, err := inplace.Continue(over, start().Add(time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				over = apply(t, over, patches)
			}
			if waits := images(over)["web"] == "web:1"; waits != test.waits {
				t.Errorf("it waits: %v, want %v", waits, test.waits)
			}
			if !test.waits {
				return
			}
			if got := inplace.ProgressOf(over); got.Stage != inplace.Running || got.Waiting != "side" {
				t.Errorf("progress %+v", got)
			}
			last := goOn(t, edited(over, restart("side", "side:2", "sha256:side:2"), ready(true, 1)))
			if got := inplace.ProgressOf(edited(last, restart("web", "web:2", "sha256:web:2"))); got.Stage != inplace.Done || images(last)["web"] != "web:2" {
				t.Errorf("progress %+v, images %v", got, images(last))
			}
		})
	}
}

// openKruise is a pod whose container side OpenKruise has updated; the rest of its record is what is still to come.
func openKruise(rest string, edits ...func(*corev1.Pod)) *corev1.Pod {
	p := made(template(prioritised("1", "5"), tier, cpu("1")))
	p.Spec.Containers[1].Image = "side:2"
	p.Labels["controller-revision-hash"], p.Labels[v1beta1.LifecycleStateKey] = "demo-v2", "Updating"
	condition(p, v1beta1.InPlaceUpdateReady).Status = corev1.ConditionFalse
	p.Annotations[v1beta1.InPlaceUpdateStateKey] = fmt.Sprintf(`{"revision":"demo-v2","updateTimestamp":"2026-01-01T00:00:00Z",`+
		`"lastContainerStatuses":{"side":{"imageID":"sha256:side:1"}},"updateImages":true,%s,`+
		`"preCheckBeforeNext":{"containersRequiredReady":["side"]},`+
		`"containerBatchesRecord":[{"timestamp":"2026-01-01T00:00:00Z","containers":["side"]}]}`, rest)
	return edited(p, append([]func(*corev1.Pod){restart("side", "side:2", "sha256:side:2")}, edits...)...)
}

func TestBatchesThatOpenKruiseLeftAreContinued(t *testing.T) {
	for name, test := range map[string]struct {
		rest             string
		image, tier, cpu string
		done             []func(*corev1.Pod)
	}{
		"images": {rest: `"nextContainerImages":{"web":"web:2"}`, image: "web:2", tier: "front", cpu: "1", done: []func(*corev1.Pod){restart("web", "web:2", "sha256:web:2")}},
		"nothing but resources": {rest: `"updateResources":true,"nextContainerResources":{"web":{"requests":{"cpu":"2"}}}`, image: "web:1", tier: "front", cpu: "2",
			done: []func(*corev1.Pod){reportResources}},
		"metadata": {rest: `"updateEnvFromMetadata":true,"nextContainerRefMetadata":{"web":{"creationTimestamp":null,"labels":{"tier":"back"}}}`, image: "web:1", tier: "back", cpu: "1",
			done: []func(*corev1.Pod){again, agent("back")}},
		"what the pod has already":      {rest: `"nextContainerImages":{"web":"web:1"}`, image: "web:1", tier: "front", cpu: "1", done: []func(*corev1.Pod){observe}},
		"a container that is not there": {rest: `"nextContainerImages":{"gone":"web:1"}`, image: "web:1", tier: "front", cpu: "1", done: []func(*corev1.Pod){observe}},
	} {
		t.Run(name, func(t *testing.T) {
			last := goOn(t, openKruise(test.rest, agent("front")))
			got := []string{images(last)["web"], last.Labels["tier"], cpuOf(last)}
			if diff := cmp.Diff([]string{test.image, test.tier, test.cpu}, got); diff != "" {
				t.Errorf("image, tier, cpu (-want +got):\n%s", diff)
			}
			if got := inplace.ProgressOf(edited(last, test.done...)); got.Stage != inplace.Done {
				t.Errorf("progress %+v", got)
			}
		})
	}
}

func TestAGracePeriodOfOpenKruiseIsContinuedInFull(t *testing.T) {
	waiting := openKruise(`"updateImages":true`, func(p *corev1.Pod) {
		p.Spec.Containers[1].Image = "side:1"
		p.Annotations[v1beta1.InPlaceUpdateGraceKey] = `{"revision":"demo-v2","containerImages":{"side":"side:2"},` +
			`"containerRefMetadata":{"web":{"creationTimestamp":null,"labels":{"tier":"back"}}},` +
			`"containerResources":{"web":{"requests":{"cpu":"2"}}},` +
			`"metaDataPatch":"eyJtZXRhZGF0YSI6eyJhbm5vdGF0aW9ucyI6eyJub3RlIjoidHdvIn19fQ==","updateEnvFromMetadata":true,"graceSeconds":30,` +
			`"oldTemplate":{"metadata":{"creationTimestamp":null},"spec":{"containers":[]}},"newTemplate":{"metadata":{"creationTimestamp":null},"spec":{"containers":[]}}}`
	})
	resume := func(p *corev1.Pod) *corev1.Pod {
		patches, err := inplace.Continue(p, start().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		return apply(t, p, patches)
	}
	// side has the higher priority; the resize restarts nothing, but goes with the label of its container.
	first := resume(waiting)
	if images(first)["side"] != "side:2" || first.Labels["tier"] != "front" || first.Annotations["note"] != "two" || cpuOf(first) != "1" {
		t.Errorf("images %v, labels %v, annotations %v, cpu %s", images(first), first.Labels, first.Annotations, cpuOf(first))
	}
	second := goOn(t, edited(first, restart("side", "side:2", "sha256:side:2b")))
	if second.Labels["tier"] != "back" || cpuOf(second) != "2" {
		t.Errorf("labels %v, cpu %s", second.Labels, cpuOf(second))
	}
	// Whoever gave the pod another revision has decided otherwise.
	dropped := resume(edited(waiting, func(p *corev1.Pod) { p.Labels["controller-revision-hash"] = "demo-v3" }))
	if images(dropped)["side"] != "side:1" || dropped.Labels["tier"] != "front" || dropped.Annotations["note"] != "one" {
		t.Errorf("images %v, labels %v, annotations %v", images(dropped), dropped.Labels, dropped.Annotations)
	}
	if got := inplace.ProgressOf(edited(dropped, restart("side", "side:1", "sha256:side:1"))); got.Stage != inplace.Done {
		t.Errorf("progress %+v", got)
	}
	short := resume(edited(waiting, func(p *corev1.Pod) { p.Labels["controller-revision-hash"] = "v2" }))
	if images(short)["side"] != "side:2" {
		t.Error("a revision in its short form is another one")
	}
}
