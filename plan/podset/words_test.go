package podset_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func TestANoteIsASentence(t *testing.T) {
	for want, note := range map[string]podset.Note{
		"2 pods are to be created, but scaleStrategy.maxUnavailable is 1": {Wish: podset.WishScaleOut, Pods: 2, Because: "scaleStrategy.maxUnavailable is 1"},
		"1 pod is to be deleted, waiting for the preDelete hook of a":     {Wish: podset.WishScaleIn, Pods: 1, Because: "waiting for the preDelete hook of a"},
		"1 pod is to be updated, but the update is paused":                {Wish: podset.WishUpdate, Pods: 1, Because: "the update is paused"},
		"1 pod is not available: a (ErrImagePull)":                        {Wish: podset.WishAvailable, Pods: 1, Because: "waiting for a (ErrImagePull)"},
		"1 pod is not resized yet: a (resize: Infeasible)":                {Wish: podset.WishResize, Pods: 1, Because: "waiting for a (resize: Infeasible)"},
		"2 pods are not available: a, b":                                  {Wish: podset.WishAvailable, Pods: 2, Because: "waiting for a, b"},
		"1 pod is not resized yet: its node has no room":                  {Wish: podset.WishResize, Pods: 1, Because: "its node has no room"},
	} {
		if got := note.String(); got != want {
			t.Errorf("%+v: %q, want %q", note, got, want)
		}
	}
}

func TestNoPodIsToldTwiceToBeAway(t *testing.T) {
	_, plan := decide(podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, "a v1", "b v2 away")
	want := []string{"1 pod is to be updated, but maxUnavailable is 1 and 1 pod is unavailable: b"}
	if diff := cmp.Diff(want, plan.Waiting()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestStepsThatDifferInTheirPodsAloneAreOneGroup(t *testing.T) {
	pod := func(name string) *replica.Replica { return &replica.Replica{Name: name} }
	steps := []podset.Step{
		{Do: podset.Settle, Pod: pod("a"), State: "Normal"},
		{Do: podset.Settle, Pod: pod("b"), State: "Updated"},
		{Do: podset.Delete, Pod: pod("c")},
		{Do: podset.Delete, Pod: pod("k"), KeepClaims: true},
		{Do: podset.Settle, Pod: pod("d"), State: "Normal"},
		{Do: podset.Move, Pod: pod("e"), State: "PreparingUpdate"},
		{Do: podset.Move, Pod: pod("f"), State: "PreparingDelete"},
		{Do: podset.Move, Pod: pod("g"), State: "PreparingNormal"},
		{Do: podset.Apply, Pod: pod("h")},
	}
	for i := range 7 {
		steps = append(steps, podset.Step{Do: podset.Update, Pod: pod(fmt.Sprint(i)), To: "demo-v2"})
	}
	for _, slot := range []string{"x", "y"} {
		steps = append(steps, podset.Step{Do: podset.Create, Slot: slot, To: "demo-v2"})
	}
	var got []string
	for _, g := range podset.Grouped(steps) {
		got = append(got, g.String())
	}
	want := []string{
		"put a, d into service",
		"move b on to Updated",
		"delete c",
		"delete k",
		"prepare the update of e, which its hook holds",
		"prepare the deletion of f, which its hook holds",
		"keep g",
		"go on with the update of h in place",
		"update 0, 1, 2, 3, 4 and 2 more in place to revision v2",
		"create 2 pods of revision v2",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
