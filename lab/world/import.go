package world

import (
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// comesUpWithin is how long a container may run before it counts as broken for not being ready.
const comesUpWithin = time.Minute

// idsOfOthers is how many ids are left to what is taken over, which may come out of a world itself.
const idsOfOthers = 1_000_000

// Import takes over pods and claims of a real cluster, as they are at the world's time. Names, UIDs and conditions stay.
//
// What is broken stays broken: a container until its image changes, and a pod without a node, with an init container that
// fails, with resources that its node does not give, or on a node that is lost, until it is deleted. An image that is broken in one of the pods and runs in none is
// bad for all. Containers that are just starting start.
func (w *World) Import(pods []*corev1.Pod, claims []*corev1.PersistentVolumeClaim) {
	w.Pods = append(w.Pods, pods...)
	w.Claims = append(w.Claims, claims...)
	w.serial += idsOfOthers
	w.reasons, w.held = map[string]string{}, map[types.UID]bool{}
	good := map[string]bool{}
	for _, pod := range pods {
		w.held[pod.UID] = !makesHeadway(pod, w.Now)
		containers := map[string]*container{}
		w.containers[pod.UID] = containers
		for i := range pod.Spec.Containers {
			spec := &pod.Spec.Containers[i]
			status := statusOf(pod.Status.ContainerStatuses, spec.Name)
			if status == nil {
				continue
			}
			c := w.imported(pod, spec, status)
			containers[spec.Name] = c
			if c.stuck != nil && c.image == spec.Image {
				w.reasons[spec.Image] = cmp.Or(brokenReason(status), "NotReady")
			}
			good[c.image] = good[c.image] || c.running
		}
	}
	for image := range w.reasons {
		w.Bad[image] = w.Bad[image] || !good[image]
	}
}

// imported is what runs in a container of a real pod.
func (w *World) imported(pod *corev1.Pod, spec *corev1.Container, status *corev1.ContainerStatus) *container {
	c := &container{
		image: runningImage(pod, spec, status), since: w.Now,
		id: status.ContainerID, ran: status.Image, imageID: status.ImageID, restarts: status.RestartCount,
		resources: *spec.Resources.DeepCopy(),
	}
	if status.Resources != nil {
		c.resources = *status.Resources.DeepCopy()
	}
	c.takeIn(spec, pod)
	switch running := status.State.Running; {
	case running != nil && status.Ready:
		c.running, c.since = true, running.StartedAt.Add(-w.StartTakes)
	case running != nil && w.Now.Sub(running.StartedAt.Time) < comesUpWithin && status.LastTerminationState.Terminated == nil:
		// it comes up
	case running != nil || brokenReason(status) != "":
		c.stuck = status.DeepCopy()
		c.stuck.Ready = false
	}
	return c
}

// runningImage is the image that a container runs: that of before, where kubelet has not carried out an update yet.
func runningImage(pod *corev1.Pod, spec *corev1.Container, status *corev1.ContainerStatus) string {
	if inplace.ProgressOf(pod).Stage != inplace.Running {
		return spec.Image
	}
	state, _ := inplace.StateOf(pod)
	before, changed := state.LastContainerStatuses[spec.Name]
	same := before.ContainerID == status.ContainerID || before.ContainerID == "" && before.ImageID == status.ImageID
	if changed && same && status.State.Waiting == nil {
		return cmp.Or(before.Image, status.Image)
	}
	return spec.Image
}

// brokenReason says why a container that does not run will not run by itself; empty when it may.
func brokenReason(status *corev1.ContainerStatus) string {
	if waiting := status.State.Waiting; waiting != nil && !slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, waiting.Reason) {
		return waiting.Reason
	}
	if ended := status.State.Terminated; ended != nil && ended.ExitCode != 0 {
		return cmp.Or(ended.Reason, "Error")
	}
	return ""
}

// makesHeadway says whether scheduler and kubelet get on with a pod.
func makesHeadway(pod *corev1.Pod, now time.Time) bool {
	if c := conditionOf(pod, corev1.PodScheduled); c != nil && c.Status == corev1.ConditionFalse {
		return false
	}
	if c := conditionOf(pod, corev1.PodResizePending); c != nil && c.Status == corev1.ConditionTrue {
		return false
	}
	for i := range pod.Status.InitContainerStatuses {
		if s := &pod.Status.InitContainerStatuses[i]; brokenReason(s) != "" {
			return false
		}
	}
	ready, containers := conditionOf(pod, corev1.PodReady), conditionOf(pod, corev1.ContainersReady)
	if ready == nil || containers == nil || ready.Status == corev1.ConditionTrue || containers.Status != corev1.ConditionTrue {
		return true
	}
	for _, gate := range pod.Spec.ReadinessGates {
		if !isTrue(pod, gate.ConditionType) {
			return true
		}
	}
	// Nothing in the pod keeps it from being ready: its kubelet does not report any more.
	return now.Sub(ready.LastTransitionTime.Time) < comesUpWithin
}

func statusOf(all []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	i := slices.IndexFunc(all, func(s corev1.ContainerStatus) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	return &all[i]
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		return nil
	}
	return &pod.Status.Conditions[i]
}

// OpenGates makes readiness gates of others True on pods that have no condition for them yet, as whoever set them on
// pods does.
func (w *World) OpenGates() {
	for _, pod := range w.Pods {
		for _, gate := range pod.Spec.ReadinessGates {
			ours := gate.ConditionType == v1beta1.InPlaceUpdateReady || gate.ConditionType == v1beta1.KruisePodReadyConditionType
			if !ours && conditionOf(pod, gate.ConditionType) == nil {
				pod = pod.DeepCopy()
				w.condition(pod, gate.ConditionType, true, "")
				w.replace(pod)
			}
		}
	}
}
