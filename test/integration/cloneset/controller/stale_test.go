package controller

import (
	"fmt"
	"math/rand"
	"testing"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// watched are the resources whose caches can lag behind.
func watched() []string {
	return []string{"pods", "persistentvolumeclaims", "controllerrevisions", "clonesets"}
}

// reconciles runs the loop some times, with caches that show everything but what is held back.
func (w *world) reconciles(times int) {
	w.Helper()
	for range times {
		w.Turn()
	}
}

func TestWhileACacheDoesNotShowOwnWritesNothingIsDecided(t *testing.T) {
	for _, resource := range watched() {
		t.Run(resource, func(t *testing.T) {
			w := running(t, builder.CloneSet(web).Replicas(5).Claim("data"))
			for _, name := range w.names()[:2] {
				w.Vanish(name)
			}
			w.image("a:2") // so that something is written of every resource
			w.Settle()
			w.Freeze(resource)
			w.Writes()
			w.reconciles(1)
			first := w.Writes()
			w.reconciles(5)
			if more := w.Writes(); len(more) != 0 {
				t.Errorf("after the writes %v, which it could not see, it wrote %v", first, more)
			}
			if n := len(w.active()); n > 5 {
				t.Errorf("%d pods exist, want 5 or fewer", n)
			}
			w.Thaw(resource)
			w.Finish()
			if n := w.available(); n != 5 {
				t.Errorf("%d pods are available in the end, want 5", n)
			}
		})
	}
}

func TestAPodIsNotMadeTwiceWhenTheAnswerIsLost(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(0))
	w.change(func(s *v1beta1.CloneSetSpec) { *s.Replicas = 3 })
	w.Settle()
	w.Freeze("pods")
	w.LoseAnswers(3)
	w.reconciles(5)
	if n := len(w.Pods()); n != 3 {
		t.Errorf("%d pods exist, want 3", n)
	}
	w.Thaw("pods")
	w.Finish()
	if n := len(w.Pods()); n != 3 {
		t.Errorf("%d pods exist in the end, want 3", n)
	}
}

// Whatever the caches show and hide, and whenever the controller is started anew: there are never more pods than wanted and
// spare, and never fewer available ones than wanted.
func TestRolloutsWithCachesThatLagAtRandomKeepTheirPromises(t *testing.T) {
	for name, set := range map[string]*builder.CloneSetBuilder{
		"in place":      builder.CloneSet(web).InPlace(),
		"by recreating": builder.CloneSet(web).Claim("data"),
		"with surge":    builder.CloneSet(web).MaxSurge("2"),
	} {
		for seed := range int64(3) {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				w := running(t, set.Replicas(4).MaxUnavailable("1"))
				most := 4
				if s := set.Object().Spec.UpdateStrategy.RollingUpdate.MaxSurge; s != nil {
					most += s.IntValue()
				}
				w.AfterEachStep = func() {
					if n := len(w.active()); n > most {
						t.Errorf("%d pods exist, want %d or fewer", n, most)
					}
					if n := w.available(); n < 3 {
						t.Errorf("%d pods are available, want 3 or more", n)
					}
				}
				w.image("a:2")
				w.Lag(rand.New(rand.NewSource(seed)), 40, watched())
				w.Finish()
				w.wantImages("in the end", "a:2 ×4")
			})
		}
	}
}
