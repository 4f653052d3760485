package inplace_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// sized is a pod whose container web has one cpu, and kubelet says so.
func sized(edits ...func(*corev1.Pod)) *corev1.Pod {
	return pod(append([]func(*corev1.Pod){func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = quantities("cpu", "1")
	}, reportResources}, edits...)...)
}

// reportResources is what kubelet reports when it has given the containers what their spec says.
func reportResources(p *corev1.Pod) {
	observe(p)
	for i := range p.Spec.Containers {
		p.Status.ContainerStatuses[i].Resources = p.Spec.Containers[i].Resources.DeepCopy()
	}
}

func cpu(value string) func(*corev1.PodTemplateSpec) {
	return resources(0, quantities("cpu", value), nil)
}

func cpuOf(p *corev1.Pod) string { return p.Spec.Containers[0].Resources.Requests.Cpu().String() }

func restartsForResize(p *corev1.Pod) {
	p.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: "cpu", RestartPolicy: corev1.RestartContainer}}
}

// says gives the pod a condition that kubelet has about a resize.
func says(kind corev1.PodConditionType, reason string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: corev1.ConditionTrue, Reason: reason})
	}
}

func TestAResizeWithoutRestartLeavesThePodInServiceUntilItsRecordIsClosed(t *testing.T) {
	before := sized()
	patches, err := inplace.Begin(before, to(t, before, template(cpu("2")), grace(30)), start())
	if err != nil {
		t.Fatal(err)
	}
	after := apply(t, before, patches)
	if patches.Status != nil || state(after) != lifecycle.Normal || cpuOf(after) != "2" || after.Labels["controller-revision-hash"] != "demo-v2" {
		t.Fatalf("status patch %s, state %s, cpu %s", patches.Status, state(after), cpuOf(after))
	}
	if got := inplace.ProgressOf(after); got.Stage != inplace.Running || got.Waiting != "web" {
		t.Errorf("progress %+v before kubelet looked", got)
	}
	done := edited(after, reportResources)
	if got := inplace.ProgressOf(done); got.Stage != inplace.Done || !got.Unsettled {
		t.Errorf("progress %+v after kubelet gave the resources", got)
	}
	closed := apply(t, done, inplace.Settle(done, lifecycle.Normal, "v2", start()))
	if strings.Contains(closed.Annotations[v1beta1.InPlaceUpdateStateKey], "containerResources") {
		t.Errorf("record %s", closed.Annotations[v1beta1.InPlaceUpdateStateKey])
	}
	// What others resize from then on is no business of the record.
	others := edited(closed, func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = quantities("cpu", "3") })
	if diff := cmp.Diff(inplace.Progress{}, inplace.ProgressOf(others)); diff != "" {
		t.Errorf("progress (-want +got):\n%s", diff)
	}
}

func TestAResizeThatWasNeverWrittenIsWrittenByTheNextDecision(t *testing.T) {
	before := sized()
	patches, err := inplace.Begin(before, to(t, before, template(cpu("2"), image("side", "side:2"))), start())
	if err != nil {
		t.Fatal(err)
	}
	crashed := apply(t, before, inplace.Patches{Status: patches.Status, Pod: patches.Pod})
	if cpuOf(crashed) != "1" || images(crashed)["side"] != "side:2" {
		t.Fatalf("cpu %s, images %v", cpuOf(crashed), images(crashed))
	}
	if got := inplace.ProgressOf(crashed).Stage; got != inplace.NextBatch {
		t.Fatalf("stage %v", got)
	}
	patches, err = inplace.Continue(crashed, start())
	if err != nil || patches.Status != nil || patches.Pod != nil {
		t.Fatalf("error %v, patches %s %s", err, patches.Status, patches.Pod)
	}
	if after := apply(t, crashed, patches); cpuOf(after) != "2" || inplace.ProgressOf(after).Stage != inplace.Running {
		t.Errorf("cpu %s, progress %+v", cpuOf(after), inplace.ProgressOf(after))
	}
	// A rollback instead wants nothing of it any more.
	back := begin(t, crashed, to(t, crashed, template(cpu("1")), revision("demo-v1", "v1")))
	if cpuOf(back) != "1" || inplace.ProgressOf(edited(back, reportResources, restart("side", "side:1", "sha256:side:1"))).Stage != inplace.Done {
		t.Errorf("cpu %s, progress %+v", cpuOf(back), inplace.ProgressOf(back))
	}
}

func TestAResizeThatRestartsTheContainerTakesThePodOutOfServiceFirst(t *testing.T) {
	before := sized(restartsForResize)
	after := begin(t, before, to(t, before, template(cpu("2"), func(t *corev1.PodTemplateSpec) {
		t.Spec.Containers[0].ResizePolicy = before.Spec.Containers[0].ResizePolicy
	})))
	if state(after) != lifecycle.Updating || condition(after, v1beta1.InPlaceUpdateReady).Status != corev1.ConditionFalse || cpuOf(after) != "2" {
		t.Errorf("state %s, condition %+v, cpu %s", state(after), condition(after, v1beta1.InPlaceUpdateReady), cpuOf(after))
	}
	stopped := edited(after, reportResources, func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}
	})
	if got := inplace.ProgressOf(stopped); got.Stage != inplace.Running || got.Waiting != "web" {
		t.Errorf("progress %+v while the container does not run", got)
	}
	if got := inplace.ProgressOf(edited(after, reportResources, restart("web", "web:1", "sha256:web:1"))); got.Stage != inplace.Done {
		t.Errorf("progress %+v after the restart", got)
	}
}

func TestAResizeSaysWhatKubeletHasAgainstIt(t *testing.T) {
	before := sized()
	resizing := begin(t, before, to(t, before, template(cpu("2"))))
	for name, test := range map[string]struct {
		edit    func(*corev1.Pod)
		trouble string
	}{
		"no node will ever have it":           {says(corev1.PodResizePending, corev1.PodReasonInfeasible), "resize: Infeasible"},
		"the node has no room now":            {says(corev1.PodResizePending, corev1.PodReasonDeferred), "resize: Deferred"},
		"it went wrong":                       {says(corev1.PodResizeInProgress, corev1.PodReasonError), "resize: Error"},
		"it is under way":                     {says(corev1.PodResizeInProgress, ""), ""},
		"the values are there, but not final": {func(p *corev1.Pod) { reportResources(p); says(corev1.PodResizeInProgress, "")(p) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := inplace.ProgressOf(edited(resizing, observe, test.edit))
			if diff := cmp.Diff(inplace.Progress{Stage: inplace.Running, Waiting: "web", Trouble: test.trouble}, got); diff != "" {
				t.Errorf("progress (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("another revision overtakes it", func(t *testing.T) {
		stuck := edited(resizing, observe, says(corev1.PodResizePending, corev1.PodReasonInfeasible))
		back := begin(t, stuck, to(t, stuck, template(cpu("1")), revision("demo-v1", "v1")))
		if got := inplace.ProgressOf(edited(back, reportResources, func(p *corev1.Pod) { p.Status.Conditions = p.Status.Conditions[:4] })); got.Stage != inplace.Done {
			t.Errorf("progress %+v", got)
		}
	})
}

func TestMetadataThatOvertakesAResizeGoesOnWaitingForIt(t *testing.T) {
	before := sized()
	resizing := begin(t, before, to(t, before, template(cpu("2"))))
	after := begin(t, resizing, to(t, resizing, template(cpu("2"), annotation("note", "two")), revision("demo-v3", "v3")))
	if got := inplace.ProgressOf(after); got.Stage != inplace.Running || got.Waiting != "web" || state(after) != lifecycle.Normal {
		t.Errorf("progress %+v, state %s", got, state(after))
	}
}

func TestResourcesWaitForTheEndOfAGracePeriodWithTheImage(t *testing.T) {
	before := sized()
	waiting := begin(t, before, to(t, before, template(cpu("2"), image("web", "web:2")), grace(30)))
	if cpuOf(waiting) != "1" || inplace.ProgressOf(waiting).Stage != inplace.Grace {
		t.Fatalf("cpu %s, progress %+v", cpuOf(waiting), inplace.ProgressOf(waiting))
	}
	patches, err := inplace.Continue(waiting, start().Add(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	if after := apply(t, waiting, patches); cpuOf(after) != "2" || images(after)["web"] != "web:2" {
		t.Errorf("cpu %s, images %v", cpuOf(after), images(after))
	}
}
