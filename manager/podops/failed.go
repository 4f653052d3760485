package podops

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/kit/loop"
)

// reasonPodFailed is the reason of the event about a pod that failed.
const reasonPodFailed = "PodFailed"

// failureIsNews is how long after its end a pod that failed is told of. A loop knows for as long what it told; later, and after
// another start of the manager, it would tell it again of each pod that is still there.
const failureIsNews = 5 * time.Minute

// FailedPods tells of each pod whose phase has become Failed, with the reason: once.
func FailedPods(pods []*corev1.Pod, now time.Time) []loop.Event {
	var out []loop.Event
	for _, pod := range pods {
		if pod.Status.Phase != corev1.PodFailed || now.Sub(endOf(pod)) > failureIsNews {
			continue
		}
		out = append(out, loop.Event{
			Warning: true, Reason: reasonPodFailed, Action: "CreatePod", Pod: pod.Name, Once: "failed: " + string(pod.UID),
			Note: bounded(fmt.Sprintf("pod %s failed%s", pod.Name, failureOf(pod)), longestEventNote),
		})
	}
	return out
}

// endOf is when the latest container of a pod ended, or else when the pod was last ready or was created.
func endOf(pod *corev1.Pod) time.Time {
	end := pod.CreationTimestamp.Time
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.LastTransitionTime.After(end) {
			end = c.LastTransitionTime.Time
		}
	}
	for i := range pod.Status.ContainerStatuses {
		if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && t.FinishedAt.After(end) {
			end = t.FinishedAt.Time
		}
	}
	return end
}

// failureOf says why a pod failed: what the pod says of itself, or else its first container that ended in failure.
func failureOf(pod *corev1.Pod) string {
	if pod.Status.Reason == "" && pod.Status.Message == "" {
		for i := range pod.Status.ContainerStatuses {
			if t := pod.Status.ContainerStatuses[i].State.Terminated; t != nil && t.ExitCode != 0 {
				return fmt.Sprintf(": container %s ended with exit code %d (%s)", pod.Status.ContainerStatuses[i].Name, t.ExitCode, cmp.Or(t.Reason, "Error"))
			}
		}
	}
	text := ""
	for _, part := range []string{pod.Status.Reason, strings.Join(strings.Fields(pod.Status.Message), " ")} {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}
