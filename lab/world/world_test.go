package world_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/lab/world"
)

const gate corev1.PodConditionType = "example.com/gate"

// running is a world with one pod that runs web:1 behind an open gate.
func running(t *testing.T) *world.World {
	t.Helper()
	w := world.New()
	err := w.Create(&corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "demo"},
		Spec: corev1.PodSpec{
			Containers:     []corev1.Container{{Name: "web", Image: "web:1"}},
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: gate}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	open(t, w, corev1.ConditionTrue)
	for range 5 {
		w.Tick(time.Second)
	}
	if !ready(w) || w.Running(w.Pod("demo"), "web") != "web:1" {
		t.Fatalf("the pod does not run: %+v", w.Pod("demo").Status)
	}
	return w
}

func open(t *testing.T, w *world.World, status corev1.ConditionStatus) {
	t.Helper()
	if err := w.PatchStatus("demo", fmt.Appendf(nil, `{"status":{"conditions":[{"type":%q,"status":%q}]}}`, gate, status)); err != nil {
		t.Fatal(err)
	}
}

func setImage(t *testing.T, w *world.World, image string) {
	t.Helper()
	if err := w.PatchPod("demo", fmt.Appendf(nil, `{"spec":{"containers":[{"name":"web","image":%q}]}}`, image)); err != nil {
		t.Fatal(err)
	}
}

func ready(w *world.World) bool {
	for _, c := range w.Pod("demo").Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestAnotherImageRestartsTheContainerAndTheStatusFollows(t *testing.T) {
	w := running(t)
	before := w.Pod("demo")
	setImage(t, w, "web:2")
	w.Tick(time.Second) // kubelet reports that it saw the change, then stops the container
	status := w.Pod("demo").Status
	if status.ObservedGeneration != 2 || status.ContainerStatuses[0].ContainerID != before.Status.ContainerStatuses[0].ContainerID || w.Running(w.Pod("demo"), "web") != "" {
		t.Errorf("first kubelet reports what it finds, and then acts: %+v", status)
	}
	for range 4 {
		w.Tick(time.Second)
	}
	old, now := before.Status.ContainerStatuses[0], w.Pod("demo").Status.ContainerStatuses[0]
	if now.ContainerID == old.ContainerID || now.ImageID == old.ImageID || now.Image != "web:2" || now.RestartCount != 1 || !ready(w) {
		t.Errorf("container before %+v, after %+v", old, now)
	}
	if before.Spec.Containers[0].Image != "web:1" {
		t.Error("a pod that was read has changed")
	}
}

func TestABadImageNeverStartsUntilItIsGood(t *testing.T) {
	w := running(t)
	w.Bad["web:2"] = true
	setImage(t, w, "web:2")
	for range 10 {
		w.Tick(time.Second)
	}
	if waiting := w.Pod("demo").Status.ContainerStatuses[0].State.Waiting; waiting == nil || waiting.Reason != "ImagePullBackOff" || ready(w) {
		t.Errorf("status %+v", w.Pod("demo").Status)
	}
	w.Bad["web:2"] = false
	for range 3 {
		w.Tick(time.Second)
	}
	if !ready(w) {
		t.Errorf("status %+v", w.Pod("demo").Status)
	}
}

func TestAChangeAndItsRollbackBetweenTwoLooksOfKubeletRestartNothing(t *testing.T) {
	w := running(t)
	before := w.Pod("demo").Status.ContainerStatuses[0].ContainerID
	setImage(t, w, "web:2")
	setImage(t, w, "web:1")
	for range 5 {
		w.Tick(time.Second)
	}
	if after := w.Pod("demo").Status.ContainerStatuses[0].ContainerID; after != before {
		t.Errorf("container %s became %s", before, after)
	}
}

func TestAPodIsNotReadyWhileAGateIsClosed(t *testing.T) {
	w := running(t)
	open(t, w, corev1.ConditionFalse)
	w.Tick(time.Second)
	if ready(w) {
		t.Error("ready behind a closed gate")
	}
	open(t, w, corev1.ConditionTrue)
	w.Tick(time.Second)
	if !ready(w) {
		t.Error("not ready behind an open gate")
	}
}

func TestWithoutNodesNothingIsScheduled(t *testing.T) {
	w := world.New()
	w.SetNodes(0)
	if err := w.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}); err != nil {
		t.Fatal(err)
	}
	w.Tick(time.Second)
	if pod := w.Pod("demo"); pod.Spec.NodeName != "" || pod.Status.Conditions[0].Reason != corev1.PodReasonUnschedulable {
		t.Errorf("pod %+v", pod)
	}
}

func TestAPodWithAFinalizerEndsWhenTheFinalizerIsGone(t *testing.T) {
	w := running(t)
	edit := func(finalizers ...string) {
		if err := w.Edit("demo", func(m *metav1.ObjectMeta) { m.Finalizers = finalizers }); err != nil {
			t.Fatal(err)
		}
	}
	edit("example.com/wait")
	if err := w.Delete("demo", w.Pod("demo").UID); err != nil {
		t.Fatal(err)
	}
	w.Tick(time.Second)
	if w.Pod("demo") == nil {
		t.Fatal("the pod is gone before its finalizer")
	}
	edit()
	w.Tick(time.Second)
	if w.Pod("demo") != nil {
		t.Error("the pod is still there")
	}
}

func TestTheAPIRefusesWhatARealOneRefuses(t *testing.T) {
	w := running(t)
	for name, test := range map[string]struct {
		err  error
		want func(error) bool
	}{
		"a patch for another UID":        {w.PatchPod("demo", []byte(`{"metadata":{"uid":"other","labels":{"a":"b"}}}`)), apierrors.IsConflict},
		"a status patch for another UID": {w.PatchStatus("demo", []byte(`{"metadata":{"uid":"other"}}`)), apierrors.IsConflict},
		"deletion of another UID":        {w.Delete("demo", "other"), apierrors.IsConflict},
		"a patch of a pod that is gone":  {w.PatchPod("gone", []byte(`{}`)), apierrors.IsNotFound},
		"a name that is taken":           {w.Create(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}), apierrors.IsAlreadyExists},
		"a change of a spec":             {w.PatchPod("demo", []byte(`{"spec":{"hostNetwork":true}}`)), apierrors.IsBadRequest},
		"another container":              {w.PatchPod("demo", []byte(`{"spec":{"containers":[{"name":"new","image":"a"}]}}`)), apierrors.IsBadRequest},
	} {
		if !test.want(test.err) {
			t.Errorf("%s: error %v", name, test.err)
		}
	}
	pod := w.Pod("demo")
	if err := w.PatchStatus("demo", []byte(`{"metadata":{"labels":{"a":"b"}},"spec":{"hostNetwork":true}}`)); err != nil || w.Pod("demo").Spec.HostNetwork || w.Pod("demo").Labels["a"] != "b" {
		t.Errorf("the status endpoint takes labels and no spec: %v, %+v", err, w.Pod("demo"))
	}
	if err := w.PatchPod("demo", []byte(`{"status":{"phase":"Failed"}}`)); err != nil || w.Pod("demo").Status.Phase != pod.Status.Phase {
		t.Errorf("the pod endpoint takes no status: %v, %s", err, w.Pod("demo").Status.Phase)
	}
}
