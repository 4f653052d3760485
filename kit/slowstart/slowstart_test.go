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

func TestCallsDoubleUpToTheBound(t *testing.T) {
	for name, c := range map[string]struct {
		n      int
		limits Limits
		want   []int
	}{
		"nothing to do":                                {0, Limits{First: 1, Parallel: 8}, nil},
		"one call":                                     {1, Limits{First: 1, Parallel: 8}, []int{1}},
		"the last ones are what is left":               {9, Limits{First: 1, Parallel: 8}, []int{1, 2, 4, 2}},
		"more at first":                                {9, Limits{First: 3, Parallel: 8}, []int{3, 6}},
		"a first number of 0 counts as 1":              {3, Limits{First: 0, Parallel: 8}, []int{1, 2}},
		"no more calls at a time than allowed":         {12, Limits{First: 12, Parallel: 5}, []int{5, 5, 2}},
		"a bound of 0 counts as 1":                     {3, Limits{First: 3, Parallel: 0}, []int{1, 1, 1}},
		"the bound holds where the doubling passes it": {7, Limits{First: 1, Parallel: 3}, []int{1, 2, 3, 1}},
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

func TestNobodyWaitsForTheSlowestCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		made, err := Run(t.Context(), 30, Limits{First: 4, Parallel: 4}, func(_ context.Context, i int) error {
			if i == 0 {
				time.Sleep(10 * callTime)
			} else {
				time.Sleep(callTime)
			}
			return nil
		})
		// Three at a time, the other 29 take ten times as long as one.
		if took := time.Since(begin); made != 30 || err != nil || took != 10*callTime {
			t.Errorf("made %d calls in %s with the error %v, want 30 in %s", made, took, err, 10*callTime)
		}
	})
}

func TestNoCallBeginsAfterOneThatFailed(t *testing.T) {
	for name, c := range map[string]struct {
		fails    int
		wantMade int
	}{
		"the first call goes alone":                               {0, 1},
		"calls that run beside the failing one go on":             {4, 7},
		"no more fail than may run at a time, far from the start": {500, 508},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				failures := 0
				made, err := Run(t.Context(), 1000, Limits{First: 1, Parallel: 8}, func(_ context.Context, i int) error {
					if i < c.fails {
						time.Sleep(callTime)
						return nil
					}
					time.Sleep(callTime / 2) // from here on calls are refused, and that is quick
					mu.Lock()
					defer mu.Unlock()
					failures++
					return fmt.Errorf("call %d", i)
				})
				if made > c.wantMade || failures > 8 || failures != made-c.fails || err == nil || !strings.HasPrefix(err.Error(), fmt.Sprintf("call %d", c.fails)) {
					t.Errorf("made %d calls, %d of them failed, with the error %v; want at most %d calls and 8 failures, and all errors from call %d on",
						made, failures, err, c.wantMade, c.fails)
				}
			})
		})
	}
}

func TestEnoughIsEnough(t *testing.T) {
	for name, c := range map[string]struct {
		enough int
		want   []int
	}{
		"before the first call":     {0, nil},
		"in the midst of the calls": {5, []int{1, 2, 2}},
		"after the last call":       {9, []int{1, 2, 4, 2}},
	} {
		t.Run(name, func(t *testing.T) {
			got, made, err := run(t, 9, Limits{First: 1, Parallel: 8, Enough: func(begun int) bool { return begun >= c.enough }}, nil)
			if err != nil || made != c.enough {
				t.Fatalf("made %d calls with the error %v, want %d and none", made, err, c.enough)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("calls that began together (-want +got):\n%s", diff)
			}
		})
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

func TestNoCallBeginsAfterTheContextEnded(t *testing.T) {
	for name, c := range map[string]struct {
		n        int
		endsIn   int // the call that ends the context; -1 for before the first
		wantMade int
		wantErr  error
	}{
		"before the first call":     {8, -1, 0, context.Canceled},
		"in one of the first calls": {8, 2, 3, context.Canceled},
		"in the last call of all":   {7, 6, 7, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.endsIn < 0 {
					cancel()
				}
				made, err := Run(ctx, c.n, Limits{First: 1, Parallel: 4}, func(_ context.Context, i int) error {
					if i == c.endsIn {
						cancel()
					}
					time.Sleep(callTime)
					return nil
				})
				if made != c.wantMade || !errors.Is(err, c.wantErr) {
					t.Errorf("made %d calls with the error %v; want %d and %v", made, err, c.wantMade, c.wantErr)
				}
			})
		})
	}
}
