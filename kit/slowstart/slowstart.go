// Package slowstart runs many alike calls, at first one at a time and then more and more side by side, so that a call which
// cannot work (a quota, a refusing webhook) is tried once and not a thousand times.
package slowstart

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// Limits bound a run.
type Limits struct {
	// First is how many calls run at a time at first. Every call that succeeds makes room for one more, so that their number
	// doubles in the time that a call takes. At least 1.
	First int
	// Parallel is how many calls run at a time at most. At least 1.
	Parallel int
	// Enough is asked before each call, with how many were begun so far. Once it says yes no further call is begun. Nil means
	// that all are.
	Enough func(begun int) bool
}

// Run calls do for 0 to n-1, and begins the calls in this order. Nobody waits for the slowest of a batch: a call that ends
// makes room for the next at once. After a call has failed no further one is begun, so at most Parallel can fail; nor is one
// once ctx has ended or the limits say that it is enough. It waits for the calls that it began, and returns how many those
// were, and their errors joined, of which it keeps at most three, as they tend to be all the same. That it was enough is no
// error.
func Run(ctx context.Context, n int, limits Limits, do func(ctx context.Context, i int) error) (int, error) {
	type result struct {
		call int
		err  error
	}
	var (
		most    = max(limits.Parallel, 1)
		room    = min(max(limits.First, 1), most)
		results = make(chan result)
		failed  []result
		begun   int
	)
	mayBegin := func() bool {
		return begun < n && len(failed) == 0 && ctx.Err() == nil && (limits.Enough == nil || !limits.Enough(begun))
	}
	for running := 0; ; running-- {
		for ; running < room && mayBegin(); running++ {
			i := begun
			go func() { results <- result{i, do(ctx, i)} }()
			begun++
		}
		if running == 0 {
			break
		}
		if r := <-results; r.err != nil {
			failed = append(failed, r)
		} else {
			room = min(room+1, most)
		}
	}
	if len(failed) == 0 && begun < n {
		return begun, ctx.Err()
	}
	slices.SortFunc(failed, func(a, b result) int { return cmp.Compare(a.call, b.call) })
	const kept = 3
	var errs []error
	for _, r := range failed[:min(kept, len(failed))] {
		errs = append(errs, r.err)
	}
	return begun, errors.Join(errs...)
}
