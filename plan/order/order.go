// Package order says who goes first, by comparators that are put together like words.
//
// Every order ends with the pod's name, so that the same pods always come in the same order, whatever order they were
// listed in.
package order

import (
	"cmp"
	"slices"
	"time"

	"kruise.io/kruise/plan/replica"
)

// By compares two pods: negative when a goes first.
type By func(a, b *replica.Replica) int

// Sorted returns the pods in the order of the first comparator that tells two apart. The pods are not copied.
func Sorted(pods []*replica.Replica, by ...By) []*replica.Replica {
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b *replica.Replica) int {
		for _, compare := range by {
			if c := compare(a, b); c != 0 {
				return c
			}
		}
		return cmp.Compare(a.Name, b.Name)
	})
	return sorted
}

// LeastLoss lists the comparators by which a pod is worth less than another: not scheduled before scheduled, pending
// before unknown before running, unavailable before available, not ready before ready, lower deletion cost, ready for
// a shorter time, more restarts, younger. It is the order of ReplicaSets, with availability added.
func LeastLoss() []By {
	return []By{Unscheduled, LowPhase, Unavailable, NotReady, LowDeletionCost, LatelyReady, ManyRestarts, Young}
}

// Unscheduled puts pods without a node first.
func Unscheduled(a, b *replica.Replica) int { return falseFirst(a.Scheduled, b.Scheduled) }

// LowPhase puts pending before unknown before running pods.
func LowPhase(a, b *replica.Replica) int { return cmp.Compare(a.Phase, b.Phase) }

// Unavailable puts pods that are not available first.
func Unavailable(a, b *replica.Replica) int { return falseFirst(a.Available, b.Available) }

// NotReady puts pods that are not ready first.
func NotReady(a, b *replica.Replica) int { return falseFirst(a.Ready, b.Ready) }

// LowDeletionCost puts pods with a lower controller.kubernetes.io/pod-deletion-cost first.
func LowDeletionCost(a, b *replica.Replica) int { return cmp.Compare(a.DeletionCost, b.DeletionCost) }

// LatelyReady puts pods first that became ready later.
func LatelyReady(a, b *replica.Replica) int { return latest(a.ReadySince, b.ReadySince) }

// ManyRestarts puts pods with more container restarts first.
func ManyRestarts(a, b *replica.Replica) int { return cmp.Compare(b.Restarts, a.Restarts) }

// Young puts pods first that were created later.
func Young(a, b *replica.Replica) int { return latest(a.Created, b.Created) }

func falseFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case !a:
		return -1
	default:
		return 1
	}
}

func latest(a, b time.Time) int { return b.Compare(a) }
