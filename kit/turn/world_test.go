package turn

import (
	"context"
	"errors"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/kit/seen"
)

// budget is the kind of the tests: its status has fields that are written even when they are 0, and one that is not.
type budget = policyv1.PodDisruptionBudget

var key = types.NamespacedName{Namespace: "shop", Name: "web"}

// world is a loop over one object, with an API server, a cache of own writes and a clock that the test moves.
type world struct {
	*testing.T
	loop  *Loop[*budget]
	api   client.WithWatch
	live  client.Reader
	clock *clocktesting.FakePassiveClock
	cache *known
	sent  []sent

	// patches are the bodies of the status writes that reached the API server.
	patches []string
	// refuse, if set, is the answer to status writes.
	refuse error

	// What the work does.
	observe, decide, act error
	report               func(obj *budget, now time.Time, failure error) Report[*budget]
	// begun is how often work was begun; got is the failure that was reported last.
	begun int
	got   error
}

// sent is an event, and the status that was stored when it was sent.
type sent struct {
	Reason, Kind string
	Healthy      int32
}

type known struct{ version string }

func (s *known) Version() string                            { return s.version }
func (s *known) Lives(types.NamespacedName, types.UID) bool { return false }

const newest = "999999"

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	w := &world{T: t, clock: clocktesting.NewFakePassiveClock(time.Unix(1_000_000, 0)), cache: &known{newest}}
	w.api = fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(objects...).WithStatusSubresource(&budget{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, o ...client.SubResourcePatchOption) error {
				data, err := patch.Data(obj)
				if err != nil {
					return err
				}
				if w.refuse != nil {
					return w.refuse
				}
				w.patches = append(w.patches, string(data))
				return c.SubResource(sub).Patch(ctx, obj, patch, o...)
			},
		}).Build()
	w.live = w.api
	w.loop = &Loop[*budget]{
		Kind: "PodDisruptionBudget", API: w, Recorder: w, Look: w.look, Clock: w.clock,
		Writes: seen.New(map[string]seen.Cache{"PodDisruptionBudget": w.cache}),
		Begin: func(obj *budget) Work[*budget] {
			w.begun++
			return &work{w, obj}
		},
	}
	w.report = func(*budget, time.Time, error) Report[*budget] { return Report[*budget]{} }
	return w
}

func object() *budget {
	return &budget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid"}}
}

// healthy reports a status with a count, and events of the given reasons.
func (w *world) healthy(n int32, reasons ...string) {
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		after := obj.DeepCopy()
		after.Status.CurrentHealthy = n
		r := Report[*budget]{Object: after}
		for _, reason := range reasons {
			r.Events = append(r.Events, Event{Reason: reason})
		}
		return r
	}
}

// Get implements API.
func (w *world) Get(ctx context.Context, key types.NamespacedName) (*budget, error) {
	obj := &budget{}
	return obj, w.api.Get(ctx, key, obj)
}

// PatchStatus implements API.
func (w *world) PatchStatus(ctx context.Context, obj *budget, body []byte) error {
	return w.api.Status().Patch(ctx, obj, client.RawPatch(types.MergePatchType, body))
}

func (w *world) look(ctx context.Context, key types.NamespacedName, into *metav1.PartialObjectMetadata) error {
	return w.live.Get(ctx, key, into)
}

func (w *world) reconcile() (time.Duration, error) { return w.loop.Take(w.Context(), key) }

// done reconciles, fails the test on an error, and returns how long to wait for the next time.
func (w *world) done() time.Duration {
	w.Helper()
	wait, err := w.reconcile()
	if err != nil {
		w.Fatalf("reconcile: %v", err)
	}
	return wait
}

func (w *world) pass(d time.Duration) { w.clock.SetTime(w.clock.Now().Add(d)) }

func (w *world) stored() *budget {
	w.Helper()
	obj := &budget{}
	if err := w.api.Get(w.Context(), key, obj); err != nil {
		w.Fatal(err)
	}
	return obj
}

// Eventf takes an event.
func (w *world) Eventf(_, _ runtime.Object, kind, reason, _, _ string, _ ...any) {
	w.sent = append(w.sent, sent{reason, kind, w.stored().Status.CurrentHealthy})
}

// work is the work that the world says.
type work struct {
	*world
	obj *budget
}

func (x *work) Observe(context.Context) error { return x.observe }
func (x *work) Decide(time.Time) error        { return x.decide }
func (x *work) Act(context.Context) error     { return x.act }
func (x *work) Report(now time.Time, failure error) Report[*budget] {
	x.got = failure
	return x.report(x.obj, now, failure)
}

var errBroken = errors.New("broken")
