package story_test

import (
	"strings"
	"testing"

	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

func TestAPlanThatBreaksAPromiseOfASequenceIsFoundOut(t *testing.T) {
	pod := func(slot, revision string, change ...func(*replica.Replica)) *replica.Replica {
		r := &replica.Replica{Name: slot, Slot: slot, Revision: revision, Phase: replica.Running, Available: true}
		for _, change := range change {
			change(r)
		}
		return r
	}
	away := func(r *replica.Replica) { r.Available = false }
	doomed := func(r *replica.Replica) { r.SpecifiedDelete = true }
	leaving := func(r *replica.Replica) { r.State = lifecycle.PreparingDelete }
	a0, a1, b0, b1, b2 := pod("0", "v1"), pod("1", "v1"), pod("0", "v2"), pod("1", "v2"), pod("2", "v2")
	update := func(r *replica.Replica) podset.Step { return podset.Step{Do: podset.Update, Pod: r, To: "v2"} }
	remove := func(r *replica.Replica) podset.Step { return podset.Step{Do: podset.Delete, Pod: r} }
	create := func(slot, to string) podset.Step { return podset.Step{Do: podset.Create, Slot: slot, To: to} }
	two, one := []int{0, 1}, []int{0}
	fits := func(int) storage.State { return storage.State{} }
	for name, test := range map[string]struct {
		sequence podset.Sequence
		pods     []*replica.Replica
		steps    []podset.Step
		want     string
	}{
		"two steps for a pod":               {podset.Sequence{Ordinals: one}, []*replica.Replica{a0}, []podset.Step{update(a0), remove(a0)}, "two steps"},
		"a second pod at an ordinal":        {podset.Sequence{Ordinals: one}, []*replica.Replica{b0}, []podset.Step{create("0", "v2")}, "a second pod"},
		"two pods for one ordinal":          {podset.Sequence{Ordinals: one}, nil, []podset.Step{create("0", "v2"), create("0", "v2")}, "a second pod"},
		"a pod that nobody wants":           {podset.Sequence{Ordinals: one}, []*replica.Replica{b0}, []podset.Step{create("7", "v2")}, "not wanted"},
		"a new pod behind the partition":    {podset.Sequence{Ordinals: one, Partition: 1}, nil, []podset.Step{create("0", "v2")}, "a partition of 1"},
		"an old pod before it":              {podset.Sequence{Ordinals: one}, nil, []podset.Step{create("0", "v1")}, "a partition of 0"},
		"creation out of order":             {podset.Sequence{Ordinals: two, Ordered: true}, []*replica.Replica{pod("0", "v2", away)}, []podset.Step{create("1", "v2")}, "before those below it"},
		"two at a time":                     {podset.Sequence{Ordinals: two, Ordered: true}, nil, []podset.Step{create("0", "v2"), create("1", "v2")}, "before those below it"},
		"an update behind the partition":    {podset.Sequence{Ordinals: two, Partition: 1}, []*replica.Replica{a0, b1}, []podset.Step{update(a0)}, "behind the partition"},
		"too many, whichever they are":      {podset.Sequence{Ordinals: two, Partition: 1, Unordered: true}, []*replica.Replica{a0, a1}, []podset.Step{update(a0), update(a1)}, "with a partition of 1"},
		"a lower pod first":                 {podset.Sequence{Ordinals: two}, []*replica.Replica{a0, a1}, []podset.Step{update(a0)}, "pod 0 is updated before 1"},
		"an update although it is paused":   {podset.Sequence{Ordinals: one, Rules: podset.Rules{Paused: true}}, []*replica.Replica{a0}, []podset.Step{update(a0)}, "paused"},
		"a deletion although it is paused":  {podset.Sequence{Ordinals: one, Rules: podset.Rules{Paused: true}}, []*replica.Replica{a0}, []podset.Step{remove(a0)}, "is to stay"},
		"an update on delete":               {podset.Sequence{Ordinals: one, Rules: podset.Rules{OnDelete: true}}, []*replica.Replica{a0}, []podset.Step{update(a0)}, "on delete"},
		"a deletion of a new pod":           {podset.Sequence{Ordinals: one}, []*replica.Replica{b0}, []podset.Step{remove(b0)}, "is to stay"},
		"an update to what it has":          {podset.Sequence{Ordinals: one}, []*replica.Replica{b0}, []podset.Step{update(b0)}, "that it has"},
		"an update of what is not wanted":   {podset.Sequence{Ordinals: one}, []*replica.Replica{b0, a1}, []podset.Step{update(a1)}, "not wanted"},
		"claims that are large enough":      {podset.Sequence{Ordinals: one, Claims: fits}, []*replica.Replica{b0}, []podset.Step{{Do: podset.Expand, Pod: b0}}, "large enough"},
		"a lower one removed first":         {podset.Sequence{Ordinals: one, Ordered: true}, []*replica.Replica{b0, b1, b2}, []podset.Step{remove(b1)}, "before 2 is gone"},
		"two removed at a time":             {podset.Sequence{Ordinals: one, Ordered: true}, []*replica.Replica{b0, b1, b2}, []podset.Step{remove(b2), remove(b1)}, "at a time"},
		"one removed while others are away": {podset.Sequence{Ordinals: one, Ordered: true}, []*replica.Replica{pod("0", "v2", away), b1}, []podset.Step{remove(b1)}, "while others do not"},
		"nothing, with a pod missing":       {podset.Sequence{Ordinals: two}, []*replica.Replica{b0}, nil, "missing"},
		"nothing, with a pod too many":      {podset.Sequence{Ordinals: one}, []*replica.Replica{b0, b1}, nil, "are to go"},
		"nothing, with a pod to go":         {podset.Sequence{Ordinals: one}, []*replica.Replica{pod("0", "v2", doomed)}, nil, "are to go"},
		"nothing, with one held by a hook":  {podset.Sequence{Ordinals: one}, []*replica.Replica{pod("0", "v2", leaving)}, nil, "are to go"},
		"nothing, with an old pod":          {podset.Sequence{Ordinals: one}, []*replica.Replica{a0}, nil, "old"},
		"nothing, with a pod that is away":  {podset.Sequence{Ordinals: one}, []*replica.Replica{pod("0", "v2", away)}, nil, "unavailable"},
		"silence about one that follows":    {podset.Sequence{Ordinals: two}, []*replica.Replica{a0, a1}, []podset.Step{update(a1)}, "old"},
		"an update":                         {podset.Sequence{Ordinals: two}, []*replica.Replica{b0, a1}, []podset.Step{update(a1)}, ""},
		"nothing, and nothing is wanted":    {podset.Sequence{Ordinals: two}, []*replica.Replica{b0, b1}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			test.sequence.UpdateRevision, test.sequence.CurrentRevision = "v2", "v1"
			var pods []replica.Replica
			for _, r := range test.pods {
				pods = append(pods, *r)
			}
			expect(t, story.CheckSequence(&test.sequence, pods, podset.Plan{Steps: test.steps}), test.want)
		})
	}
}

func TestAWriteThatTakesTooManyPodsOutOfServiceIsFoundOut(t *testing.T) {
	line := func(available ...string) (pods []replica.Replica) {
		for _, slot := range []string{"0", "1", "2"} {
			pods = append(pods, replica.Replica{Slot: slot, Phase: replica.Running, Available: strings.Contains(strings.Join(available, " "), slot)})
		}
		return pods
	}
	s := &podset.Sequence{Ordinals: []int{0, 1}, Rules: podset.Rules{MaxUnavailable: 1}}
	before := story.LineupOf(s, line("0", "1", "2"))
	expect(t, before.CheckServing(s, line("0")), "")
	expect(t, before.CheckServing(s, line("2")), "0 wanted pods are available after a write, at least 1 must stay")
	expect(t, before.CheckServing(s, nil), "0 pods are available after a write, at least 1 must stay")
}
