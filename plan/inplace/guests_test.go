package inplace_test

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/plan/inplace"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// guest is a pod with a container of its own and a native sidecar.
func guest() *corev1.Pod {
	pod := &corev1.Pod{}
	pod.Generation = 1
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	pod.Spec.InitContainers = []corev1.Container{{Name: "side", Image: "side:1", RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
	return pod
}

// reports has kubelet report a container of the sidecar, and that it has seen the spec as it is.
func reports(pod *corev1.Pod, id, image string) {
	status := corev1.ContainerStatus{Name: "side", ContainerID: id, Image: image, ImageID: "sha256:" + image, Ready: true}
	status.State.Running = &corev1.ContainerStateRunning{}
	pod.Status.InitContainerStatuses = []corev1.ContainerStatus{status}
	pod.Status.ObservedGeneration = pod.Generation
}

func sets(pod *corev1.Pod, image string) {
	pod.Spec.InitContainers[0].Image = image
	pod.Generation++
}

func TestAnUpdateOfANativeSidecarIsDoneOnceKubeletStartedItAnew(t *testing.T) {
	pod := guest()
	reports(pod, "one", "side:1")
	state := inplace.RecordImages(pod, nil, "v2", map[string]string{"side": "side:2"}, noon)
	sets(pod, "side:2")
	if inplace.CarriedOut(pod, &state) {
		t.Error("done before kubelet saw it")
	}
	pod.Status.ObservedGeneration = pod.Generation
	if inplace.CarriedOut(pod, &state) || !inplace.Awaits(pod, &state, "side") {
		t.Error("done while the container of before runs")
	}
	reports(pod, "two", "side:2")
	if !inplace.CarriedOut(pod, &state) || inplace.Awaits(pod, &state, "side") {
		t.Error("not done although the container was started anew")
	}
}

func TestAContainerThatIsFirstReportedAfterTwoUpdatesIsThatOfNeither(t *testing.T) {
	pod := guest() // nothing of it is reported yet
	first := inplace.RecordImages(pod, nil, "v2", map[string]string{"side": "side:2"}, noon)
	sets(pod, "side:2")
	second := inplace.RecordImages(pod, &first, "v3", map[string]string{"side": "side:3"}, noon)
	sets(pod, "side:3")
	reports(pod, "one", "side:1") // it was being started all the while
	if inplace.CarriedOut(pod, &second) {
		t.Error("the container that was started before both updates counts as updated")
	}
	third := inplace.RecordImages(guestBefore(pod), &second, "v4", map[string]string{"side": "side:4"}, noon)
	sets(pod, "side:4")
	for _, image := range []string{"side:1", "side:2", "side:3"} {
		if reports(pod, "one", image); inplace.CarriedOut(pod, &third) {
			t.Errorf("a container of %s counts as updated to side:4", image)
		}
	}
	reports(pod, "two", "side:4")
	if !inplace.CarriedOut(pod, &third) {
		t.Error("not done although the container was started anew")
	}
}

func TestAContainerStartedFromAnyOfTheImagesThatAnUpdateOvertookIsNotUpdated(t *testing.T) {
	pod := guest()
	reports(pod, "one", "side:1")
	first := inplace.RecordImages(pod, nil, "v2", map[string]string{"side": "side:2"}, noon)
	sets(pod, "side:2")
	second := inplace.RecordImages(pod, &first, "v3", map[string]string{"side": "side:3"}, noon)
	sets(pod, "side:3")
	for _, wanted := range []string{"side:1", "side:4"} { // back to the image of before, and on
		pod := pod.DeepCopy()
		third := inplace.RecordImages(notRunning(pod), &second, "v4", map[string]string{"side": wanted}, noon)
		sets(pod, wanted)
		for _, image := range []string{"side:2", "side:3"} {
			if reports(pod, "two", image); inplace.CarriedOut(pod, &third) {
				t.Errorf("a container of %s counts as updated to %s", image, wanted)
			}
		}
		if reports(pod, "three", wanted); !inplace.CarriedOut(pod, &third) {
			t.Errorf("not done although the container was started from %s", wanted)
		}
	}
}

func TestAContainerStartedFromAnOvertakenImageAndOvertakenAgainRemembersBoth(t *testing.T) {
	pod := guest()
	reports(pod, "one", "side:1")
	first := inplace.RecordImages(pod, nil, "v2", map[string]string{"side": "side:2"}, noon)
	sets(pod, "side:2")
	second := inplace.RecordImages(pod, &first, "v3", map[string]string{"side": "side:3"}, noon)
	sets(pod, "side:3")
	reports(pod, "two", "side:2") // begun before kubelet saw the second one
	third := inplace.RecordImages(pod, &second, "v4", map[string]string{"side": "side:4"}, noon)
	sets(pod, "side:4")
	if reports(pod, "three", "side:3"); inplace.CarriedOut(pod, &third) {
		t.Error("a container of side:3 counts as updated to side:4")
	}
	if reports(pod, "four", "side:4"); !inplace.CarriedOut(pod, &third) {
		t.Error("not done although the container was started from side:4")
	}
}

// notRunning is the pod while kubelet starts its container anew.
func notRunning(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	for i := range pod.Status.InitContainerStatuses {
		pod.Status.InitContainerStatuses[i].State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}
	}
	return pod
}

// guestBefore is the pod as it was before kubelet reported anything of it.
func guestBefore(pod *corev1.Pod) *corev1.Pod {
	pod = pod.DeepCopy()
	pod.Status = corev1.PodStatus{}
	return pod
}

func TestAChangeThatIsTakenBackBeforeKubeletSawItWaitsForNoRestart(t *testing.T) {
	pod := guest()
	reports(pod, "one", "side:1")
	first := inplace.RecordImages(pod, nil, "v2", map[string]string{"side": "side:2"}, noon)
	sets(pod, "side:2")
	second := inplace.RecordImages(pod, &first, "v1", map[string]string{"side": "side:1"}, noon)
	sets(pod, "side:1")
	reports(pod, "one", "side:1")
	if !inplace.CarriedOut(pod, &second) {
		t.Error("it waits for a restart that never comes")
	}
}
