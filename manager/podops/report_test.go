package podops

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
)

// goingOn is a rollout of five pods on its way.
func goingOn(notes ...podset.Note) Rollout {
	return Rollout{
		Plan:   &podset.Plan{Tally: podset.Tally{Replicas: 5, Available: 4, Updated: 2, UpdatedAvailable: 1, ExpectedUpdated: 5}, Notes: notes},
		Wanted: 5, Reasons: ProgressReasons{Complete: "There", Paused: "Paused", PartitionReached: "Part", GoingOn: "Going"},
	}
}

func TestAMessageIsBounded(t *testing.T) {
	long := strings.Repeat("ü", longestMessage)
	scale, _ := Failures(errors.New(long), nil, "")
	for what, text := range map[string]string{
		"progress": goingOn(podset.Note{Wish: podset.WishUpdate, Pods: 3, Because: long}).Progress().Message,
		"failure":  scale,
	} {
		if len(text) > longestMessage || len(text) < longestMessage-4 || !strings.HasSuffix(text, "ü…") {
			t.Errorf("the message of %s has %d bytes and ends in %q", what, len(text), text[len(text)-6:])
		}
	}
}

func TestWhereAnUpdateIsToStopTheMessageSaysWhatStopsIt(t *testing.T) {
	for by, excluded := range map[string]int{"partition": 1, "selector of nodes": 3} {
		tally := podset.Tally{Desired: 5, Replicas: 5, Available: 5, Updated: 2, UpdatedAvailable: 2, ExpectedUpdated: 2, Excluded: excluded}
		got := Rollout{Plan: &podset.Plan{Tally: tally}, Wanted: 5, Reasons: ProgressReasons{PartitionReached: "Part"}}.Progress()
		if want := "2 of 5 pods updated and available, as the " + by + " wants"; got.Message != want || got.Reason != "Part" {
			t.Errorf("%s: %q, want %q", got.Reason, got.Message, want)
		}
	}
}

func TestARolloutThatIsDoneSaysWhatABudgetHolds(t *testing.T) {
	plan := &podset.Plan{Tally: podset.Tally{Replicas: 5, Available: 5, Updated: 5, UpdatedAvailable: 5, ExpectedUpdated: 5}}
	plan.Hold([]podset.Step{{Do: podset.Move, State: lifecycle.PreparingDelete}}, "PodUnavailableBudget web lets no more pods become unavailable", time.Unix(1, 0))
	got := Rollout{Plan: plan, Wanted: 5, Reasons: ProgressReasons{Complete: "There"}}.Progress()
	const want = "all 5 pods updated and available; 1 pod is to be deleted, but PodUnavailableBudget web lets no more pods become unavailable"
	if got.Message != want || got.Reason != "There" {
		t.Errorf("%s: %q, want %q", got.Reason, got.Message, want)
	}
}

func TestNoEventIsTooLongForTheAPIServer(t *testing.T) {
	long := Result{Step: podset.Step{Do: podset.Create}, Pod: "web-a", Err: fmt.Errorf("refused: %s", strings.Repeat("x", 5000))}
	got := Reasons{NotCreated: "FailedCreate"}.Events(&podset.Plan{}, []Result{long})
	if len(got) != 1 || len(got[0].Note) != longestEventNote {
		t.Errorf("events %v, want one with a note of %d bytes", got, longestEventNote)
	}
}

func TestWhatAKindHasNoReasonForIsToldToNobody(t *testing.T) {
	plan := &podset.Plan{Notes: []podset.Note{{Wish: podset.WishUpdate, Pods: 1, Because: "so it is", Cause: podset.CauseNotInPlace}}}
	step := func(do podset.Do, err error) Result {
		return Result{Step: podset.Step{Do: do, Why: "so it is"}, Pod: "web-0", Err: err}
	}
	recreate := func(err error) Result {
		r := step(podset.Delete, err)
		r.Step.Recreates = true
		return r
	}
	got := Reasons{Recreated: "SuccessfulDelete"}.Events(plan, []Result{
		step(podset.Create, nil), step(podset.Update, errBroken), recreate(nil), recreate(errBroken), step(podset.Delete, nil),
	})
	want := []loop.Event{{Reason: "SuccessfulDelete", Action: "RecreatePod", Note: "deleted, to be recreated with another revision, pod web-0: so it is", Pod: "web-0"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestAFailureKeepsTheNamesOfPodsThatStayTheSame(t *testing.T) {
	err := errors.New("create Pod shop/web-0: exceeded quota")
	results := []Result{{Step: podset.Step{Do: podset.Create}, Pod: "web-0", Err: err}}
	for fresh, want := range map[string]string{"": err.Error(), "web-…": "create Pod shop/web-…: exceeded quota"} {
		if scale, update := Failures(err, results, fresh); scale != want || update != "" {
			t.Errorf("where fresh pods are called %q: %q and %q, want %q", fresh, scale, update, want)
		}
	}
}

// A kind's conditions need not keep the time of the last advance, where it has no deadline.
func TestConditionsWithoutATimeOfTheLastUpdateStayAsTheyAre(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	c := Conditions{Now: begin}
	c.Progress(goingOn().Progress())
	c.Failure("FailedCreatePod", "broken")
	for i := range c.List {
		c.List[i].LastUpdateTime = metav1.Time{}
	}
	again := Conditions{List: append([]Condition(nil), c.List...), Now: begin.Add(time.Hour)}
	due := again.Progress(goingOn().Progress())
	again.Failure("FailedCreatePod", "broken")
	if diff := cmp.Diff(c.List, again.List); diff != "" || !due.IsZero() {
		t.Errorf("due at %v; conditions (-before +after):\n%s", due, diff)
	}
	var kinds []string
	for _, condition := range again.List {
		kinds = append(kinds, condition.Type+"="+string(condition.Status))
	}
	if diff := cmp.Diff([]string{"Progressing=True", "Reconciling=True", "FailedCreatePod=True"}, kinds); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

func TestARolloutPastItsDeadlineStallsUntilItAdvances(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	rollout := goingOn()
	rollout.Deadline = time.Minute
	c := Conditions{Now: begin}
	c.Progress(rollout.Progress())
	is := func() (out []string) {
		for _, condition := range c.List {
			if condition.Status == corev1.ConditionTrue {
				out = append(out, condition.Type)
			}
		}
		return out
	}
	c.Now = begin.Add(time.Minute)
	if due := c.Progress(rollout.Progress()); !due.IsZero() {
		t.Errorf("a deadline that is past is due at %v", due)
	}
	if diff := cmp.Diff([]string{"Stalled"}, is()); diff != "" {
		t.Errorf("past the deadline these are true (-want +got):\n%s", diff)
	}
	rollout.Advanced = true
	if due := c.Progress(rollout.Progress()); !due.Equal(begin.Add(2 * time.Minute)) {
		t.Errorf("once it advances it is due at %v, want a minute later", due)
	}
	if diff := cmp.Diff([]string{"Progressing", "Reconciling"}, is()); diff != "" {
		t.Errorf("once it advances these are true (-want +got):\n%s", diff)
	}
}
