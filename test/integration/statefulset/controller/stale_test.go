package controller

import (
	"context"
	"fmt"
	"math/rand"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/builder"
)

// watched are the resources whose caches can lag behind.
func watched() []string {
	return []string{"pods", "persistentvolumeclaims", "controllerrevisions", "statefulsets"}
}

func TestWhileACacheDoesNotShowOwnWritesNothingIsDecided(t *testing.T) {
	for _, resource := range watched() {
		t.Run(resource, func(t *testing.T) {
			w := running(t, builder.StatefulSet(web).Replicas(4).Parallel().Claim("data").Retention(retain, deletion))
			w.Vanish("web-0")
			w.scale(3)
			w.image("a:2") // so that something is written of every resource
			w.Settle()
			w.Freeze(resource)
			w.Writes()
			w.Turn()
			first := w.Writes()
			for range 5 {
				w.Turn()
			}
			if more := w.Writes(); len(more) != 0 {
				t.Errorf("after the writes %v, which it could not see, it wrote %v", first, more)
			}
			w.Thaw(resource)
			w.Finish()
			w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2")
			w.wantAvailable("in the end", 3)
		})
	}
}

func TestAPodIsMadeOnceWhenTheAnswerIsLost(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(0).Parallel())
	w.scale(3)
	w.Settle()
	w.Freeze("pods")
	w.LoseAnswers(3)
	for range 5 {
		w.Turn()
	}
	w.Thaw("pods")
	w.Finish()
	w.wantPods("in the end", "web-0 a:1, web-1 a:1, web-2 a:1")
	w.wantAvailable("in the end", 3)
}

// Whatever the caches show and hide, and whenever the controller is started anew: there are never fewer available pods than
// wanted.
func TestRolloutsWithCachesThatLagAtRandomKeepTheirPromises(t *testing.T) {
	for name, set := range map[string]*builder.StatefulSetBuilder{
		"in order":           builder.StatefulSet(web).Claim("data"),
		"in order, in place": builder.StatefulSet(web).InPlace(),
		"at once":            builder.StatefulSet(web).Parallel(),
	} {
		for seed := range int64(3) {
			t.Run(fmt.Sprintf("%s, seed %d", name, seed), func(t *testing.T) {
				w := running(t, set.Replicas(4))
				w.AfterEachStep = func() {
					if n := w.available(); n < 3 {
						t.Errorf("%d pods are available, want 3 or more", n)
					}
				}
				w.image("a:2")
				w.Lag(rand.New(rand.NewSource(seed)), 40, watched())
				w.Finish()
				w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2, web-3 a:2")
			})
		}
	}
}

// TestTheManagerIsWokenByWhatItDoesNotOwn runs a whole manager: no test calls its reconciler.
func TestTheManagerIsWokenByWhatItDoesNotOwn(t *testing.T) {
	t.Parallel()
	namespace := server.Namespace(t)
	replica, err := server.RunReplica(t.Context(), func(m *manager.Options, s *serve.Options) {
		m.WebhooksOnly, m.Workloads, s.Namespace = false, gates(), namespace
	})
	if err != nil {
		t.Fatal(err)
	}
	key := client.ObjectKey{Namespace: namespace, Name: web}
	blocker := builder.Pod("web-0").Namespace(namespace).Object()
	blocker.UID, blocker.Labels = "", map[string]string{"app": "other"}
	if err := server.Client.Create(t.Context(), blocker); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Create(t.Context(), builder.StatefulSet(web).Namespace(namespace).Object()); err != nil {
		t.Fatal(err)
	}
	await := func(what string, is func(*v1beta1.StatefulSet) bool) {
		t.Helper()
		set := &v1beta1.StatefulSet{}
		err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			err := server.Client.Get(ctx, key, set)
			return err == nil && is(set), err
		})
		if err != nil {
			t.Fatalf("waiting until %s: %v; the status is %+v", what, err, set.Status)
		}
	}
	await("the set is seen", func(s *v1beta1.StatefulSet) bool { return s.Status.ObservedGeneration == 1 && s.Status.Replicas == 0 })
	if err := server.Client.Delete(t.Context(), blocker, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	await("the name is free", func(s *v1beta1.StatefulSet) bool { return s.Status.Replicas == 1 })
	if err := replica.Stop(); err != nil {
		t.Errorf("the manager stopped: %v", err)
	}
}
