package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

// upTo are the first n ordinals but those that are reserved.
func upTo(n int, reserved ...int) (out []int) {
	for i := 0; len(out) < n; i++ {
		if !slices.Contains(reserved, i) {
			out = append(out, i)
		}
	}
	return out
}

// inLine makes a plan for pods of v1 and v2, named by their ordinals, and puts its steps into words.
func inLine(s podset.Sequence, pods ...string) (steps []string, plan podset.Plan) {
	s.UpdateRevision, s.CurrentRevision = "demo-v2", "demo-v1"
	if s.Policy == "" {
		s.Policy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	}
	if s.MaxUnavailable == 0 {
		s.MaxUnavailable = 1
	}
	if s.Change == nil {
		s.Change = func(_, _ string) inplace.Change { return inplace.Change{Images: map[string]string{"web": "web:2"}} }
	}
	var replicas []replica.Replica
	for _, words := range pods {
		r := podOf(words)
		r.Slot = r.Name
		replicas = append(replicas, r)
	}
	plan = s.Plan(noon(), replicas)
	for _, s := range plan.Steps {
		name := s.Slot
		if s.Pod != nil {
			name = s.Pod.Name
		}
		steps = append(steps, strings.Join(strings.Fields(fmt.Sprintf("%s %s %s %s", s.Do, name, strings.TrimPrefix(s.To, "demo-"), s.State)), " "))
	}
	return steps, plan
}

// lines are sequences and pods, and the steps that must come of them.
type lines map[string]struct {
	sequence podset.Sequence
	pods     []string
	want     []string
}

func (cases lines) check(t *testing.T) {
	t.Helper()
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			got, plan := inLine(test.sequence, test.pods...)
			checkSteps(t, test.want, got, plan)
		})
	}
}

func TestPodsAreCreatedOneAfterTheOtherOrAllAtOnce(t *testing.T) {
	lines{
		"the first":                      {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, nil, []string{"Create 0 v2"}},
		"the next, once it is available": {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2"}, []string{"Create 1 v2"}},
		"and not before":                 {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2 away"}, nil},
		"nor while it is ready, but not for long enough": {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2 ready"}, nil},
		"a gap is filled first":                          {podset.Sequence{Ordered: true, Ordinals: upTo(4)}, []string{"0 v2", "2 v2"}, []string{"Create 1 v2"}},
		"whoever is broken behind it":                    {podset.Sequence{Ordered: true, Ordinals: upTo(4)}, []string{"0 v2", "2 v2 away"}, []string{"Create 1 v2"}},
		"all at once":                                    {podset.Sequence{Ordinals: upTo(3)}, []string{"1 v2 away"}, []string{"Create 0 v2", "Create 2 v2"}},
		"none where one ends":                            {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v2", "1 v2 terminating"}, nil},
		"no more than scaleStrategy.maxUnavailable are not available": {
			podset.Sequence{Ordinals: upTo(5), ScaleLimit: new(2)}, []string{"0 v2 away"}, []string{"Create 1 v2"}},
		"those that end among them":    {podset.Sequence{Ordinals: upTo(5), ScaleLimit: new(2)}, []string{"0 v2 away", "1 v2 terminating"}, nil},
		"a reserved ordinal gets none": {podset.Sequence{Ordinals: upTo(3, 1)}, []string{"0 v2"}, []string{"Create 2 v2", "Create 3 v2"}},
		"of the old revision behind the partition": {
			podset.Sequence{Ordinals: upTo(4), Rules: podset.Rules{}, Partition: 2}, []string{"0 v1"}, []string{"Create 1 v1", "Create 2 v2", "Create 3 v2"}},
		"counted without reserved ordinals": {
			podset.Sequence{Ordinals: upTo(3, 0, 1), Partition: 1}, nil, []string{"Create 2 v1", "Create 3 v2", "Create 4 v2"}},
		"as many old ones as are missing, where the update is unordered": {
			podset.Sequence{Ordinals: upTo(4), Partition: 2, Unordered: true}, []string{"3 v1"}, []string{"Create 0 v1", "Create 1 v2", "Create 2 v2"}},
		"of the newest revision on delete": {
			podset.Sequence{Ordinals: upTo(1), Partition: 1, Rules: podset.Rules{OnDelete: true}}, nil, []string{"Create 0 v2"}},
	}.check(t)
}

func TestPodsThatAreNotWantedAreRemoved(t *testing.T) {
	lines{
		"the highest first, one at a time": {
			podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2", "1 v2", "2 v2"}, []string{"Delete 2"}},
		"not while it ends":                         {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2", "1 v2", "2 v2 terminating"}, nil},
		"nor while its hook holds it":               {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2", "1 v2", "2 v2 leaving held"}, nil},
		"nor while one that stays is not available": {podset.Sequence{Ordered: true, Ordinals: upTo(2)}, []string{"0 v2", "1 v2 away", "2 v2"}, nil},
		"but a broken one goes":                     {podset.Sequence{Ordered: true, Ordinals: upTo(2)}, []string{"0 v2", "1 v2 away", "2 v2 away"}, []string{"Delete 2"}},
		"whatever others do that are not wanted":    {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2", "1 v2 away", "2 v2"}, []string{"Delete 2"}},
		"all at once":                               {podset.Sequence{Ordinals: upTo(1)}, []string{"0 v2", "1 v2", "2 v2"}, []string{"Delete 2", "Delete 1"}},
		"but not all that serve":                    {podset.Sequence{Ordinals: upTo(2, 0, 1)}, []string{"0 v2", "1 v2"}, []string{"Create 2 v2", "Create 3 v2", "Delete 1"}},
		"through their hook":                        {podset.Sequence{Ordered: true}, []string{"0 v2 held"}, []string{"Move 0 PreparingDelete"}},
		"once it lets go":                           {podset.Sequence{Ordered: true}, []string{"0 v2 leaving"}, []string{"Delete 0"}},
		"a pod is taken back":                       {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2 leaving held"}, []string{"Move 0 PreparingNormal"}},
		"unless it was taken out of service for that": {
			podset.Sequence{Ordered: true, Ordinals: upTo(1), Rules: podset.Rules{NotReadyForDelete: true}}, []string{"0 v2 leaving held"}, nil},
		"a reserved one after its successor serves": {
			podset.Sequence{Ordered: true, Ordinals: upTo(2, 0)}, []string{"0 v2", "1 v2"}, []string{"Create 2 v2"}},
		"and then it goes": {podset.Sequence{Ordered: true, Ordinals: upTo(2, 0)}, []string{"0 v2", "1 v2", "2 v2"}, []string{"Delete 0"}},
		"what has ended goes at once": {
			podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2 away", "1 v2 ended", "2 v2", "3 v2 ended"}, []string{"Delete 3", "Delete 1"}},
	}.check(t)
}

func TestPodsThatSomebodyAskedToGoAreReplaced(t *testing.T) {
	lines{
		"the highest first, within maxUnavailable": {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v2 doomed", "1 v2 doomed", "2 v2"}, []string{"Delete 1"}},
		"what serves nobody before":                {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v2 doomed away", "1 v2 doomed", "2 v2"}, []string{"Delete 0"}},
		"not while others are away":                {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v2 away", "1 v2 doomed", "2 v2"}, nil},
		"while the update is paused":               {podset.Sequence{Ordinals: upTo(2), Rules: podset.Rules{Paused: true}}, []string{"0 v1 doomed", "1 v1"}, []string{"Delete 0"}},
		"and on delete":                            {podset.Sequence{Ordinals: upTo(2), Rules: podset.Rules{OnDelete: true}}, []string{"0 v1 doomed", "1 v1"}, []string{"Delete 0"}},
		"behind the partition":                     {podset.Sequence{Ordinals: upTo(2), Partition: 2}, []string{"0 v1 doomed", "1 v1"}, []string{"Delete 0"}},
		"through their hook":                       {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v2 doomed held", "1 v2"}, []string{"Move 0 PreparingDelete"}},
		"and go once it lets go":                   {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v2 doomed leaving", "1 v2"}, []string{"Delete 0"}},
	}.check(t)
}

func TestPodsAreUpdatedFromTheHighestOrdinalDown(t *testing.T) {
	recreate := podset.Rules{Policy: v1beta1.RecreatePodUpdatePolicyType}
	lines{
		"the highest":                              {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v1", "1 v1", "2 v1"}, []string{"Update 2 v2"}},
		"10 is higher than 9":                      {podset.Sequence{Ordinals: upTo(2, 0, 1, 2, 3, 4, 5, 6, 7, 8)}, []string{"9 v1", "10 v1"}, []string{"Update 10 v2"}},
		"by recreating it":                         {podset.Sequence{Ordinals: upTo(3), Rules: recreate}, []string{"0 v1", "1 v1", "2 v1"}, []string{"Delete 2"}},
		"the next, when it serves":                 {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v1", "1 v1", "2 v2"}, []string{"Update 1 v2"}},
		"and not before":                           {podset.Sequence{Ordinals: upTo(3)}, []string{"0 v1", "1 v1", "2 v2 away"}, nil},
		"as many as may be away":                   {podset.Sequence{Ordinals: upTo(4), Rules: podset.Rules{MaxUnavailable: 2}}, []string{"0 v1", "1 v1", "2 v1", "3 v1"}, []string{"Update 3 v2", "Update 2 v2"}},
		"a pod that is missing counts":             {podset.Sequence{Ordinals: upTo(3), Blocked: func(int) string { return "no" }}, []string{"0 v1", "1 v1"}, nil},
		"the first ones stay behind the partition": {podset.Sequence{Ordinals: upTo(3), Partition: 2}, []string{"0 v1", "1 v1", "2 v2"}, nil},
		"counted without reserved ordinals":        {podset.Sequence{Ordinals: upTo(3, 1), Partition: 2}, []string{"0 v1", "2 v1", "3 v1"}, []string{"Update 3 v2"}},
		"a new one behind the partition stays":     {podset.Sequence{Ordinals: upTo(2), Partition: 2}, []string{"0 v2", "1 v2"}, nil},
		"none while paused":                        {podset.Sequence{Ordinals: upTo(1), Rules: podset.Rules{Paused: true}}, []string{"0 v1"}, nil},
		"none on delete":                           {podset.Sequence{Ordinals: upTo(1), Rules: podset.Rules{OnDelete: true}}, []string{"0 v1"}, nil},
		"those that are not wanted do not stand in for others": {
			podset.Sequence{Ordinals: upTo(2), Ordered: true}, []string{"0 v1", "1 v1 away", "2 v1"}, []string{"Update 1 v2"}},
		"metadata in no order but this":                    {podset.Sequence{Ordinals: upTo(2), Rules: podset.Rules{Change: metadata}}, []string{"0 v1", "1 v1"}, []string{"Update 1 v2", "Update 0 v2"}},
		"through their hook":                               {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v1 held", "1 v1 held"}, []string{"Move 1 PreparingUpdate"}},
		"once it lets go":                                  {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v1", "1 v1 prepared"}, []string{"Update 1 v2"}},
		"a prepared one behind the partition serves again": {podset.Sequence{Ordinals: upTo(2), Partition: 2}, []string{"0 v1", "1 v1 prepared"}, []string{"Settle 1 Normal"}},
	}.check(t)
}

func TestAPodThatNeverBecomesReadyIsRepairedOutOfTurn(t *testing.T) {
	lines{
		"one that kubelet finds in trouble": {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 stuck", "1 v1", "2 v1"}, []string{"Update 0 v2"}},
		"not one that may come back":        {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 away", "1 v1", "2 v1"}, nil},
		"one that has not for a minute":     {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 away long", "1 v1", "2 v1"}, []string{"Update 0 v2"}},
		"one that is amid an update":        {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 updating", "1 v1", "2 v1"}, []string{"Update 0 v2"}},
		"while pods behind it are missing":  {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 stuck"}, []string{"Update 0 v2"}},
		"by recreating it": {podset.Sequence{Ordered: true, Ordinals: upTo(3), Rules: podset.Rules{Policy: v1beta1.RecreatePodUpdatePolicyType}},
			[]string{"0 v1 stuck"}, []string{"Delete 0"}},
		"though a new one is stuck, too":    {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1", "1 v1 stuck", "2 v2 stuck"}, []string{"Update 1 v2"}},
		"but not while a new one is coming": {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1", "1 v1 stuck", "2 v2 away"}, nil},
		"one at a time":                     {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1 stuck", "1 v1 stuck", "2 v1 stuck"}, []string{"Update 2 v2"}},
		"no pod that serves goes for it":    {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v1", "1 v1", "2 v2 stuck"}, nil},
		"behind the partition it stays":     {podset.Sequence{Ordered: true, Ordinals: upTo(3), Partition: 3}, []string{"0 v1 stuck", "1 v1", "2 v1"}, nil},
	}.check(t)
	_, plan := inLine(podset.Sequence{Ordered: true, Ordinals: upTo(3)}, "0 v1 away", "1 v1", "2 v1")
	if want := noon().Add(time.Minute); !plan.Wake.Equal(want) {
		t.Errorf("the next look is at %s, want %s: then the pod has waited for long", plan.Wake, want)
	}
}

func TestAnUnorderedUpdateGoesByPriority(t *testing.T) {
	gold := func(r *replica.Replica) int64 {
		if r.Name == "1" {
			return -1
		}
		return 0
	}
	lines{
		"the first in priority":     {podset.Sequence{Ordinals: upTo(3), Unordered: true, Priority: []order.By{gold}}, []string{"0 v1", "1 v1", "2 v1"}, []string{"Update 1 v2"}},
		"then who serves the least": {podset.Sequence{Ordinals: upTo(3), Unordered: true}, []string{"0 v1 away", "1 v1", "2 v1"}, []string{"Update 0 v2"}},
		"any may be the old ones":   {podset.Sequence{Ordinals: upTo(3), Unordered: true, Partition: 2, Priority: []order.By{gold}}, []string{"0 v1", "1 v2", "2 v1"}, nil},
	}.check(t)
}

func TestClaimsGrowBeforeTheirPodsAreUpdated(t *testing.T) {
	claims := func(stages ...storage.Stage) func(int) storage.State {
		return func(ordinal int) storage.State {
			return storage.State{Stage: stages[ordinal], Claim: fmt.Sprintf("data-%d", ordinal), Why: "asks for 1Gi"}
		}
	}
	small, growing, fits, atRestart := storage.Small, storage.Growing, storage.Fits, storage.AtRestart
	lines{
		"one at a time, the highest first": {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, small)}, []string{"0 v1", "1 v1"}, []string{"Expand 1"}},
		"then they are waited for":         {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, growing)}, []string{"0 v1", "1 v1"}, nil},
		"and then the pod is updated":      {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, fits)}, []string{"0 v1", "1 v1"}, []string{"Update 1 v2"}},
		"which completes what has to":      {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, atRestart)}, []string{"0 v1", "1 v1"}, []string{"Update 1 v2"}},
		"without any other change, too":    {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, small)}, []string{"0 v2", "1 v2"}, []string{"Expand 1"}},
		"as many as may be away":           {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, small), Rules: podset.Rules{MaxUnavailable: 2}}, []string{"0 v2", "1 v2"}, []string{"Expand 1", "Expand 0"}},
		"not behind the partition":         {podset.Sequence{Ordinals: upTo(2), Partition: 1, Claims: claims(small, fits)}, []string{"0 v1", "1 v2"}, nil},
		"not while paused":                 {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, small), Rules: podset.Rules{Paused: true}}, []string{"0 v1", "1 v1"}, nil},
		"not while a pod is away":          {podset.Sequence{Ordinals: upTo(2), Claims: claims(small, fits)}, []string{"0 v2", "1 v2 away"}, nil},
	}.check(t)
}

func TestAPodGetsBackWhatItHasLostOfItsOrdinal(t *testing.T) {
	lines{
		"at once, and all of them":            {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2 robbed", "1 v2 robbed away", "2 v2"}, []string{"Restore 0", "Restore 1"}},
		"while it waits for a node":           {podset.Sequence{Ordered: true, Ordinals: upTo(2)}, []string{"0 v2 robbed unscheduled"}, []string{"Restore 0"}},
		"while paused":                        {podset.Sequence{Ordinals: upTo(1), Rules: podset.Rules{Paused: true}}, []string{"0 v1 robbed"}, []string{"Restore 0"}},
		"with OnDelete":                       {podset.Sequence{Ordinals: upTo(1), Rules: podset.Rules{OnDelete: true}}, []string{"0 v1 robbed"}, []string{"Restore 0"}},
		"whatever others do":                  {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v2 robbed"}, []string{"Create 1 v2", "Restore 0"}},
		"and has no other step then":          {podset.Sequence{Ordinals: upTo(1)}, []string{"0 v1 robbed"}, []string{"Update 0 v2"}},
		"not if it is not wanted":             {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2 away", "1 v2 robbed"}, nil},
		"not if it is on its way out":         {podset.Sequence{Ordinals: upTo(1)}, []string{"0 v2 robbed terminating"}, nil},
		"not if it has ended and is replaced": {podset.Sequence{Ordinals: upTo(1)}, []string{"0 v2 robbed ended"}, []string{"Delete 0"}},
	}.check(t)
}

func TestWhatIsWantedOfASequenceAndMakesNoStepIsTold(t *testing.T) {
	for name, test := range map[string]struct {
		sequence podset.Sequence
		pods     []string
		want     []string
	}{
		"a pod before it is broken": {podset.Sequence{Ordered: true, Ordinals: upTo(3)}, []string{"0 v2 stuck"}, []string{
			"2 pods are to be created, waiting for 0 (CrashLoopBackOff): pods are created one after the other",
			"1 pod is not available: 0 (CrashLoopBackOff)"}},
		"a pod of its name ends": {podset.Sequence{Ordinals: upTo(2)}, []string{"0 v2", "1 v2 terminating"}, []string{
			"1 pod is to be created, but the names are to be used again and are free once 1 ended"}},
		"something else is in the way": {podset.Sequence{Ordinals: upTo(1), Blocked: func(int) string { return "claim data-0 is being deleted" }}, nil, []string{
			"1 pod is to be created, but claim data-0 is being deleted"}},
		"a scale-in waits": {podset.Sequence{Ordered: true, Ordinals: upTo(1)}, []string{"0 v2 away", "1 v2"}, []string{
			"1 pod is to be deleted, but podManagementPolicy is OrderedReady and 1 pod is unavailable: 0"}},
		"or goes one by one": {podset.Sequence{Ordered: true}, []string{"0 v2", "1 v2 terminating"}, []string{
			"1 pod is to be deleted, waiting for 1 to end: pods are deleted one after the other"}},
		"an update waits": {podset.Sequence{Ordered: true, Ordinals: upTo(2)}, []string{"0 v1", "1 v2 stuck"}, []string{
			"1 pod is to be updated, but maxUnavailable is 1 and 1 pod is unavailable: 1 (CrashLoopBackOff)"}},
		"a claim grows": {podset.Sequence{Ordinals: upTo(1), Claims: func(int) storage.State {
			return storage.State{Stage: storage.Growing, Claim: "data-0", Why: "has 1Gi of 2Gi"}
		}}, []string{"0 v1"}, []string{
			"1 pod is to be updated, waiting for the claims of 0 to grow",
			"1 pod is to have larger claims, waiting for claim data-0 (has 1Gi of 2Gi)"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, plan := inLine(test.sequence, test.pods...)
			if diff := cmp.Diff(test.want, plan.Waiting()); diff != "" {
				t.Errorf("(-want +got):\n%s\nsteps %+v", diff, plan.Steps)
			}
		})
	}
}

func TestTheTallyOfASequenceCountsAllItsPods(t *testing.T) {
	_, plan := inLine(podset.Sequence{Ordinals: upTo(2), Partition: 1}, "0 v1", "1 v2 away", "2 v2", "3 v2 terminating", "4 v1 ended")
	want := podset.Tally{Replicas: 3, Ready: 2, Available: 2, Updated: 2, UpdatedReady: 1, UpdatedAvailable: 1, ExpectedUpdated: 1, Current: 1, Ending: 2}
	if diff := cmp.Diff(want, plan.Tally); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
