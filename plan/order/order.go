// Package order says who goes first, by ranks that are put together like words.
//
// Every order ends with the pod's name, so that the same pods always come in the same order, whatever order they were
// listed in.
package order

import (
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
	"strings"
	"time"

	"kruise.io/kruise/plan/replica"
)

// By ranks a pod. Of two pods the one with the lower rank goes first.
type By func(*replica.Replica) int64

// Sorted returns the pods in the order of the first rank that tells two apart. The pods are not copied.
func Sorted(pods []*replica.Replica, by ...By) []*replica.Replica {
	keys, _ := ranked(pods, by)
	sorted := make([]*replica.Replica, len(keys))
	for i, k := range keys {
		sorted[i] = pods[k.pod]
	}
	return sorted
}

// First returns the first n of the pods, or all, in the order of Sorted. One alone is found without sorting the others.
func First(n int, pods []*replica.Replica, by ...By) []*replica.Replica {
	if n != 1 || len(pods) == 0 {
		sorted := Sorted(pods, by...)
		return sorted[:min(max(n, 0), len(sorted))]
	}
	best, ranks := pods[0], make([]int64, len(by)) // its ranks
	for j, rank := range by {
		ranks[j] = rank(best)
	}
	for _, r := range pods[1:] {
		better, at := 0, 0
		for ; at < len(by) && better == 0; at++ {
			better = cmp.Compare(ranks[at], by[at](r))
		}
		if better > 0 || better == 0 && r.Name < best.Name {
			best = r
			for j := max(at-1, 0); j < len(by); j++ { // those before it are the same
				ranks[j] = by[j](r)
			}
		}
	}
	return []*replica.Replica{best}
}

// ranked sorts keys of the pods by the first rank that tells two apart. With them come the ranks, a column for each: the rank
// of each pod; none where the rank is the same for all.
func ranked(pods []*replica.Replica, by []By) (keys []key, columns [][]int64) {
	columns = columnsOf(pods, by)
	telling := slices.DeleteFunc(slices.Clone(columns), func(column []int64) bool { return column == nil })
	var names []int64 // made when first needed: ranks seldom leave many pods alike
	if len(telling) == 0 && len(pods) > 1 {
		names = nameRanks(pods)
		telling = [][]int64{names}
	}
	keys, width, left := packed(telling, len(pods))
	keys = sortedByRanks(keys, width)
	byTheRest := func(a, b key) int {
		for _, column := range left {
			if c := cmp.Compare(column[a.pod], column[b.pod]); c != 0 {
				return c
			}
		}
		if c := cmp.Compare(a.ranks, b.ranks); c != 0 {
			return c
		}
		return strings.Compare(pods[a.pod].Name, pods[b.pod].Name)
	}
	for begin := 0; begin < len(keys); {
		end := begin + 1
		for end < len(keys) && keys[end].ranks == keys[begin].ranks {
			end++
		}
		if alike := keys[begin:end]; len(alike) > 1 {
			if names == nil {
				names = nameRanks(pods)
			}
			for i, k := range alike { // what they have in common tells no more
				alike[i].ranks = uint64(names[k.pod])
			}
			slices.SortFunc(alike, byTheRest)
		}
		begin = end
	}
	return keys, columns
}

// sortedByRanks sorts keys by their ranks, of which only the lower bits up to width are in use. It compares nothing: it deals
// the keys out by one byte of their ranks after the other, the lowest first, which for many thousand keys is several times
// faster. Of the slice that it is given nothing is left in order.
func sortedByRanks(keys []key, width int) []key {
	dealt := make([]key, len(keys))
	for shift := 0; shift < width; shift += 8 {
		var next [256]int // where the next key with a byte goes
		for i := range keys {
			next[byte(keys[i].ranks>>shift)]++
		}
		for value, begin := 0, 0; value < len(next); value++ {
			next[value], begin = begin, begin+next[value]
		}
		for _, k := range keys {
			value := byte(k.ranks >> shift)
			dealt[next[value]] = k
			next[value]++
		}
		keys, dealt = dealt, keys
	}
	return keys
}

// columnsOf computes each rank of each pod once, so that 100,000 pods are sorted within a decision's time. The column of a
// rank that is the same for all pods is nil.
func columnsOf(pods []*replica.Replica, by []By) [][]int64 {
	columns, first := make([][]int64, len(by)), make([]int64, len(by))
	for i, r := range pods {
		for j, rank := range by {
			value := rank(r)
			if i == 0 {
				first[j] = value
			}
			if columns[j] == nil && value != first[j] {
				columns[j] = slices.Repeat(first[j:j+1], len(pods))
			}
			if columns[j] != nil {
				columns[j][i] = value
			}
		}
	}
	return columns
}

// key is what a pod is sorted by: as many of its ranks as fit into one number, the first of them in the highest bits.
type key struct {
	ranks uint64
	pod   int32
}

// packed packs columns into keys, and returns how many bits of them are in use, and the columns that are left over.
func packed(columns [][]int64, pods int) (keys []key, width int, left [][]int64) {
	keys = make([]key, pods)
	for i := range keys {
		keys[i].pod = int32(i)
	}
	for c, column := range columns {
		low := slices.Min(column)
		needed := bits.Len64(uint64(slices.Max(column) - low))
		if width+needed > 64 {
			return keys, width, columns[c:]
		}
		width += needed
		for i := range keys {
			keys[i].ranks = keys[i].ranks<<needed | uint64(column[i]-low)
		}
	}
	return keys, width, nil
}

// nameRanks ranks pods by the beginning of their names, behind what all names begin with. Pods of one workload differ
// there, so that whole names are seldom compared.
func nameRanks(pods []*replica.Replica) []int64 {
	common := pods[0].Name
	for _, r := range pods {
		n := 0
		for n < len(common) && n < len(r.Name) && common[n] == r.Name[n] {
			n++
		}
		common = common[:n]
	}
	ranks := make([]int64, len(pods))
	for i, r := range pods {
		var head [8]byte
		copy(head[1:], r.Name[len(common):]) // the first byte stays 0, so that the rank is never negative
		ranks[i] = int64(binary.BigEndian.Uint64(head[:]))
	}
	return ranks
}

// LeastLoss lists the ranks by which a pod is worth less than another: not scheduled before scheduled, pending before
// unknown before running, unavailable before available, not ready before ready, lower deletion cost, a shorter time of
// being ready, more restarts, younger.
func LeastLoss() []By {
	return []By{Unscheduled, LowPhase, Unavailable, NotReady, LowDeletionCost, LatelyReady, ManyRestarts, Young}
}

// Unscheduled puts pods without a node first.
func Unscheduled(r *replica.Replica) int64 { return falseFirst(r.Scheduled) }

// LowPhase puts pending before unknown before running pods.
func LowPhase(r *replica.Replica) int64 { return int64(r.Phase) }

// Unavailable puts pods that are not available first.
func Unavailable(r *replica.Replica) int64 { return falseFirst(r.Available) }

// NotReady puts pods that are not ready first.
func NotReady(r *replica.Replica) int64 { return falseFirst(r.Ready) }

// LowDeletionCost puts pods with a lower controller.kubernetes.io/pod-deletion-cost first.
func LowDeletionCost(r *replica.Replica) int64 { return int64(r.DeletionCost) }

// LatelyReady puts pods first that became ready later.
func LatelyReady(r *replica.Replica) int64 { return latest(r.ReadySince) }

// ManyRestarts puts pods with more container restarts first.
func ManyRestarts(r *replica.Replica) int64 { return -int64(r.Restarts) }

// Young puts pods first that were created later.
func Young(r *replica.Replica) int64 { return latest(r.Created) }

func falseFirst(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

func latest(t time.Time) int64 { return -t.Unix() }
