package lab

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/lab/simulate"
)

const gate = "InPlaceUpdateReady"

func (l lab) setGate(name, status string) *corev1.Pod {
	l.Helper()
	return l.patch(name, `{"status":{"conditions":[{"type":"`+gate+`","status":"`+status+`","reason":"Test"}]}}`, "status")
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for _, c := range pod.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return corev1.PodCondition{}
}

func is(kind corev1.PodConditionType, status corev1.ConditionStatus) func(*corev1.Pod) bool {
	return func(pod *corev1.Pod) bool { return condition(pod, kind).Status == status }
}

func container(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, c := range pod.Status.ContainerStatuses {
		if c.Name == name {
			return c
		}
	}
	return corev1.ContainerStatus{}
}

func pod(name string, change func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeSelector: map[string]string{simulate.Label: simulate.LabelValue},
			Containers:   []corev1.Container{{Name: "main", Image: "openkruise/demo:1.10.2"}, {Name: "side", Image: "busybox"}},
		},
	}
	if change != nil {
		change(p)
	}
	return p
}

func gated(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: gate}} }

func TestSimulatedNodes(t *testing.T) {
	l := start(t)
	for name, story := range map[string]func(lab){
		"a pod is ready only while its gate is open":                  readiness,
		"a container with a new image restarts beside its neighbour":  inPlace,
		"a pod without finalizers goes at once":                       deletion,
		"a pod with a finalizer stops, stays, and goes when let go":   finalizers,
		"a delay keeps the container away for that long":              delay,
		"an image that is absent holds the pod until it is corrected": absent,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			story(lab{T: t, client: l.client, namespace: l.namespace})
		})
	}
}

func readiness(l lab) {
	l.create(pod("gated", gated))
	p := l.await("gated", "", "containers ready", is(corev1.ContainersReady, corev1.ConditionTrue))
	if ready := condition(p, corev1.PodReady); ready.Status != corev1.ConditionFalse || ready.Reason != "ReadinessGatesNotReady" {
		l.Errorf("with its gate unknown the pod's Ready is %+v", ready)
	}
	if p.Status.PodIP == "" || p.Status.Phase != corev1.PodRunning || p.Status.StartTime == nil {
		l.Errorf("the running pod reports %+v", p.Status)
	}
	opened := l.setGate("gated", "True")
	l.await("gated", opened.ResourceVersion, "ready, since its gate is open", is(corev1.PodReady, corev1.ConditionTrue))
	closed := l.setGate("gated", "False")
	p = l.await("gated", closed.ResourceVersion, "not ready, since its gate is closed", is(corev1.PodReady, corev1.ConditionFalse))
	if g := condition(p, gate); g.Status != corev1.ConditionFalse || g.Reason != "Test" {
		l.Errorf("the condition of another writer became %+v", g)
	}
	if condition(p, corev1.ContainersReady).Status != corev1.ConditionTrue {
		l.Error("a closed gate changed what is said of the containers")
	}
}

func inPlace(l lab) {
	l.create(pod("inplace", nil))
	before := l.await("inplace", "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
	changed := l.patch("inplace", `{"spec":{"containers":[{"name":"main","image":"openkruise/demo:1.10.3"}]}}`)
	l.await("inplace", changed.ResourceVersion, "not ready in between", is(corev1.PodReady, corev1.ConditionFalse))
	after := l.await("inplace", changed.ResourceVersion, "ready with the new image", func(p *corev1.Pod) bool {
		return condition(p, corev1.PodReady).Status == corev1.ConditionTrue && container(p, "main").RestartCount == 1
	})
	was, now := container(before, "main"), container(after, "main")
	if now.ImageID == was.ImageID || now.ContainerID == was.ContainerID || now.Image != "openkruise/demo:1.10.3" {
		l.Errorf("the changed container went from %+v to %+v", was, now)
	}
	if now.LastTerminationState.Terminated == nil || now.LastTerminationState.Terminated.ContainerID != was.ContainerID {
		l.Errorf("the container does not remember how it ended before: %+v", now.LastTerminationState)
	}
	if was, now := container(before, "side"), container(after, "side"); now.ContainerID != was.ContainerID || !now.State.Running.StartedAt.Equal(&was.State.Running.StartedAt) || now.RestartCount != 0 {
		l.Errorf("the neighbour went from %+v to %+v", was, now)
	}
	if after.UID != before.UID || after.Status.PodIP != before.Status.PodIP || after.Spec.NodeName != before.Spec.NodeName {
		l.Error("the pod is not the same")
	}
	if after.Generation != 2 || after.Status.ObservedGeneration != 2 {
		l.Errorf("generation %d is observed as %d", after.Generation, after.Status.ObservedGeneration)
	}
}

func deletion(l lab) {
	l.create(pod("deleted", nil))
	l.await("deleted", "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
	if err := l.client.CoreV1().Pods(l.namespace).Delete(l.Context(), "deleted", metav1.DeleteOptions{GracePeriodSeconds: ptr.To[int64](3600)}); err != nil {
		l.Fatal(err)
	}
	l.awaitGone("deleted")
}

func finalizers(l lab) {
	l.create(pod("held", func(p *corev1.Pod) { p.Finalizers = []string{"lab.kruise.io/hold"} }))
	l.await("held", "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
	if err := l.client.CoreV1().Pods(l.namespace).Delete(l.Context(), "held", metav1.DeleteOptions{}); err != nil {
		l.Fatal(err)
	}
	p := l.await("held", "", "stopped and asked to go", func(p *corev1.Pod) bool {
		return p.Status.Phase == corev1.PodSucceeded && p.DeletionGracePeriodSeconds != nil && *p.DeletionGracePeriodSeconds == 0
	})
	if condition(p, corev1.PodReady).Status != corev1.ConditionFalse || container(p, "main").State.Terminated == nil {
		l.Errorf("the stopped pod reports %+v", p.Status)
	}
	l.patch("held", `{"metadata":{"$deleteFromPrimitiveList/finalizers":["lab.kruise.io/hold"]}}`)
	l.awaitGone("held")
}

func delay(l lab) {
	l.create(pod("slow", func(p *corev1.Pod) {
		p.Annotations = map[string]string{"lab.kruise.io/restart-delay": "2s"}
	}))
	l.await("slow", "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
	changed := l.patch("slow", `{"spec":{"containers":[{"name":"main","image":"openkruise/demo:1.10.3"}]}}`)
	stopped := l.await("slow", changed.ResourceVersion, "not ready", is(corev1.PodReady, corev1.ConditionFalse))
	started := l.await("slow", stopped.ResourceVersion, "ready", is(corev1.PodReady, corev1.ConditionTrue))
	away := container(started, "main").State.Running.StartedAt.Sub(container(stopped, "main").State.Terminated.FinishedAt.Time)
	if away < time.Second { // times in a status are whole seconds
		l.Errorf("the container was away for %v only", away)
	}
}

func absent(l lab) {
	l.create(pod("absent", func(p *corev1.Pod) { p.Spec.Containers[0].Image = "openkruise/demo:absent" }))
	p := l.await("absent", "", "waiting for its image", func(p *corev1.Pod) bool { return container(p, "main").State.Waiting != nil })
	if p.Status.Phase != corev1.PodPending || !container(p, "side").Ready {
		l.Errorf("the pod with one absent image reports %+v", p.Status)
	}
	l.patch("absent", `{"spec":{"containers":[{"name":"main","image":"openkruise/demo:1.10.2"}]}}`)
	l.await("absent", "", "ready", is(corev1.PodReady, corev1.ConditionTrue))
}
