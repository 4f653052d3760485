package daemonset

import (
	"errors"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

func TestASetThatSelectsAllPodsIsLeftAloneAndSaysSo(t *testing.T) {
	w := newWork(nil, &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Generation: 7}, Spec: v1beta1.DaemonSetSpec{Selector: &metav1.LabelSelector{}}})
	now := time.Unix(1, 0)
	if err := errors.Join(w.Observe(t.Context()), w.Decide(now), w.Act(t.Context())); err != nil {
		t.Fatal(err)
	}
	report := w.Report(now, nil)
	if len(report.Events) != 1 || report.Events[0].Reason != "SelectingAll" || !report.Events[0].Warning || report.Events[0].Once == "" {
		t.Errorf("events %+v", report.Events)
	}
	conditions := report.Object.Status.Conditions
	if len(conditions) != 1 || conditions[0].Type != v1beta1.DaemonSetConditionStalled || !strings.Contains(conditions[0].Message, "spec.selector is empty") {
		t.Errorf("conditions %+v", conditions)
	}
	if report.Object.Status.ObservedGeneration != 7 {
		t.Error("it is not said which generation was seen")
	}
}

func TestWhatKeepsPodsAwayIsTold(t *testing.T) {
	ended := &replica.Replica{Name: "agent-a", Node: "one", Phase: replica.Ended}
	w := newWork(nil, &v1beta1.DaemonSet{})
	w.view, w.decided = &workload.DaemonSet{Revisions: &workload.Revisions{}}, true
	w.results = []podops.Result{{Step: podset.Step{Do: podset.Delete, Pod: ended, Why: "it ended"}, Pod: "agent-a"}}
	w.stuck = []string{"agent-b on node two"}
	w.plan.Tally = podset.Tally{Desired: 5, Replicas: 4, Ready: 3, Available: 2, Updated: 1, Misscheduled: 6, ExpectedUpdated: 5}
	report := w.Report(time.Unix(1, 0), nil)
	said := map[string]string{}
	for _, e := range report.Events {
		said[e.Reason] = e.Note
	}
	for reason, part := range map[string]string{"FailedDaemonPod": "agent-a on node one", "FailedPlacement": "agent-b on node two", "SuccessfulDelete": "agent-a"} {
		if !strings.Contains(said[reason], part) {
			t.Errorf("event %s: %q, want it to name %s", reason, said[reason], part)
		}
	}
	s := report.Object.Status
	got := []int32{s.DesiredNumberScheduled, s.CurrentNumberScheduled, s.NumberReady, s.NumberAvailable, s.NumberUnavailable, s.UpdatedNumberScheduled, s.NumberMisscheduled}
	for i, want := range []int32{5, 4, 3, 2, 3, 1, 6} {
		if got[i] != want {
			t.Fatalf("counts %v", got)
		}
	}
}

func TestASetStallsWhileRequestsFailAndGoesOnAfterwards(t *testing.T) {
	w := newWork(nil, &v1beta1.DaemonSet{})
	w.view, w.decided = &workload.DaemonSet{Revisions: &workload.Revisions{}}, true
	w.plan.Tally = podset.Tally{Desired: 1}
	types := func(set *v1beta1.DaemonSet) (out []v1beta1.DaemonSetConditionType) {
		for _, c := range set.Status.Conditions {
			out = append(out, c.Type)
		}
		return out
	}
	first := w.Report(time.Unix(1, 0), errors.New("exceeded quota")).Object
	if got := types(first); len(got) != 1 || got[0] != v1beta1.DaemonSetConditionStalled {
		t.Fatalf("conditions %v", first.Status.Conditions)
	}
	w.set = first
	if again := w.Report(time.Unix(9, 0), errors.New("exceeded quota")).Object; !again.Status.Conditions[0].LastTransitionTime.Equal(&first.Status.Conditions[0].LastTransitionTime) {
		t.Error("the same failure is written anew each time")
	}
	if got := types(w.Report(time.Unix(9, 0), nil).Object); len(got) != 2 || got[0] != v1beta1.DaemonSetConditionProgressing || got[1] != v1beta1.DaemonSetConditionReconciling {
		t.Errorf("conditions %v", got)
	}
}
