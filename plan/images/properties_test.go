package images

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

// drawn is a node that has been through something: jobs came, changed and went, and it reported.
func drawn(t *rapid.T) (s *scene, now int) {
	s = newScene()
	refs := []string{"nginx:1", "nginx:2", "redis:7"}
	for i := range rapid.IntRange(1, 12).Draw(t, "steps") {
		now += rapid.SampledFrom([]int{0, 1, 30, 700, 5000, 100_000}).Draw(t, "seconds")
		ref := rapid.SampledFrom(refs).Draw(t, "image")
		switch rapid.SampledFrom([]string{"job", "job", "report", "report", "end", "go", "change"}).Draw(t, "step") {
		case "job":
			changes := [][]func(*v1beta1.ImagePullJob){{}, {ask}, {never}, {timeout(60)}, {deadline(900)}, {never, ask}}
			j := job(types.UID(fmt.Sprintf("job-%d", i)), ref, now, rapid.SampledFrom(changes).Draw(t, "kind")...)
			s.jobs[j.UID] = j
			s.want(j.UID)
		case "report":
			phases := []v1beta1.ImagePullPhase{v1beta1.ImagePhaseWaiting, v1beta1.ImagePhasePulling, v1beta1.ImagePhaseSucceeded, v1beta1.ImagePhaseFailed}
			s.says(ref, rapid.SampledFrom(phases).Draw(t, "phase"), now)
		case "end", "go", "change":
			if len(s.jobs) == 0 {
				continue
			}
			uid := rapid.SampledFrom(slices.Sorted(maps.Keys(s.jobs))).Draw(t, "job")
			j := s.jobs[uid]
			switch rapid.IntRange(0, 2).Draw(t, "how") {
			case 0:
				j.Ended = true
				s.jobs[uid] = j
			case 1:
				delete(s.jobs, uid)
			case 2:
				j.Timeout, j.Ask = j.Timeout+1, !j.Ask
				s.jobs[uid] = j
			}
		}
		if rapid.Bool().Draw(t, "a plan is made") {
			s.decide(now)
		}
	}
	return s, now
}

// Serving a want, giving a task up and saying so may each take a plan of its own. Then nothing is left.
func TestPlansThatAreCarriedOutLeaveNothingToDo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := drawn(t)
		for range 5 {
			s.decide(now)
		}
		again := s.decide(now)
		if len(again.Images) > 0 || again.Status != nil || len(again.Served) > 0 || len(again.Failures) > 0 {
			t.Errorf("another plan changes %+v, has the status %+v, serves %q and gives up %+v", again.Images, again.Status, again.Served, again.Failures)
		}
		if !again.Wake.IsZero() && !again.Wake.After(noon.Add(time.Duration(now)*time.Second)) {
			t.Errorf("it is looked at again at %s, and that is not later", again.Wake)
		}
	})
}

func TestTheOrderInWhichThingsAreListedChangesNoPlan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, now := drawn(t)
		other := &scene{image: s.image.DeepCopy(), jobs: maps.Clone(s.jobs), wants: slices.Clone(s.wants)}
		seed := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)) //nolint:gosec // a seed is what is wanted
		seed.Shuffle(len(other.wants), func(i, j int) { other.wants[i], other.wants[j] = other.wants[j], other.wants[i] })
		for _, image := range other.image.Spec.Images {
			seed.Shuffle(len(image.Tags), func(i, j int) { image.Tags[i], image.Tags[j] = image.Tags[j], image.Tags[i] })
			for i := range image.Tags {
				owners := image.Tags[i].OwnerReferences
				seed.Shuffle(len(owners), func(i, j int) { owners[i], owners[j] = owners[j], owners[i] })
			}
		}
		for _, image := range other.image.Status.ImageStatuses {
			seed.Shuffle(len(image.Tags), func(i, j int) { image.Tags[i], image.Tags[j] = image.Tags[j], image.Tags[i] })
		}
		plan, shuffled := s.decide(now), other.decide(now)
		plan.Images, shuffled.Images = nil, nil // what was listed otherwise is put in order
		inAnyOrder := cmp.Options{
			cmpopts.SortSlices(func(a, b v1beta1.ImageTagSpec) bool { return a.Tag < b.Tag }),
			cmpopts.SortSlices(func(a, b v1beta1.ImageTagStatus) bool { return a.Tag < b.Tag }),
			cmpopts.SortSlices(func(a, b corev1.ObjectReference) bool { return a.UID < b.UID }),
			cmpopts.SortSlices(func(a, b Failure) bool { return a.Ref.String() < b.Ref.String() }),
			cmpopts.EquateEmpty(),
		}
		if diff := cmp.Diff(plan, shuffled, inAnyOrder); diff != "" {
			t.Errorf("the plan (-as it was +shuffled):\n%s", diff)
		}
		if diff := cmp.Diff(s.image, other.image, inAnyOrder); diff != "" {
			t.Errorf("the NodeImage after it (-as it was +shuffled):\n%s", diff)
		}
	})
}
