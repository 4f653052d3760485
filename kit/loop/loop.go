// Package loop is kit/turn for controllers that run in controller-runtime: the shape of every controller of ours.
//
// It promises what kit/turn does, over a client whose reads come from a cache.
package loop

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/turn"
)

// Work is one reconcile of one object.
type Work[O client.Object] = turn.Work[O]

// Report is the outcome of one reconcile.
type Report[O client.Object] = turn.Report[O]

// Event is something worth telling the user about the object.
type Event = turn.Event

// Loop reconciles the objects of one kind. It is a reconcile.Reconciler. Its fields stand still once it has begun.
type Loop[O client.Object] struct {
	// Kind names the kind among the caches of Writes.
	Kind string
	// Client reads objects from the cache and writes their status.
	Client client.Client
	// Recorder takes the events.
	Recorder events.EventRecorder
	// Live reads from the API server itself, where the answer to a write was lost.
	Live client.Reader
	// Writes remembers what was written until the cache shows it.
	Writes *seen.Writes
	// Clock tells the time.
	Clock clock.PassiveClock
	// SharedStatus is that of turn.Loop.
	SharedStatus bool
	// Finalizes is that of turn.Loop.
	Finalizes bool
	// New makes an empty object.
	New func() O
	// Begin begins the work on an object, which the work must not change.
	Begin func(obj O) Work[O]

	once sync.Once
	turn *turn.Loop[O]
}

// Reconcile does the work on one object.
func (l *Loop[O]) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	l.once.Do(func() {
		l.turn = &turn.Loop[O]{
			Kind: l.Kind, API: api[O]{l}, Recorder: l.Recorder, Writes: l.Writes, Look: l.look, Clock: l.Clock,
			SharedStatus: l.SharedStatus, Finalizes: l.Finalizes, Begin: l.Begin,
		}
	})
	after, err := l.turn.Take(ctx, req.NamespacedName)
	return reconcile.Result{RequeueAfter: after}, err
}

func (l *Loop[O]) look(ctx context.Context, key types.NamespacedName, into *metav1.PartialObjectMetadata) error {
	return l.Live.Get(ctx, key, into)
}

// api is the API server behind the client of a loop.
type api[O client.Object] struct{ *Loop[O] }

// Get implements turn.API.
func (a api[O]) Get(ctx context.Context, key types.NamespacedName) (O, error) {
	obj := a.New()
	return obj, a.Client.Get(ctx, key, obj)
}

// PatchStatus implements turn.API.
func (a api[O]) PatchStatus(ctx context.Context, obj O, body []byte) error {
	return a.Client.Status().Patch(ctx, obj, client.RawPatch(types.MergePatchType, body))
}
