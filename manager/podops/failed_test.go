package podops

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/kit/loop"
)

func TestAPodThatFailedIsToldOfWithItsReason(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	at := func(ago time.Duration) metav1.Time { return metav1.NewTime(now.Add(-ago)) }
	ended := func(code int32, reason string, ago time.Duration) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "main", State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: at(ago)},
		}}
	}
	for name, c := range map[string]struct {
		status corev1.PodStatus
		want   string
	}{
		"evicted": {
			corev1.PodStatus{Reason: "Evicted", Message: "The node was low on resource:\nmemory.", Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: at(time.Second)},
			}}, "pod web-a failed: Evicted: The node was low on resource: memory.",
		},
		"a container that ended in failure": {
			corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended(0, "Completed", time.Minute), ended(137, "OOMKilled", time.Second)}},
			"pod web-a failed: container main ended with exit code 137 (OOMKilled)",
		},
		"nobody says why":    {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended(0, "", time.Second)}}, "pod web-a failed"},
		"long ago":           {corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{ended(1, "", time.Hour)}}, ""},
		"before it ever ran": {corev1.PodStatus{Reason: "NodeAffinity"}, ""}, // and it was created long ago
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-a", UID: "uid-a", CreationTimestamp: at(time.Hour)}, Status: c.status}
			pod.Status.Phase = corev1.PodFailed
			running := pod.DeepCopy()
			running.Status.Phase = corev1.PodRunning
			var want []loop.Event
			if c.want != "" {
				want = []loop.Event{{Warning: true, Reason: "PodFailed", Action: "CreatePod", Pod: "web-a", Note: c.want, Once: "failed: uid-a"}}
			}
			if diff := cmp.Diff(want, FailedPods([]*corev1.Pod{running, pod}, now)); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
