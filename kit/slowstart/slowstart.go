// Package slowstart runs many alike calls in growing batches, so that a call which cannot work (a quota, a refusing
// webhook) is tried once and not a thousand times.
package slowstart

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
)

// Limits bound a run.
type Limits struct {
	// First is the size of the first batch; each one after it is twice as large. At least 1.
	First int
	// Parallel is how many calls run at a time at most. At least 1.
	Parallel int
}

// Run calls do for 0 to n-1, in batches of First, twice First, and so on. When a call of a batch fails, the rest of that
// batch is finished and no further one is begun; nor is one once ctx has ended. It returns how many calls were made, and
// the errors joined, of which it keeps at most three, as they tend to be all the same.
func Run(ctx context.Context, n int, limits Limits, do func(ctx context.Context, i int) error) (int, error) {
	size := max(limits.First, 1)
	for done := 0; done < n; size *= 2 {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		batch := min(size, n-done)
		failures := make([]error, batch)
		var group errgroup.Group
		group.SetLimit(max(limits.Parallel, 1))
		for i := range batch {
			group.Go(func() error {
				failures[i] = do(ctx, done+i)
				return nil
			})
		}
		_ = group.Wait() // the calls' errors are in failures
		done += batch
		if err := join(failures); err != nil {
			return done, err
		}
	}
	return n, nil
}

func join(failures []error) error {
	const most = 3
	var kept []error
	for _, err := range failures {
		if err != nil && len(kept) < most {
			kept = append(kept, err)
		}
	}
	return errors.Join(kept...)
}
