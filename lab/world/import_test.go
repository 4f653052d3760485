package world_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/test/builder"
)

// live is a pod as a real kubelet reports it: it runs and is ready.
func live(name, image string) *corev1.Pod {
	pod := builder.Pod(name).Image(image).Object()
	pod.UID, pod.Generation, pod.Spec.NodeName = "live-"+pod.UID, 3, "worker"
	since := metav1.NewTime(world.New().Now.Add(-time.Hour))
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, ObservedGeneration: 3,
		Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue, LastTransitionTime: since},
			{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: since},
		},
		ContainerStatuses: []corev1.ContainerStatus{{
			Name: "main", Image: "docker.io/library/" + image, ImageID: "sha256:1", ContainerID: "containerd://live", Ready: true, RestartCount: 7,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: since}},
		}},
	}
	return pod
}

// broken is a pod whose container waits, or runs and is not ready.
func broken(name, image string, state corev1.ContainerState) *corev1.Pod {
	pod := live(name, image)
	pod.UID = "live-broken"
	pod.Status.ContainerStatuses[0].Ready, pod.Status.ContainerStatuses[0].State = false, state
	for i := range pod.Status.Conditions {
		pod.Status.Conditions[i].Status = corev1.ConditionFalse
	}
	return pod
}

func after(w *world.World, d time.Duration) {
	for end := w.Now.Add(d); w.Now.Before(end); {
		w.Tick(time.Second)
	}
}

func isReady(w *world.World, name string) bool {
	for _, c := range w.Pod(name).Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestAPodThatRunsIsTakenOverAsItIs(t *testing.T) {
	w, pod := world.New(), live("a", "web:1")
	c := &pod.Spec.Containers[0]
	c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1")}
	c.ResizePolicy = []corev1.ContainerResizePolicy{{ResourceName: corev1.ResourceCPU, RestartPolicy: corev1.RestartContainer}}
	w.Import([]*corev1.Pod{pod}, nil)
	after(w, time.Minute)
	got := w.Pod("a")
	before, now := pod.Status.ContainerStatuses[0], got.Status.ContainerStatuses[0]
	if got.UID != pod.UID || now.ContainerID != before.ContainerID || now.ImageID != before.ImageID || now.RestartCount != 7 ||
		!now.State.Running.StartedAt.Equal(&before.State.Running.StartedAt) {
		t.Errorf("the pod changed: %+v", now)
	}
	if c := got.Status.Conditions[1]; c.Status != corev1.ConditionTrue || !c.LastTransitionTime.Equal(&pod.Status.Conditions[1].LastTransitionTime) {
		t.Errorf("it is ready since another time: %+v", c)
	}
}

func TestWhatIsBrokenStaysBrokenUntilItsImageChanges(t *testing.T) {
	old := metav1.NewTime(world.New().Now.Add(-time.Hour))
	for name, state := range map[string]corev1.ContainerState{
		"its image cannot be pulled": {Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: "no such image"}},
		"it crashes":                 {Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
		"it has just crashed":        {Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}},
		"its probe fails":            {Running: &corev1.ContainerStateRunning{StartedAt: old}},
	} {
		t.Run(name, func(t *testing.T) {
			w := world.New()
			w.Import([]*corev1.Pod{live("good", "web:1"), broken("bad", "web:2", state)}, nil)
			if err := w.Create(builder.Pod("new").Image("web:2").Object()); err != nil {
				t.Fatal(err)
			}
			after(w, time.Minute)
			if isReady(w, "bad") || isReady(w, "new") || !isReady(w, "good") {
				t.Errorf("ready: bad %t, new with its image %t, good %t", isReady(w, "bad"), isReady(w, "new"), isReady(w, "good"))
			}
			if got := w.Pod("bad").Status.ContainerStatuses[0].State; !equality.Semantic.DeepEqual(got, state) {
				t.Errorf("it is reported otherwise: %+v", got)
			}
			if err := w.PatchPod("bad", []byte(`{"spec": {"containers": [{"name": "main", "image": "web:1"}]}}`)); err != nil {
				t.Fatal(err)
			}
			after(w, 10*time.Second)
			if !isReady(w, "bad") {
				t.Error("with the good image it is still broken")
			}
		})
	}
}

func TestAnImageThatRunsSomewhereIsNotBad(t *testing.T) {
	w := world.New()
	crash := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
	w.Import([]*corev1.Pod{live("good", "web:1"), broken("bad", "web:1", crash)}, nil)
	if err := w.Create(builder.Pod("new").Image("web:1").Object()); err != nil {
		t.Fatal(err)
	}
	after(w, 10*time.Second)
	if isReady(w, "bad") || !isReady(w, "new") {
		t.Errorf("ready: bad %t, new %t", isReady(w, "bad"), isReady(w, "new"))
	}
}

func TestWhatIsJustStartingStarts(t *testing.T) {
	now := metav1.NewTime(world.New().Now)
	for name, state := range map[string]corev1.ContainerState{
		"being created": {Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}},
		"started now":   {Running: &corev1.ContainerStateRunning{StartedAt: now}},
	} {
		w := world.New()
		w.Import([]*corev1.Pod{broken("a", "web:1", state)}, nil)
		after(w, 10*time.Second)
		if !isReady(w, "a") {
			t.Errorf("%s: it does not become ready", name)
		}
	}
}

func TestAPodThatMakesNoHeadwayMakesNone(t *testing.T) {
	for name, change := range map[string]func(*corev1.Pod){
		"no node takes it": func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending, Conditions: []corev1.PodCondition{
				{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable}}}
		},
		"an init container fails": func(p *corev1.Pod) {
			p.Status.Conditions[0].Status, p.Status.Conditions[1].Status = corev1.ConditionFalse, corev1.ConditionFalse
			p.Status.ContainerStatuses[0] = corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "init", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}}}
		},
		"its node does not give what it asks for": func(p *corev1.Pod) {
			p.Status.Conditions[1].Status = corev1.ConditionFalse
			p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue})
		},
		"its node is lost": func(p *corev1.Pod) { p.Status.Conditions[1].Status = corev1.ConditionFalse },
	} {
		pod := live("a", "web:1")
		change(pod)
		w := world.New()
		w.Import([]*corev1.Pod{pod}, nil)
		after(w, time.Minute)
		if isReady(w, "a") {
			t.Errorf("%s: it became ready", name)
		}
		if err := w.Delete("a", pod.UID); err != nil {
			t.Fatal(err)
		}
		after(w, time.Second)
		if w.Pod("a") != nil {
			t.Errorf("%s: it cannot be deleted", name)
		}
	}
}

func TestAnUpdateInPlaceThatKubeletHasNotCarriedOutGoesOn(t *testing.T) {
	pod := live("a", "web:2")
	pod.Status.ContainerStatuses[0].Image = "docker.io/library/web:1"
	pod.Labels["lifecycle.apps.kruise.io/state"] = "Updating"
	pod.Annotations = map[string]string{"apps.kruise.io/inplace-update-state": `{"revision": "v2", "updateTimestamp": "2026-01-01T00:00:00Z",
		"lastContainerStatuses": {"main": {"imageID": "sha256:1", "containerID": "containerd://live", "image": "web:1"}}, "updateImages": true}`}
	w := world.New()
	w.Import([]*corev1.Pod{pod}, nil)
	after(w, 10*time.Second)
	if got := w.Pod("a").Status.ContainerStatuses[0]; got.ContainerID == "containerd://live" || got.RestartCount != 8 || w.Running(pod, "main") != "web:2" {
		t.Errorf("it was not restarted: %+v", got)
	}
}

func TestGatesOfOthersAreOpenedOnNewPodsAndLeftOnOld(t *testing.T) {
	const gate = "example.com/balancer"
	closed := live("closed", "web:1")
	closed.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}}
	closed.Status.Conditions = append(closed.Status.Conditions, corev1.PodCondition{Type: gate, Status: corev1.ConditionFalse})
	w := world.New()
	w.Import([]*corev1.Pod{closed}, nil)
	if err := w.Create(builder.Pod("new").Gate(gate).Object()); err != nil {
		t.Fatal(err)
	}
	w.OpenGates()
	after(w, 10*time.Second)
	if isReady(w, "closed") || !isReady(w, "new") {
		t.Errorf("ready: closed %t, new %t", isReady(w, "closed"), isReady(w, "new"))
	}
}
