package agent

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/types"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var web = types.NamespacedName{Namespace: "shop", Name: "web"}

// works runs a controller in a bubble of time until the test says that it is enough. It returns when each turn was taken.
func works(t *testing.T, take func(turn int) (time.Duration, error), lasts time.Duration) []time.Duration {
	t.Helper()
	var turns []time.Duration
	ctx, cancel := context.WithCancel(t.Context())
	begun := time.Now()
	c := NewController(Options{
		Name: t.Name(), Workers: 2, First: time.Second, Last: 3 * time.Second,
		Take: func(_ context.Context, key types.NamespacedName) (time.Duration, error) {
			if key != web {
				t.Errorf("the turn of %s", key)
			}
			turns = append(turns, time.Since(begun))
			return take(len(turns))
		},
	})
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	c.Wake(web)
	time.Sleep(lasts)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	c.Wake(web) // nobody listens any more
	return turns
}

func check(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("turns after %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("turns after %v, want %v", got, want)
		}
	}
}

func TestATurnIsTakenAgainWhenItAsksForThat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check(t, works(t, func(turn int) (time.Duration, error) {
			return map[int]time.Duration{1: 5 * time.Second, 2: time.Minute}[turn], nil
		}, time.Hour), 0, 5*time.Second, 65*time.Second)
	})
}

func TestWhatFailsAndWhatPanicsIsTriedAgainWithGrowingPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		check(t, works(t, func(turn int) (time.Duration, error) {
			switch turn {
			case 1, 3:
				return 0, errors.New("broken")
			case 2:
				panic("broken")
			}
			return 0, nil
		}, time.Hour), 0, time.Second, 3*time.Second, 6*time.Second)
	})
}

func TestWhatWasBegunEndsBeforeTheControllerDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		done := false
		works(t, func(int) (time.Duration, error) {
			time.Sleep(time.Minute)
			done = true
			return 0, nil
		}, time.Second)
		if !done {
			t.Error("the turn was not waited for")
		}
	})
}
