package workload

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestARevisionExpiresWithTheRolloutThatReplacesIt(t *testing.T) {
	var history []*appsv1.ControllerRevision
	for i, name := range []string{"web-1", "web-2", "web-3"} {
		history = append(history, &appsv1.ControllerRevision{ObjectMeta: metav1.ObjectMeta{Name: name}, Revision: int64(i + 1)})
	}
	pods := []*corev1.Pod{{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{appsv1.ControllerRevisionHashLabelKey: "web-3"}}}}
	r := &Revisions{History: history, Update: "web-3", Current: "web-2"}
	for current, want := range map[string][]string{"web-2": {"web-1"}, "web-3": {"web-1", "web-2"}} {
		var got []string
		for _, expired := range r.Expired(pods, current, 0) {
			got = append(got, expired.Name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("with %s as the current revision (-want +got):\n%s", current, diff)
		}
	}
}
