package install

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/ptr"
)

// logLines is how much of a failing container's log is shown.
const logLines = 15

// diagnose says what the pods of a namespace wait for, as an error to show beside the one of helm; nil when all are ready.
func diagnose(ctx context.Context, client kubernetes.Interface, namespace string) error {
	pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("look for the reason: list the pods of %s: %w", namespace, err)
	}
	var found []string
	for i := range pods.Items {
		pod := &pods.Items[i]
		if obstacle, message := waitsFor(pod); obstacle != "" {
			found = append(found, fmt.Sprintf("pod %s: %s %s%s", pod.Name, obstacle, message, lastLog(ctx, client, pod)))
		}
	}
	if len(found) == 0 {
		return nil
	}
	return errors.New("pods that are not ready:\n" + strings.Join(found, "\n"))
}

// narrate says what the pods of a namespace wait for, each obstacle once, until ctx ends: nobody should wait for the end of
// a long timeout to learn what was plain early. It leaves pods the time that a start needs.
func narrate(ctx context.Context, client kubernetes.Interface, namespace string, say func(format string, args ...any)) {
	said := map[string]bool{}
	_ = wait.PollUntilContextCancel(ctx, 15*time.Second, false, func(ctx context.Context) (bool, error) {
		pods, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, nil //nolint:nilerr // helm asks the same API server and will say it
		}
		for i := range pods.Items {
			pod := &pods.Items[i]
			obstacle, message := waitsFor(pod)
			if key := pod.Name + " " + obstacle; message != "" && !said[key] {
				said[key] = true
				say("  pod %s: %s %s", pod.Name, obstacle, message)
			}
		}
		return false, nil
	})
}

// waitsFor says why a pod is not ready, from its containers where they know, else from its conditions: what stands in the way,
// and more about it. Both are empty when the pod is ready.
func waitsFor(pod *corev1.Pod) (obstacle, message string) {
	if slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	}) {
		return "", ""
	}
	for _, container := range pod.Status.ContainerStatuses {
		switch state := container.State; {
		case state.Waiting != nil && state.Waiting.Reason != "ContainerCreating":
			return fmt.Sprintf("container %s waits: %s", container.Name, state.Waiting.Reason), state.Waiting.Message
		case state.Terminated != nil:
			return fmt.Sprintf("container %s ended with code %d: %s", container.Name, state.Terminated.ExitCode, state.Terminated.Reason), state.Terminated.Message
		}
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Status != corev1.ConditionTrue && condition.Message != "" {
			return fmt.Sprintf("%s is %s:", condition.Type, condition.Status), condition.Message
		}
	}
	return "phase " + string(pod.Status.Phase), ""
}

// lastLog returns the end of the log of the first container that ran and is not ready, indented; "" when there is none.
func lastLog(ctx context.Context, client kubernetes.Interface, pod *corev1.Pod) string {
	for _, container := range pod.Status.ContainerStatuses {
		if container.Ready || (container.State.Running == nil && container.LastTerminationState.Terminated == nil && container.State.Terminated == nil) {
			continue
		}
		stream, err := client.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
			Container: container.Name, TailLines: ptr.To[int64](logLines), Previous: container.State.Waiting != nil,
		}).Stream(ctx)
		if err != nil {
			return fmt.Sprintf("\n  (its log cannot be read: %v)", err)
		}
		text, err := io.ReadAll(stream)
		if err := errors.Join(err, stream.Close()); err != nil {
			return fmt.Sprintf("\n  (its log cannot be read: %v)", err)
		}
		return "\n  " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n  ")
	}
	return ""
}
