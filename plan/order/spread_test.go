package order_test

import (
	"fmt"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// on is a pod at its work on a node.
func on(name, node string, edits ...func(*replica.Replica)) *replica.Replica {
	return working(name, append(edits, func(r *replica.Replica) { r.Node = node })...)
}

// anyOf lets any pod go.
func anyOf(n int) func(*replica.Replica) *int { return func(*replica.Replica) *int { return &n } }

func TestOfPodsWithTheSameDeletionCostThoseOnACrowdedNodeGoFirst(t *testing.T) {
	nowhere := func(r *replica.Replica) { r.Scheduled = false }
	pods := []*replica.Replica{
		on("a", "empty", func(r *replica.Replica) { r.ReadySince = at(99) }), // became ready last, but is alone
		on("b", "crowded"), on("c", "crowded"), on("d", "pair"), on("e", "pair"), on("f", "crowded"),
		on("g", "other", func(r *replica.Replica) { r.DeletionCost = -1 }), // the deletion cost counts more
		on("h", "", nowhere), on("i", "", nowhere),
	}
	// When b is gone, no node has more than two; when c and d are, each has one.
	want := []string{"h", "i", "g", "b", "c", "d", "a", "e", "f"}
	if diff := gocmp.Diff(want, names(order.Spread{}.Surplus(len(pods), pods, anyOf(9)))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// regions tells the zone, the host and the type of a node named as "z1/h1/large".
func regions(keys ...string) order.Spread {
	return order.Spread{Keys: keys, Domain: func(node, key string) string {
		var parts [3]string
		if n, _ := fmt.Sscanf(node, "z%1s/h%1s/t%1s", &parts[0], &parts[1], &parts[2]); n == 0 {
			return ""
		}
		switch key {
		case "zone":
			return parts[0]
		case "host":
			return node
		default:
			return parts[2]
		}
	}}
}

func TestThePodsThatStayAreSpread(t *testing.T) {
	for name, c := range map[string]struct {
		spread order.Spread
		pods   []*replica.Replica
		want   []string
	}{
		"of two zones that are alike, one pod of each": {
			regions("zone"), []*replica.Replica{on("a", "z1/h1"), on("b", "z1/h2"), on("c", "z2/h3"), on("d", "z2/h4")},
			[]string{"a", "c"}},
		"of two nodes that are alike, one pod of each": {
			order.Spread{}, []*replica.Replica{on("a", "n1"), on("b", "n1"), on("c", "n2"), on("d", "n2")},
			[]string{"a", "c"}},
		"the zone with most pods, until it has as many as another": {
			regions("zone"), []*replica.Replica{on("a", "z4/h4"), on("b", "z2/h3"), on("c", "z1/h1"), on("d", "z1/h2"), on("e", "z2/h3"), on("f", "z1/h1")},
			[]string{"c", "b", "d"}},
		"hosts tell apart what zones do not": {
			regions("zone", "host"), []*replica.Replica{on("a", "z1/h1"), on("b", "z1/h2"), on("c", "z1/h2"), on("d", "z2/h3")},
			[]string{"b", "a"}},
		"one pod of each host of each zone": {
			regions("host", "zone"), []*replica.Replica{
				on("a", "z1/h1"), on("b", "z1/h1"), on("c", "z1/h2"), on("d", "z1/h2"), on("e", "z2/h3"), on("f", "z2/h3"), on("g", "z2/h4"), on("h", "z2/h4")},
			[]string{"a", "e", "c", "g"}},
		"more domains weigh more": { // three hosts of two pods each against two zones of three each
			regions("zone", "host"), []*replica.Replica{on("a", "z1/h1"), on("b", "z1/h2"), on("c", "z2/h3"), on("d", "z2/h3"), on("e", "z3/h4")},
			[]string{"c", "a"}},
		"sorts of nodes that lie across zones": {
			regions("zone", "type"), []*replica.Replica{
				on("a", "z1/h1/t1"), on("b", "z1/h1/t1"), on("c", "z1/h2/t2"), on("d", "z1/h2/t2"),
				on("e", "z2/h3/t1"), on("f", "z2/h3/t1"), on("g", "z2/h4/t2"), on("h", "z2/h4/t2")},
			[]string{"a", "g", "b", "h"}},
		"nodes that nobody knows count for nothing": {
			regions("zone"), []*replica.Replica{on("a", "gone"), on("b", "gone"), on("c", "gone"), on("d", "z1/h1")},
			[]string{"d", "a"}},
		"what is worth less goes first, and leaves its zone the smaller": {
			regions("zone"), []*replica.Replica{on("a", "z1/h1"), on("b", "z1/h1"), on("c", "z2/h2"), on("d", "z2/h2", func(r *replica.Replica) { r.DeletionCost = -1 })},
			[]string{"d", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := names(c.spread.Surplus(len(c.want), c.pods, anyOf(9)))
			if diff := gocmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestAQuotaKeepsPodsOfOneSortAndLeavesTheirZoneAsFull(t *testing.T) {
	pods := []*replica.Replica{on("old-a", "z1/h1"), on("old-b", "z1/h1"), on("new-a", "z1/h1"), on("new-b", "z2/h2"), on("new-c", "z2/h2"), on("old-c", "z2/h2")}
	ofOld, ofNew := 1, 1
	got := regions("zone").Surplus(6, pods, func(r *replica.Replica) *int {
		if r.Name < "old" {
			return &ofNew
		}
		return &ofOld
	})
	// One of each sort, and of each zone.
	if diff := gocmp.Diff([]string{"new-a", "old-c"}, names(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if ofOld != 0 || ofNew != 0 {
		t.Errorf("%d old and %d new ones may still go, want none", ofOld, ofNew)
	}
}

// manyOn draws pods on nodes of some zones and types; alike leaves nothing to tell them apart but their names and nodes.
func manyOn(t *rapid.T, alike bool) []*replica.Replica {
	var pods []*replica.Replica
	for i := range rapid.IntRange(0, 40).Draw(t, "pods") {
		node := fmt.Sprintf("z%d/h%d/t%d", rapid.IntRange(1, 3).Draw(t, "zone"), rapid.IntRange(1, 3).Draw(t, "host"), rapid.IntRange(1, 2).Draw(t, "type"))
		pods = append(pods, on(fmt.Sprintf("p%02d", i), node, func(r *replica.Replica) {
			if !alike {
				r.Scheduled = rapid.IntRange(0, 9).Draw(t, "scheduled") > 0
				r.DeletionCost = int32(rapid.IntRange(0, 1).Draw(t, "cost"))
				r.ReadySince = at(rapid.IntRange(0, 3).Draw(t, "ready since"))
			}
		}))
	}
	return pods
}

func TestZonesThatGavePodsHaveAsManyAsTheOthersOrOneLess(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pods := manyOn(t, true)
		spread := regions("zone")
		before, after := map[string]int{}, map[string]int{}
		for _, r := range pods {
			before[spread.Domain(r.Node, "zone")]++
			after[spread.Domain(r.Node, "zone")]++
		}
		gone := spread.Surplus(rapid.IntRange(0, len(pods)).Draw(t, "surplus"), pods, anyOf(len(pods)))
		for _, r := range gone {
			after[spread.Domain(r.Node, "zone")]--
		}
		for zone, n := range after {
			for other, m := range after {
				if n < before[zone] && n < m-1 {
					t.Fatalf("%d pods are gone, and zone %s has %d left of %d while zone %s has %d", len(gone), zone, n, before[zone], other, m)
				}
			}
		}
	})
}

// What is picked at once must be what is picked by looking at all pods that are left again and again.
func TestPodsGoAsTheyWouldOneByOne(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pods := manyOn(t, false)
		spread := rapid.SampledFrom([]order.Spread{{}, regions("zone"), regions("host", "zone"), regions("type", "zone"), regions("zone", "type", "host")}).Draw(t, "spread")
		quotas := [2]int{rapid.IntRange(0, 20).Draw(t, "odd ones that may go"), rapid.IntRange(0, 20).Draw(t, "even ones that may go")}
		quotasLeft := quotas
		sorts := rapid.IntRange(1, 2).Draw(t, "sorts")
		sort := func(r *replica.Replica) int { return int(r.Name[2]-'0') % sorts }
		n := rapid.IntRange(0, len(pods)).Draw(t, "surplus")

		var want []string
		left := slices.Clone(pods)
		weights := weightsOf(spread, pods)
		for len(want) < n {
			mayGo := slices.DeleteFunc(slices.Clone(left), func(r *replica.Replica) bool { return quotas[sort(r)] == 0 })
			if len(mayGo) == 0 {
				break
			}
			crowd := func(r *replica.Replica) int64 { return -score(spread, weights, left, r) }
			next := order.Sorted(mayGo, order.Unscheduled, order.LowDeletionCost, crowd, order.LatelyReady)[0]
			want = append(want, next.Name)
			quotas[sort(next)]--
			left = slices.DeleteFunc(left, func(r *replica.Replica) bool { return r == next })
		}
		shuffled := rapid.Permutation(pods).Draw(t, "listed")
		got := spread.Surplus(n, shuffled, func(r *replica.Replica) *int { return &quotasLeft[sort(r)] })
		if diff := gocmp.Diff(want, names(got)); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}

// domainOf is the domain of a pod, if it is in one.
func domainOf(spread order.Spread, r *replica.Replica, key string) string {
	if !r.Scheduled {
		return ""
	}
	if spread.Domain == nil {
		return r.Node
	}
	return spread.Domain(r.Node, key)
}

func keysOf(spread order.Spread) []string {
	if len(spread.Keys) == 0 {
		return []string{"node"}
	}
	return spread.Keys
}

func weightsOf(spread order.Spread, pods []*replica.Replica) map[string]int64 {
	weights := map[string]int64{}
	for _, key := range keysOf(spread) {
		domains := map[string]bool{}
		for _, r := range pods {
			domains[domainOf(spread, r, key)] = true
		}
		delete(domains, "")
		weights[key] = int64(math.Round(1e6 * math.Log(float64(len(domains)+2))))
	}
	return weights
}

// score is how crowded a pod stands among others.
func score(spread order.Spread, weights map[string]int64, among []*replica.Replica, r *replica.Replica) (sum int64) {
	for _, key := range keysOf(spread) {
		for _, other := range among {
			if domain := domainOf(spread, r, key); domain != "" && domain == domainOf(spread, other, key) {
				sum += weights[key]
			}
		}
	}
	return sum
}
