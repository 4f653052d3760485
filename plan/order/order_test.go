package order_test

import (
	"cmp"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

func at(second int) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(second) * time.Second)
}

// working is a pod at its work; edits make it another.
func working(name string, edits ...func(*replica.Replica)) *replica.Replica {
	r := &replica.Replica{
		Name: name, Node: "node-" + name, Scheduled: true, Phase: replica.Running, Ready: true, Available: true,
		Created: at(0), ReadySince: at(10),
	}
	for _, edit := range edits {
		edit(r)
	}
	return r
}

func names(pods []*replica.Replica) (out []string) {
	for _, r := range pods {
		out = append(out, r.Name)
	}
	return out
}

// In each case the pods are named in the order in which they should come.
func TestThePodWithTheLeastLossGoesFirst(t *testing.T) {
	type r = replica.Replica
	for name, pods := range map[string][]*r{
		"a pod without a node before one with":                      {working("b", func(r *r) { r.Scheduled = false }), working("a")},
		"pending before unknown before running":                     {working("c", func(r *r) { r.Phase = replica.Pending }), working("b", func(r *r) { r.Phase = replica.Unknown }), working("a")},
		"an unavailable pod before an available one":                {working("b", func(r *r) { r.Available = false }), working("a")},
		"a pod that is not ready before a ready one":                {working("b", func(r *r) { r.Available, r.Ready = false, false }), working("a", func(r *r) { r.Available = false })},
		"a lower deletion cost first":                               {working("b", func(r *r) { r.DeletionCost = -5 }), working("c"), working("a", func(r *r) { r.DeletionCost = 5 })},
		"a pod that became ready later first":                       {working("b", func(r *r) { r.ReadySince = at(20) }), working("a")},
		"more restarts first":                                       {working("b", func(r *r) { r.Restarts = 3 }), working("a")},
		"a younger pod first":                                       {working("b", func(r *r) { r.Created = at(5) }), working("a")},
		"pods that are alike by name":                               {working("a"), working("b"), working("c")},
		"names that differ late by name":                            {working("demo-aaaaaaaaaa"), working("demo-aaaaaaaaab"), working("demo-b")},
		"a name that another begins with comes first":               {working("demo"), working("demo-a"), working("demo-ab")},
		"unavailability counts more than the deletion cost":         {working("b", func(r *r) { r.Available, r.DeletionCost = false, 100 }), working("a", func(r *r) { r.DeletionCost = -100 })},
		"the deletion cost counts more than the time of readiness":  {working("b", func(r *r) { r.DeletionCost = -1 }), working("a", func(r *r) { r.ReadySince = at(99) })},
		"the extremes of the deletion cost":                         {working("b", func(r *r) { r.DeletionCost = -1 << 31 }), working("a", func(r *r) { r.DeletionCost = 1<<31 - 1 })},
		"a pod that was never ready before one that is":             {working("b", func(r *r) { r.Ready, r.Available, r.ReadySince = false, false, time.Time{} }), working("a")},
		"without a node counts more than everything else, together": {working("b", func(r *r) { r.Scheduled, r.DeletionCost, r.Restarts = false, 9, 0 }), working("a", func(r *r) { r.Phase = replica.Pending })},
	} {
		t.Run(name, func(t *testing.T) {
			listed := slices.Clone(pods)
			slices.Reverse(listed)
			if diff := gocmp.Diff(names(pods), names(order.Sorted(listed, order.LeastLoss()...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSortingLeavesTheListAsItIs(t *testing.T) {
	listed := []*replica.Replica{working("c"), working("a"), working("b")}
	order.Sorted(listed, order.LeastLoss()...)
	if diff := gocmp.Diff([]string{"c", "a", "b"}, names(listed)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestNothingSortsToNothing(t *testing.T) {
	if got := order.Sorted(nil, order.LeastLoss()...); len(got) != 0 {
		t.Errorf("got %v", names(got))
	}
}

// Ranks are packed into numbers for speed; a sort that compares them one by one must agree.
func TestTheOrderIsThatOfTheRanksOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SampledFrom([]int64{-1 << 62, -9, -1, 0, 0, 0, 1, 2, 1 << 40, 1<<62 - 1})
		var pods []*replica.Replica
		ranks := map[*replica.Replica][3]int64{}
		for _, name := range rapid.SliceOfDistinct(rapid.StringMatching(`demo(-[ab]{0,9})?`), rapid.ID[string]).Draw(t, "names") {
			r := working(name)
			pods = append(pods, r)
			ranks[r] = [3]int64{numbers.Draw(t, "first"), numbers.Draw(t, "second"), numbers.Draw(t, "third")}
		}
		rank := func(i int) order.By { return func(r *replica.Replica) int64 { return ranks[r][i] } }

		want := slices.SortedFunc(slices.Values(pods), func(a, b *replica.Replica) int {
			x, y := ranks[a], ranks[b]
			return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1]), cmp.Compare(x[2], y[2]), cmp.Compare(a.Name, b.Name))
		})
		if diff := gocmp.Diff(names(want), names(order.Sorted(pods, rank(0), rank(1), rank(2)))); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for n := range len(pods) + 2 {
			if diff := gocmp.Diff(names(want[:min(n, len(want))]), names(order.First(n, pods, rank(0), rank(1), rank(2)))); diff != "" {
				t.Fatalf("the first %d (-want +got):\n%s", n, diff)
			}
		}
	})
}
