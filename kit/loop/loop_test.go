package loop

import (
	"context"
	"testing"
	"time"

	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/kit/seen"
)

// budget is the kind of the test.
type budget = policyv1.PodDisruptionBudget

// work reports a status, and asks to be done again after an hour.
type work struct{ obj *budget }

func (work) Observe(context.Context) error { return nil }
func (work) Decide(time.Time) error        { return nil }
func (work) Act(context.Context) error     { return nil }

func (w work) Report(now time.Time, _ error) Report[*budget] {
	after := w.obj.DeepCopy()
	after.Status.CurrentHealthy = 3
	return Report[*budget]{Object: after, Events: []Event{{Reason: "Healthy"}}, Wake: now.Add(time.Hour)}
}

// newest is a cache that is never behind.
type newest struct{}

func (newest) Version() string                            { return "999999" }
func (newest) Lives(types.NamespacedName, types.UID) bool { return false }

// reasons takes the reasons of events.
type reasons []string

func (r *reasons) Eventf(_, _ runtime.Object, _, reason, _, _ string, _ ...any) {
	*r = append(*r, reason)
}

func TestATurnReadsAndWritesThroughTheClientsOfTheLoop(t *testing.T) {
	key := types.NamespacedName{Namespace: "shop", Name: "web"}
	obj := &budget{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: "uid"}}
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme).WithObjects(obj).WithStatusSubresource(&budget{}).Build()
	asked, told := 0, reasons{}
	l := &Loop[*budget]{
		Kind: "PodDisruptionBudget", Client: api, Recorder: &told, Clock: clock.RealClock{},
		Live: interceptor.NewClient(api, interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				asked++
				return c.Get(ctx, key, obj, opts...)
			},
		}),
		Writes: seen.New(map[string]seen.Cache{"PodDisruptionBudget": newest{}}),
		New:    func() *budget { return &budget{} },
		Begin:  func(obj *budget) Work[*budget] { return work{obj} },
	}
	doubt := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	doubt.SetGroupVersionKind(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"))
	l.Writes.Doubted(key, "PodDisruptionBudget", doubt)

	result, err := l.Reconcile(t.Context(), reconcile.Request{NamespacedName: key})
	if err != nil || result.RequeueAfter != time.Hour {
		t.Errorf("again after %v, %v", result.RequeueAfter, err)
	}
	if err := api.Get(t.Context(), key, obj); err != nil || obj.Status.CurrentHealthy != 3 {
		t.Errorf("the status is %+v, %v", obj.Status, err)
	}
	if asked != 1 || len(told) != 1 || told[0] != "Healthy" {
		t.Errorf("the API server was asked %d times what became of a write, and the events are %q", asked, told)
	}
}
