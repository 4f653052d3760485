package podset_test

import (
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func TestARaisedPartitionBringsPodsBackWhereItIsAskedFor(t *testing.T) {
	decisions{
		"new pods go back, as the budget lets": {
			podset.Pool{Replicas: 4, Rollback: true, Rolling: rolling{Partition: 3, MaxUnavailable: 1}},
			[]string{"a v1", "b v2", "c v2", "d v2"}, []string{"Update b v1"}},
		"no more than the partition asks for": {
			podset.Pool{Replicas: 4, Rollback: true, Rolling: rolling{Partition: 2, MaxUnavailable: 4}},
			[]string{"a v1", "b v2", "c v2", "d v2"}, []string{"Update b v1"}},
		"not unless it is asked for": {
			podset.Pool{Replicas: 4, Rolling: rolling{Partition: 3, MaxUnavailable: 1}},
			[]string{"a v1", "b v2", "c v2", "d v2"}, nil},
		"the broken ones first": {
			podset.Pool{Replicas: 3, Rollback: true, Rolling: rolling{Partition: 3, MaxUnavailable: 1}},
			[]string{"a v2", "b v2", "c v2 away"}, []string{"Update c v1"}},
		"by recreating them, if need be": {
			podset.Pool{Replicas: 3, Rollback: true, Policy: v1beta1.RecreatePodUpdatePolicyType, Rolling: rolling{Partition: 1, MaxUnavailable: 1}},
			[]string{"a v2", "b v2", "c v2"}, []string{"Delete a"}},
		"and then a pod of the old revision is created": {
			podset.Pool{Replicas: 3, Rollback: true, Policy: v1beta1.RecreatePodUpdatePolicyType, Rolling: rolling{Partition: 1, MaxUnavailable: 1}},
			[]string{"b v2", "c v2"}, []string{"Create new v1"}},
		"with a surge pod of the old revision first": {
			podset.Pool{Replicas: 3, Rollback: true, Rolling: rolling{Partition: 1, MaxSurge: 1}},
			[]string{"a v2", "b v2", "c v2"}, []string{"Create new v1"}},
		"through their hook": {
			podset.Pool{Replicas: 2, Rollback: true, Rolling: rolling{Partition: 1, MaxUnavailable: 1}},
			[]string{"a v2 held", "b v2"}, []string{"Move a PreparingUpdate"}},
		"waiting for their hook, and not back and forth": {
			podset.Pool{Replicas: 2, Rollback: true, Rolling: rolling{Partition: 1, MaxUnavailable: 1}},
			[]string{"a v2 prepared held", "b v2"}, nil},
		"and into service again when the partition is lowered": {
			podset.Pool{Replicas: 2, Rollback: true, Rolling: rolling{MaxUnavailable: 1}},
			[]string{"a v2 prepared held", "b v2"}, []string{"Settle a Normal"}},
		"never while paused": {
			podset.Pool{Replicas: 2, Rollback: true, Paused: true, Rolling: rolling{Partition: 2, MaxUnavailable: 1}},
			[]string{"a v2", "b v2"}, nil},
		"never on delete": {
			podset.Pool{Replicas: 2, Rollback: true, OnDelete: true, Rolling: rolling{Partition: 2, MaxUnavailable: 1}},
			[]string{"a v2", "b v2"}, nil},
	}.check(t)
}

func TestPodsThatPrepareForTheirUpdateMayCountAsUpdated(t *testing.T) {
	decisions{
		"a new pod is then of the old revision": {
			podset.Pool{Replicas: 4, PreparingUpdateAsUpdate: true, Rolling: rolling{Partition: 2, MaxUnavailable: 2}},
			[]string{"a v1 prepared held", "b v1 prepared held", "c v1"}, []string{"Create new v1"}},
		"and else of the new one": {
			podset.Pool{Replicas: 4, Rolling: rolling{Partition: 2, MaxUnavailable: 2}},
			[]string{"a v1 prepared held", "b v1 prepared held", "c v1"}, []string{"Create new v2"}},
		"they make no surge": {
			podset.Pool{Replicas: 2, PreparingUpdateAsUpdate: true, Rolling: rolling{Partition: 1, MaxSurge: 1}},
			[]string{"a v1 prepared held", "b v1"}, nil},
		"of the updated ones they are removed first": {
			podset.Pool{Replicas: 2, PreparingUpdateAsUpdate: true, Rolling: rolling{Partition: 1, MaxUnavailable: 1}},
			[]string{"a v1 prepared", "b v1", "c v2"}, []string{"Delete a"}},
	}.check(t)
}

func TestAHookMayKeepAPodOutOfService(t *testing.T) {
	_, plan := decide(podset.Pool{Replicas: 1, NotReadyForDelete: true, Rolling: rolling{MaxUnavailable: 1}}, "a v2 held doomed")
	if len(plan.Steps) != 1 || !plan.Steps[0].NotReady {
		t.Errorf("for its deletion: %+v", plan.Steps)
	}
	_, plan = decide(podset.Pool{Replicas: 1, NotReadyForUpdate: true, Rolling: rolling{MaxUnavailable: 1}}, "a v1 held")
	if len(plan.Steps) != 1 || !plan.Steps[0].NotReady {
		t.Errorf("for its update: %+v", plan.Steps)
	}
	decisions{
		"a pod that is out of service for its deletion is not taken back": {
			podset.Pool{Replicas: 2, NotReadyForDelete: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 leaving held"}, nil},
		"others are": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 leaving held"}, []string{"Move b PreparingNormal"}},
	}.check(t)
}

// reuse are pools whose claims are used again.
func reuse(p podset.Pool) podset.Pool {
	p.KeepsClaims = func(slot, _ string) bool { return slot != "" }
	p.Policy = v1beta1.RecreatePodUpdatePolicyType
	p.UpdateRevision, p.CurrentRevision = "demo-v2", "demo-v1"
	p.Change = func(_, _ string) inplace.Change { return inplace.Change{} }
	p.FreshSlots = func(n int, _ string) []string { return make([]string, n) }
	return p
}

func TestThePodsOfARolloutLeaveTheirClaimsToTheirSuccessors(t *testing.T) {
	for name, test := range map[string]struct {
		pool podset.Pool
		pod  string
		keep bool
	}{
		"recreated for an update":                       {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v1", true},
		"recreated for an update, once its hook let go": {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v1 leaving bequeathing", true},
		"recreated for an update that was taken back, once its hook let go": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v2 leaving bequeathing", true},
		"recreated for an update, and named in podsToDelete since": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}, Doomed: map[string]bool{"a": true}}, "a v1 leaving bequeathing", false},
		"recreated for an update that is paused since": {
			podset.Pool{Replicas: 1, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, "a v1 leaving bequeathing", true},
		"with a surge pod, which has claims of its own": {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1, MaxSurge: 1}}, "a v1", false},
		"asked to be deleted":                           {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v2 doomed", false},
		"asked to be deleted, once its hook let go":     {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v2 leaving doomed", false},
		"asked to be deleted, of an old revision, once its hook let go": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v1 leaving doomed", false},
		"asked to be deleted behind the partition, once its hook let go": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1, Partition: 1}}, "a v1 leaving doomed", false},
		"asked to be deleted while the update is paused, once its hook let go": {
			podset.Pool{Replicas: 1, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, "a v1 leaving doomed", false},
		"scaled in": {podset.Pool{Rolling: rolling{MaxUnavailable: 1}}, "a v2", false},
		"scaled in on its way to be recreated by a rollout": {podset.Pool{Rolling: rolling{MaxUnavailable: 1}}, "a v1 leaving bequeathing", false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podOf(test.pod)
			pod.Slot = "a"
			pods := []replica.Replica{pod}
			if test.pool.MaxSurge > 0 {
				pods = append(pods, podOf("b v2"))
			}
			pool := reuse(test.pool)
			var deletions []podset.Step
			for _, s := range pool.Plan(noon(), pods).Steps {
				if s.Do == podset.Delete {
					deletions = append(deletions, s)
				}
			}
			if len(deletions) != 1 || deletions[0].KeepClaims != test.keep {
				t.Errorf("steps %+v, want the claims kept: %v", deletions, test.keep)
			}
		})
	}
}

func TestAPodThatAHookHoldsRemembersWhetherItLeavesItsClaims(t *testing.T) {
	for name, test := range map[string]struct {
		pool podset.Pool
		pod  string
		want bool
	}{
		"recreated for an update":                       {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v1 held", true},
		"with a surge pod, which has claims of its own": {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1, MaxSurge: 1}}, "a v1 held", false},
		"asked to be deleted":                           {podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, "a v1 held doomed", false},
		"scaled in":                                     {podset.Pool{Rolling: rolling{MaxUnavailable: 1}}, "a v2 held", false},
	} {
		t.Run(name, func(t *testing.T) {
			pod := podOf(test.pod)
			pod.Slot = "a"
			pods := []replica.Replica{pod}
			if test.pool.MaxSurge > 0 {
				pods = append(pods, podOf("b v2"))
			}
			pool := reuse(test.pool)
			var moves []podset.Step
			for _, s := range pool.Plan(noon(), pods).Steps {
				if s.Do == podset.Move {
					moves = append(moves, s)
				}
			}
			if len(moves) != 1 || moves[0].State != lifecycle.PreparingDelete || moves[0].KeepClaims != test.want {
				t.Errorf("steps %+v, want the claims left: %v", moves, test.want)
			}
		})
	}
}

func TestClaimsThatAreNotForTheNewestRevisionAreNotLeftToIt(t *testing.T) {
	pod := podOf("a v1")
	pod.Slot = "a"
	pool := reuse(podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}})
	pool.KeepsClaims = func(_, to string) bool { return to != pool.UpdateRevision }
	if steps := pool.Plan(noon(), []replica.Replica{pod}).Steps; len(steps) != 1 || steps[0].Do != podset.Delete || steps[0].KeepClaims {
		t.Errorf("steps %+v, want a deletion with the claims", steps)
	}
	pod.Terminating, pod.GraceUntil = true, noon() // by somebody else: a pod of its own revision may follow
	if plan := pool.Plan(noon(), []replica.Replica{pod}); len(plan.Steps) > 0 {
		t.Errorf("steps %+v, want none until the pod has ended", plan.Steps)
	}
}

func TestEachNewPodGetsASlotForItsRevision(t *testing.T) {
	pool := reuse(podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1, Partition: 2}})
	pool.FreshSlots = func(n int, to string) []string { return slices.Repeat([]string{to}, n) }
	var got []string
	for _, s := range pool.Plan(noon(), nil).Steps {
		got = append(got, s.To+" in "+s.Slot)
	}
	if diff := cmp.Diff([]string{"demo-v1 in demo-v1", "demo-v1 in demo-v1", "demo-v2 in demo-v2"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestASuccessorWaitsForAVolumeWhileThePodEndsInTime(t *testing.T) {
	ending := podOf("a v2 terminating")
	ending.Slot, ending.GraceUntil = "a", noon().Add(10*time.Second)
	pool := reuse(podset.Pool{Replicas: 1})
	plan := pool.Plan(noon(), []replica.Replica{ending})
	want := []podset.Note{{Wish: podset.WishScaleOut, Pods: 1, Because: "the volumes are to be used again and are free once a ended", Cause: podset.CauseVolume}}
	if diff := cmp.Diff(want, plan.Notes); diff != "" || len(plan.Steps) > 0 {
		t.Errorf("steps %+v, notes (-want +got):\n%s", plan.Steps, diff)
	}
	if wake := noon().Add(70 * time.Second); !plan.Wake.Equal(wake) {
		t.Errorf("wake %s, want %s", plan.Wake, wake)
	}
	if late := pool.Plan(noon().Add(70*time.Second), []replica.Replica{ending}); len(late.Steps) != 1 || late.Steps[0].Do != podset.Create {
		t.Errorf("steps %+v for a pod that does not end", late.Steps)
	}
}
