package slowstart

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// callTime is how long a call takes on the clock of the test, on which nothing else takes any time.
const callTime = time.Second

// run makes n calls and returns how many began at the same time, in the order of time, and what Run returned.
func run(t *testing.T, n int, limits Limits, fails func(i int) bool) (together []int, made int, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		at := map[time.Duration]int{}
		made, err = Run(t.Context(), n, limits, func(_ context.Context, i int) error {
			mu.Lock()
			at[time.Since(begin)]++
			mu.Unlock()
			time.Sleep(callTime)
			if fails != nil && fails(i) {
				return fmt.Errorf("call %d", i)
			}
			return nil
		})
		for passed := time.Duration(0); at[passed] > 0; passed += callTime {
			together = append(together, at[passed])
		}
	})
	return together, made, err
}

func TestBatchesGrowTwofold(t *testing.T) {
	for name, c := range map[string]struct {
		n      int
		limits Limits
		want   []int
	}{
		"nothing to do":                            {0, Limits{First: 1, Parallel: 8}, nil},
		"one call":                                 {1, Limits{First: 1, Parallel: 8}, []int{1}},
		"the last batch is what is left":           {9, Limits{First: 1, Parallel: 8}, []int{1, 2, 4, 2}},
		"a larger first batch":                     {9, Limits{First: 3, Parallel: 8}, []int{3, 6}},
		"a first batch of 0 counts as 1":           {3, Limits{First: 0, Parallel: 8}, []int{1, 2}},
		"no more calls at a time than allowed":     {12, Limits{First: 12, Parallel: 5}, []int{5, 5, 2}},
		"a bound of 0 counts as 1":                 {3, Limits{First: 3, Parallel: 0}, []int{1, 1, 1}},
		"the bound holds within the later batches": {7, Limits{First: 1, Parallel: 3}, []int{1, 2, 3, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			got, made, err := run(t, c.n, c.limits, nil)
			if err != nil || made != c.n {
				t.Fatalf("made %d calls of %d: %v", made, c.n, err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls that began together (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAFailingBatchIsFinishedAndIsTheLast(t *testing.T) {
	got, made, err := run(t, 100, Limits{First: 1, Parallel: 8}, func(i int) bool { return i == 4 })
	if diff := cmp.Diff([]int{1, 2, 4}, got); diff != "" {
		t.Errorf("calls that began together (-want +got):\n%s", diff)
	}
	if made != 7 || err == nil || err.Error() != "call 4" {
		t.Errorf("made %d calls with the error %v, want 7 calls and that of call 4", made, err)
	}
}

func TestThreeErrorsAreKept(t *testing.T) {
	cause := errors.New("refused")
	made, err := Run(t.Context(), 8, Limits{First: 8, Parallel: 8}, func(_ context.Context, i int) error {
		return fmt.Errorf("call %d: %w", i, cause)
	})
	if made != 8 || !errors.Is(err, cause) {
		t.Fatalf("made %d calls with the error %v, want 8 calls and the cause to be found", made, err)
	}
	if diff := cmp.Diff([]string{"call 0: refused", "call 1: refused", "call 2: refused"}, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
}

func TestAContextThatEndsStopsTheRunAfterItsBatch(t *testing.T) {
	for name, c := range map[string]struct {
		n        int
		endsIn   int // the call that ends the context; -1 for before the first
		wantMade int
		wantErr  error
	}{
		"before the first call":   {8, -1, 0, context.Canceled},
		"in the second batch":     {8, 2, 3, context.Canceled},
		"in the last call of all": {7, 6, 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.endsIn < 0 {
				cancel()
			}
			var mu sync.Mutex
			calls := 0
			made, err := Run(ctx, c.n, Limits{First: 1, Parallel: 4}, func(_ context.Context, i int) error {
				mu.Lock()
				defer mu.Unlock()
				calls++
				if i == c.endsIn {
					cancel()
				}
				return nil
			})
			if made != c.wantMade || calls != c.wantMade || !errors.Is(err, c.wantErr) {
				t.Errorf("made %d calls, says %d, with the error %v; want %d and %v", calls, made, err, c.wantMade, c.wantErr)
			}
		})
	}
}
