package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// podOf makes a pod from words: its name, its revision (v1 or v2), and what is special about it. Without more words it is
// available.
func podOf(words string) replica.Replica {
	fields := strings.Fields(words)
	r := replica.Replica{
		Name: fields[0], Revision: "demo-" + fields[1], Phase: replica.Running, State: lifecycle.Normal,
		Holds:     lifecycle.Holds{UpdateComplete: true, NormalComplete: true},
		Scheduled: true, Ready: true, Available: true,
	}
	for _, word := range fields[2:] {
		switch word {
		case "away":
			r.Ready, r.Available = false, false
		case "stuck": // as kubelet says
			r.Ready, r.Available, r.Trouble = false, false, "CrashLoopBackOff"
		case "long": // for a minute
			r.AwayFor = time.Minute
		case "ready": // but not for minReadySeconds yet
			r.Available, r.AvailableAt = false, noon().Add(time.Minute)
		case "starting": // and about to become normal
			r.State, r.Ready, r.Available = lifecycle.PreparingNormal, false, false
		case "ungated": // a readiness gate of ours is closed
			r.Unsettled, r.Ready, r.Available = true, false, false
		case "updating":
			r.State, r.Stage, r.Ready, r.Available = lifecycle.Updating, inplace.Running, false, false
		case "resizing": // in service
			r.Stage, r.Trouble = inplace.Running, "resize: Infeasible"
		case "next": // its next containers can be changed
			r.State, r.Stage, r.Ready, r.Available = lifecycle.Updating, inplace.NextBatch, false, false
		case "closing": // the record of a resize that is done
			r.Unsettled = true
		case "unscheduled":
			r.Scheduled, r.Phase, r.Ready, r.Available = false, replica.Pending, false, false
		case "doomed":
			r.SpecifiedDelete = true
		case "bequeathing": // its claims, to the successor for which it goes
			r.SpecifiedDelete, r.LeavesClaims = true, true
		case "robbed":
			r.Lost = replica.LostName
		case "leaving":
			r.State, r.Available = lifecycle.PreparingDelete, false
		case "held":
			r.Holds = lifecycle.Holds{Delete: true, Update: true, UpdateComplete: true, NormalComplete: true}
		case "released": // by a hook that it should get back after its update
			r.Holds = lifecycle.Holds{NormalComplete: true}
		case "unregistered": // its preNormal hook is not complete
			r.State, r.Available, r.Holds.NormalComplete = lifecycle.PreparingNormal, false, false
		case "updated": // and without the entries that its inPlaceUpdate hook wants back
			r.State, r.Available, r.Holds.UpdateComplete = lifecycle.Updated, false, false
		case "prepared":
			r.State, r.Available = lifecycle.PreparingUpdate, false
		case "ended":
			r.Phase = replica.Ended
		case "terminating":
			r.Terminating = true
		case "overdue": // its grace period is over
			r.State, r.Stage, r.Ready, r.Available = lifecycle.Updating, inplace.Grace, false, false
			r.GraceUntil = noon()
		default:
			panic("podOf: " + word)
		}
	}
	return r
}

// decide makes a plan for pods of v1 and v2 and puts its steps into words.
func decide(pool podset.Pool, pods ...string) (steps []string, plan podset.Plan) {
	pool.UpdateRevision, pool.CurrentRevision = "demo-v2", "demo-v1"
	if pool.Policy == "" {
		pool.Policy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	}
	if pool.Change == nil {
		pool.Change = func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} }
	}
	pool.FreshSlots = func(n int, _ string) []string { return slices.Repeat([]string{"new"}, n) }
	var replicas []replica.Replica
	for _, words := range pods {
		replicas = append(replicas, podOf(words))
	}
	plan = pool.Plan(noon(), replicas)
	return inWords(plan.Steps), plan
}

// inWords puts steps into words, such as "Create a v2".
func inWords(steps []podset.Step) (words []string) {
	for _, s := range steps {
		name := s.Slot
		if s.Pod != nil {
			name = s.Pod.Name
		}
		words = append(words, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", s.Do, name, strings.TrimPrefix(s.To, "demo-"), s.State)), " "))
	}
	return words
}

// decisions are pools and pods, and the steps that must come of them.
type decisions map[string]struct {
	pool podset.Pool
	pods []string
	want []string
}

func (cases decisions) check(t *testing.T) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, plan := decide(test.pool, test.pods...)
			checkSteps(t, test.want, got, plan)
		})
	}
}

// checkSteps checks the steps of a plan, and that each has a reason.
func checkSteps(t *testing.T, want, got []string, plan podset.Plan) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("steps (-want +got):\n%s\nnotes: %+v", diff, plan.Notes)
	}
	for _, step := range plan.Steps {
		if step.Why == "" {
			t.Errorf("step %+v has no reason", step)
		}
	}
}

type rolling = budget.Rolling

func metadata(_, _ string) inplace.Change {
	return inplace.Change{Labels: map[string]*string{"a": new("b")}}
}

func impossible(_, _ string) inplace.Change { return inplace.Change{Blocked: "spec.hostNetwork"} }

func impossibleFromV0(from, to string) inplace.Change {
	if from == "demo-v0" {
		return impossible(from, to)
	}
	return inplace.Change{Images: map[string]string{"web": "web:2"}}
}

func byName(r *replica.Replica) int64 { return int64(r.Name[0]) }

func TestWhichPodsComeIntoServiceOrAreCreated(t *testing.T) {
	decisions{
		"a pod whose gate was closed for an update that never began comes into service": {
			podset.Pool{Replicas: 1}, []string{"a v2 ungated"}, []string{"Settle a Normal"}},
		"a pod is out of service while its update goes on": {
			podset.Pool{Replicas: 1}, []string{"a v2 updating ungated"}, nil},
		"a pod comes into service when it has a node, and not before": {
			podset.Pool{Replicas: 1}, []string{"a v2 ungated unscheduled"}, nil},
		"a pod on its way out does not come into service": {
			podset.Pool{Replicas: 0}, []string{"a v2 leaving held ungated"}, nil},
		"a pod that waits for its update does not come into service": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 prepared held ungated"}, nil},
		"missing pods are of the newest revision": {
			podset.Pool{Replicas: 2}, nil, []string{"Create new v2", "Create new v2"}},
		"missing pods are of the old revision as far as the partition lacks them": {
			podset.Pool{Replicas: 3, Rolling: rolling{Partition: 2}}, []string{"a v1"}, []string{"Create new v1", "Create new v2"}},
		"pods that ended or terminate do not count": {
			podset.Pool{Replicas: 1}, []string{"a v2 ended", "b v2 terminating"}, []string{"Create new v2"}},
		"a scale limit counts unavailable and leaving pods": {
			podset.Pool{Replicas: 6, ScaleLimit: new(3)}, []string{"a v2 away", "b v2 leaving held"}, []string{"Move b PreparingNormal", "Create new v2"}},
		"a leaving pod that is taken back holds its place again": {
			podset.Pool{Replicas: 3, ExcludePreparingDelete: true}, []string{"a v2", "b v2 leaving held"}, []string{"Move b PreparingNormal", "Create new v2"}},
		"nothing is updated by a plan that takes pods back": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 2}}, []string{"a v1", "b v1 leaving held"}, []string{"Move b PreparingNormal"}},
		"a leaving pod is taken back before another is made": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 leaving held"}, []string{"Move b PreparingNormal"}},
		"a doomed pod is never taken back": {
			podset.Pool{Replicas: 2, ExcludePreparingDelete: true}, []string{"a v2", "b v2 leaving held doomed"}, []string{"Create new v2"}},
		"a leaving pod holds its place until it is gone": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 leaving held doomed"}, nil},
		"a pod that its hook let go is deleted though the scale limit stops a new one": {
			podset.Pool{Replicas: 2, ScaleLimit: new(1), ExcludePreparingDelete: true}, []string{"a v2", "b v2 leaving doomed"}, []string{"Delete b"}},
	}.check(t)
}

func TestWhichPodsAreDeleted(t *testing.T) {
	decisions{
		"surplus pods go, the least loss first": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 away", "c v2"}, []string{"Delete b", "Delete a"}},
		"surplus pods go only as far as enough stay available": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 away", "c v2 away", "d v2"}, []string{"Delete b", "Delete c"}},
		"a ready pod that waits for minReadySeconds is not surplus while too few are ready": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 ready", "c v2 away"}, []string{"Delete c"}},
		"surplus pods are of the revision of which there are too many": {
			podset.Pool{Replicas: 3, Rolling: rolling{Partition: 2, MaxUnavailable: 3}}, []string{"a v1 away", "b v1", "c v2", "d v2"}, []string{"Delete c"}},
		"a held surplus pod prepares to leave": {
			podset.Pool{Replicas: 1}, []string{"a v2 held", "b v2 held"}, []string{"Move a PreparingDelete"}},
		"on delete, surplus pods are of any revision": {
			podset.Pool{Replicas: 1, OnDelete: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v2 away"}, []string{"Delete b"}},

		"a doomed pod that is not ready goes at once": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 doomed away"}, []string{"Delete b"}},
		"a doomed pod that serves goes as the budget lets": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 doomed", "c v2 doomed"}, []string{"Delete b"}},
		"a doomed pod that is ready, if not for long enough, waits while too few are ready": {
			podset.Pool{Replicas: 2}, []string{"a v2", "b v2 ready doomed"}, nil},
		"a doomed pod that serves waits while others are away": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 doomed", "c v2 away"}, nil},
		"a doomed pod named in the spec goes, too": {
			podset.Pool{Replicas: 1, Doomed: map[string]bool{"a": true, "gone": true}, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2"}, []string{"Delete a"}},
		"plain scale-in waits until the doomed pods are gone": {
			podset.Pool{Replicas: 1}, []string{"a v2 doomed", "b v2 away", "c v2 away"}, nil},
		"with surge another pod comes before a doomed one goes": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxSurge: 1}}, []string{"a v2", "b v2 doomed"}, []string{"Create new v2"}},
		"a doomed old pod that the partition keeps is replaced by an old one": {
			podset.Pool{Replicas: 2, Rolling: rolling{Partition: 2, MaxSurge: 1}}, []string{"a v1", "b v1 doomed"}, []string{"Create new v1"}},
		"surge for deletions and surge for the update are not added up": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxSurge: 2}}, []string{"a v1 doomed", "b v1", "c v2"}, []string{"Create new v2"}},
		"no more surge than allowed": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxSurge: 2}}, []string{"a v1", "b v1", "c v1"}, []string{"Create new v2", "Create new v2"}},
	}.check(t)
}

func TestWhichPodsAreUpdated(t *testing.T) {
	decisions{
		"pods are updated as the budget lets, those that serve least first": {
			podset.Pool{Replicas: 4, Rolling: rolling{MaxUnavailable: 2}}, []string{"a v1", "b v1", "c v1 away", "d v1"}, []string{"Update c v2", "Update a v2"}},
		"a broken pod is repaired though one of a higher priority cannot be updated yet": {
			podset.Pool{Replicas: 2, Priority: []order.By{byName}, Rolling: rolling{MaxUnavailable: 1}},
			[]string{"a v1", "b v1 away"}, []string{"Update b v2"}},
		"priorities go before the least loss": {
			podset.Pool{Replicas: 3, Priority: []order.By{byName}, Rolling: rolling{MaxUnavailable: 2}},
			[]string{"a v1", "b v1 away", "c v1"}, []string{"Update a v2", "Update b v2"}},
		"an available pod is not updated while as many as allowed are away": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1", "c v2 away"}, nil},
		"broken old pods are updated no further than the budget": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 2}}, []string{"a v1 away", "b v1 away", "c v1 away"}, []string{"Update a v2", "Update b v2"}},
		"broken pods that cannot be updated count as away": {
			podset.Pool{Replicas: 5, Change: impossibleFromV0, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType, Rolling: rolling{MaxUnavailable: 2}},
			[]string{"a v0 away", "b v1", "c v1", "d v1", "e v1"}, []string{"Update b v2"}},
		"old pods that are starting count as away": {
			podset.Pool{Replicas: 5, Rolling: rolling{MaxUnavailable: 2}},
			[]string{"a v1 starting", "b v1", "c v1", "d v1", "e v1"}, []string{"Settle a Normal", "Update b v2"}},
		"pods that cannot be updated do not use up what the partition leaves": {
			podset.Pool{Replicas: 3, Change: impossibleFromV0, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType, Rolling: rolling{Partition: 2, MaxUnavailable: 2}},
			[]string{"a v0 away", "b v1", "c v1"}, []string{"Update b v2"}},
		"broken pods of the newest revision stop the update": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 away", "b v1", "c v2 away"}, nil},
		"with maxUnavailable 0 a broken pod is repaired all the same": {
			podset.Pool{Replicas: 2, ScaleLimit: new(0), Rolling: rolling{MaxSurge: 1}}, []string{"a v1 away", "b v1"}, []string{"Update a v2"}},
		"a pod above replicas lets another be updated": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxSurge: 1}}, []string{"a v1", "b v1", "c v2"}, []string{"Update a v2"}},
		"the partition keeps pods": {
			podset.Pool{Replicas: 3, Rolling: rolling{Partition: 2, MaxUnavailable: 3}}, []string{"a v1", "b v1", "c v1"}, []string{"Update a v2"}},
		"a partition that was raised rolls nothing back": {
			podset.Pool{Replicas: 2, Rolling: rolling{Partition: 2, MaxUnavailable: 2}}, []string{"a v2", "b v2"}, nil},
		"doomed pods count for what stays of the old revision": {
			podset.Pool{Replicas: 3, Rolling: rolling{Partition: 2, MaxUnavailable: 1}}, []string{"a v1 doomed", "b v1", "c v1 away"}, nil},
		"paused, nothing is updated": {
			podset.Pool{Replicas: 2, Paused: true, Rolling: rolling{MaxUnavailable: 2}}, []string{"a v1", "b v1 away"}, nil},
		"metadata is changed everywhere at once": {
			podset.Pool{Replicas: 3, Change: metadata, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1", "c v2 away"}, []string{"Update a v2", "Update b v2"}},
		"metadata costs budget where a hook has to come back": {
			podset.Pool{Replicas: 2, Change: metadata, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 released", "b v1 released"}, []string{"Update a v2"}},
		"what cannot be changed in place is recreated": {
			podset.Pool{Replicas: 2, Change: impossible, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1"}, []string{"Delete a"}},
		"a held pod to be recreated prepares to leave": {
			podset.Pool{Replicas: 2, Change: impossible, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 held", "b v1 held"}, []string{"Move a PreparingDelete"}},
		"InPlaceOnly leaves what cannot be changed in place": {
			podset.Pool{Replicas: 2, Change: impossible, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1"}, nil},
		"a held pod to be updated is prepared first": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 held", "b v1 held"}, []string{"Move a PreparingUpdate"}},
		"prepared pods go first": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 2, Partition: 1}}, []string{"a v1", "b v1 prepared"}, []string{"Update b v2"}},
		"of two prepared pods the one that the partition keeps now serves again": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 2, Partition: 1}}, []string{"a v1 prepared held", "b v1 prepared held"}, []string{"Settle b Normal"}},
		"a prepared pod that the partition keeps now serves again": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1, Partition: 2}}, []string{"a v1", "b v1 prepared held"}, []string{"Settle b Normal"}},
		"a prepared pod whose hook is gone already waits for it to come back": {
			podset.Pool{Replicas: 2, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1 prepared released"}, []string{"Settle b Updated"}},
		"an update overtakes a change whose grace period is over": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1 overdue"}, []string{"Update b v2"}},
		"a change whose grace period is over is carried out when no update overtakes it": {
			podset.Pool{Replicas: 2, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1 overdue"}, []string{"Apply b"}},
		"also when an update is wanted and refused": {
			podset.Pool{Replicas: 2, Change: impossible, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType, Rolling: rolling{MaxUnavailable: 1}},
			[]string{"a v1", "b v1 overdue"}, []string{"Apply b"}},
		"a change to the newest revision is carried out when its grace period is over": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2 overdue"}, []string{"Apply a"}},
		"a doomed pod in its grace period is deleted instead": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2 overdue doomed"}, []string{"Delete a"}},
	}.check(t)
}

func TestANoteNamesTheReasonAndThePods(t *testing.T) {
	for name, test := range map[string]struct {
		pool podset.Pool
		pods []string
		want []podset.Note
	}{
		"nothing is wanted": {podset.Pool{Replicas: 1}, []string{"a v2"}, nil},
		"the scale limit": {
			podset.Pool{Replicas: 4, ScaleLimit: new(1)}, []string{"a v2 away"}, []podset.Note{
				{Wish: podset.WishScaleOut, Pods: 3, Because: "scaleStrategy.maxUnavailable is 1 and 1 pod is unavailable: a", Cause: podset.CauseScaleLimit},
				{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for a", Told: true}}},
		"the scale limit, with pods that are being created": {
			podset.Pool{Replicas: 4, ScaleLimit: new(3)}, []string{"a v2 away"}, []podset.Note{
				{Wish: podset.WishScaleOut, Pods: 1, Because: "scaleStrategy.maxUnavailable is 3 and 1 pod is unavailable: a; 2 being created", Cause: podset.CauseScaleLimit},
				{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for a", Told: true}}},
		"the budget, with the pods that spend it": {
			podset.Pool{Replicas: 7, Rolling: rolling{MaxUnavailable: 4}},
			[]string{"a v1", "b v1", "c v1", "d v2 away", "e v2 away", "f v2 away", "g v2 away"}, []podset.Note{
				{Wish: podset.WishUpdate, Pods: 3, Because: "maxUnavailable is 4 and 4 pods are unavailable: d, e, f and 1 more"},
				{Wish: podset.WishAvailable, Pods: 4, Because: "waiting for d, e, f and 1 more", Told: true}}},
		"the budget, spent by this plan": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1"}, []podset.Note{
				{Wish: podset.WishUpdate, Pods: 1, Because: "maxUnavailable is 1 and 1 pod is unavailable: a", Behind: 1}}},
		"the budget, while there is nobody to take away": {
			podset.Pool{Replicas: 2, Paused: true}, []string{"a v2", "b v2 doomed"}, []podset.Note{
				{Wish: podset.WishScaleIn, Pods: 1, Because: "maxUnavailable is 0 and no pod may go"}}},
		"the budget, with pods missing": {
			podset.Pool{Replicas: 3, ScaleLimit: new(0), Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1"}, []podset.Note{
				{Wish: podset.WishScaleOut, Pods: 1, Because: "scaleStrategy.maxUnavailable is 0", Cause: podset.CauseScaleLimit},
				{Wish: podset.WishUpdate, Pods: 2, Because: "maxUnavailable is 1 and 1 missing"}}},
		"paused": {
			podset.Pool{Replicas: 1, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1"}, []podset.Note{
				{Wish: podset.WishUpdate, Pods: 1, Because: "the update is paused", Cause: podset.CausePaused}}},
		"on delete": {
			podset.Pool{Replicas: 1, OnDelete: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1"}, []podset.Note{
				{Wish: podset.WishUpdate, Pods: 1, Because: "updateStrategy.type is OnDelete: pods get the new revision when they are deleted", Cause: podset.CauseOnDelete}}},
		"refused": {
			podset.Pool{Replicas: 1, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType, Change: impossible, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1"}, []podset.Note{
				{Wish: podset.WishUpdate, Pods: 1, Because: "podUpdatePolicy is InPlaceOnly, and this cannot be changed in place: spec.hostNetwork", Cause: podset.CauseNotInPlace}}},
		"hooks": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 prepared held", "b v2 leaving held doomed"}, []podset.Note{
				{Wish: podset.WishScaleIn, Pods: 1, Because: "waiting for the preDelete hook of b", Cause: podset.CauseHook},
				{Wish: podset.WishUpdate, Pods: 1, Because: "waiting for the inPlaceUpdate hook of a", Cause: podset.CauseHook},
				{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for a"}}},
		"hooks that are to be completed": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 unregistered", "c v2 updated"}, []podset.Note{
				{Wish: podset.WishAvailable, Pods: 2,
					Because: "waiting for b (its preNormal hook is not complete), c (its inPlaceUpdate hook is not complete)"}}},
		"the budget, with a ready pod that is asked to go": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2", "b v2 ready doomed", "c v2 ready doomed"}, []podset.Note{
				{Wish: podset.WishScaleIn, Pods: 1, Because: "maxUnavailable is 1 and 1 pod is unavailable: b", Behind: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, plan := decide(test.pool, test.pods...)
			if diff := cmp.Diff(test.want, plan.Notes); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAPlanWakesForTheNextPodThatBecomesAvailableOrHasHadItsGrace(t *testing.T) {
	soon, later := podOf("a v2 ready"), podOf("b v2 overdue")
	later.GraceUntil = noon().Add(2 * time.Minute)
	pool := podset.Pool{Replicas: 2, UpdateRevision: "demo-v2", CurrentRevision: "demo-v2"}
	for name, test := range map[string]struct {
		pods []replica.Replica
		want time.Time
	}{
		"never, when all is well":      {[]replica.Replica{podOf("a v2"), podOf("b v2")}, time.Time{}},
		"when a pod becomes available": {[]replica.Replica{soon, podOf("b v2")}, noon().Add(time.Minute)},
		"when a grace period is over":  {[]replica.Replica{podOf("a v2"), later}, noon().Add(2 * time.Minute)},
		"for the earliest of them":     {[]replica.Replica{later, soon}, noon().Add(time.Minute)},
	} {
		if got := pool.Plan(noon(), test.pods).Wake; !got.Equal(test.want) {
			t.Errorf("%s: wake %s, want %s", name, got, test.want)
		}
	}
}

func TestTheTallyCountsEveryActivePod(t *testing.T) {
	_, plan := decide(podset.Pool{Replicas: 6, Rolling: budget.Rolling{Partition: 2}},
		"a v1", "b v1 away", "c v2", "d v2 ready", "e v2 leaving held", "f v2 doomed", "g v2 ended", "h v1 terminating")
	want := podset.Tally{Replicas: 6, Ready: 5, Available: 3, Updated: 4, UpdatedReady: 4, UpdatedAvailable: 2, ExpectedUpdated: 4}
	if diff := cmp.Diff(want, plan.Tally); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPodsThatCarryTheShortFormOfTheirRevisionAreRecognised(t *testing.T) {
	short := podOf("a v2")
	short.Revision = "v2"
	pool := podset.Pool{Replicas: 1, UpdateRevision: "demo-v2", CurrentRevision: "demo-v2"}
	if plan := pool.Plan(noon(), []replica.Replica{short}); len(plan.Steps) > 0 || plan.Tally.Updated != 1 {
		t.Errorf("steps %v, tally %+v", plan.Steps, plan.Tally)
	}
}
