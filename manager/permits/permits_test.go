package permits

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	toolscache "k8s.io/client-go/tools/cache"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/disruption"
)

// world is an API server with a budget, and the desk of a replica whose cache shows the budget as it was at first.
type world struct {
	client client.Client
	desk   *Desk
	// writes counts the writes that the API server was asked for, and fail, if it is set, answers the next.
	mu     sync.Mutex
	writes int
	fail   func() error
}

func newWorld(t *testing.T, allowed int32) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	b := &v1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	b.Status = v1beta1.PodUnavailableBudgetStatus{UnavailableAllowed: allowed, CurrentAvailable: 100, DesiredAvailable: 100 - allowed, TotalReplicas: 100}
	w := &world{}
	w.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(b).WithStatusSubresource(b).WithInterceptorFuncs(interceptor.Funcs{
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			w.mu.Lock()
			w.writes++
			fail := w.fail
			w.fail = nil
			w.mu.Unlock()
			if fail != nil {
				if err := fail(); err != nil {
					return err
				}
			}
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}).Build()
	w.desk = w.replica(t)
	return w
}

// replica is a desk that has seen the budget as it is now, and sees no more.
func (w *world) replica(t *testing.T) *Desk {
	t.Helper()
	indexer := toolscache.NewIndexer(toolscache.MetaNamespaceKeyFunc, index.Indexers())
	if err := indexer.Add(w.budget(t)); err != nil {
		t.Fatal(err)
	}
	d := New(disruption.Options{Deletions: true})
	now := clocktesting.NewFakePassiveClock(time.Unix(1_700_000_000, 0))
	if err := d.OpenOver(index.Over[*v1beta1.PodUnavailableBudget](indexer), w.client, w.client, now); err != nil {
		t.Fatal(err)
	}
	return d
}

func (w *world) budget(t *testing.T) *v1beta1.PodUnavailableBudget {
	t.Helper()
	b := &v1beta1.PodUnavailableBudget{}
	if err := w.client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web"}, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// request asks for the deletion of a pod that serves.
func request(i int) Request {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: fmt.Sprint("web-", i), Labels: map[string]string{"app": "web"}}}
	p.CreationTimestamp = metav1.NewTime(time.Unix(1_600_000_000, 0))
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return Request{Request: disruption.Request{Operation: v1beta1.PubDeleteOperation, Pod: p}, User: "somebody"}
}

func requests(n int) []Request {
	var out []Request
	for i := range n {
		out = append(out, request(i))
	}
	return out
}

func permitted(answers []disruption.Answer) (n int) {
	for _, a := range answers {
		if a.Permitted {
			n++
		}
	}
	return n
}

func TestManyAskTogetherAndTheFirstArePermittedWithOneWrite(t *testing.T) {
	w := newWorld(t, 3)
	answers, err := w.desk.AskAll(t.Context(), requests(10))
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		if a.Permitted != (i < 3) {
			t.Errorf("the request %d is permitted: %t", i, a.Permitted)
		}
	}
	if s := w.budget(t).Status; w.writes != 1 || s.UnavailableAllowed != 0 || len(s.DisruptedPods) != 3 {
		t.Errorf("%d writes, %+v", w.writes, s)
	}
	if a, err := w.desk.Ask(t.Context(), request(0)); err != nil || !a.Permitted || w.writes != 1 {
		t.Errorf("who was permitted a moment ago is permitted: %+v, %v, %d writes", a, err, w.writes)
	}
}

func TestReplicasThatKnowNothingOfEachOtherDoNotOverspend(t *testing.T) {
	w := newWorld(t, 7)
	desks := []*Desk{w.desk, w.replica(t), w.replica(t)}
	var group sync.WaitGroup
	answers := make([]disruption.Answer, 60)
	for i := range answers {
		group.Go(func() {
			a, err := desks[i%len(desks)].Ask(t.Context(), request(i))
			if err != nil {
				t.Error(err)
			}
			answers[i] = a
		})
	}
	group.Wait()
	if n := permitted(answers); n != 7 {
		t.Errorf("%d are permitted, and 7 may go", n)
	}
	if s := w.budget(t).Status; s.UnavailableAllowed != 0 || len(s.DisruptedPods) != 7 {
		t.Errorf("%+v", s)
	}
}

func TestAPermissionThatWasNotStoredIsNotGiven(t *testing.T) {
	w := newWorld(t, 1)
	w.fail = func() error { return errors.New("no answer") }
	if a, err := w.desk.Ask(t.Context(), request(0)); err == nil || a.Permitted {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := w.desk.Ask(t.Context(), request(1)); err != nil || !a.Permitted {
		t.Errorf("the next one is permitted: %+v, %v", a, err)
	}
}

func TestABudgetThatIsGoneRefusesNobody(t *testing.T) {
	w := newWorld(t, 1)
	if err := w.client.Delete(t.Context(), w.budget(t)); err != nil {
		t.Fatal(err)
	}
	if answers, err := w.desk.AskAll(t.Context(), requests(2)); err != nil || permitted(answers) != 2 {
		t.Errorf("%+v, %v", answers, err)
	}
}

func TestWhereTooManyChangeABudgetAtOnceOneIsToldToWait(t *testing.T) {
	w := newWorld(t, 1)
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "podunavailablebudgets"}, "web", nil)
	var always func() error
	always = func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.fail = always
		return conflict
	}
	w.fail = always
	if a, err := w.desk.Ask(t.Context(), request(0)); err != nil || a.Permitted || !strings.Contains(a.Why, "is asked by too many at once") {
		t.Errorf("%+v, %v", a, err)
	}
}

func TestADryRequestIsJudgedAndStoresNothing(t *testing.T) {
	for allowed, want := range map[int32]bool{0: false, 1: true} {
		w := newWorld(t, allowed)
		r := request(0)
		r.Dry = true
		if a, err := w.desk.Ask(t.Context(), r); err != nil || a.Permitted != want || w.writes > 0 {
			t.Errorf("%+v, %v, %d writes", a, err, w.writes)
		}
	}
}

func TestAGateThatIsOffAsksNobody(t *testing.T) {
	w := newWorld(t, 0)
	r := request(0)
	r.Operation = v1beta1.PubUpdateOperation
	if a, err := w.desk.Ask(t.Context(), r); err != nil || !a.Permitted {
		t.Errorf("%+v, %v", a, err)
	}
	if a, err := (*Desk)(nil).Ask(t.Context(), request(0)); err != nil || !a.Permitted {
		t.Errorf("without a desk: %+v, %v", a, err)
	}
}

func TestWhoHasPodsAnywhereMayHaveToAskWhereverABudgetIs(t *testing.T) {
	w := newWorld(t, 0)
	for namespace, quiet := range map[string]bool{"shop": false, "bank": true, "": false} {
		if got := w.desk.Quiet(namespace); got != quiet {
			t.Errorf("there is nobody to ask for an owner in namespace %q: %t", namespace, got)
		}
	}
	if w.desk.ForChanges() != nil {
		t.Error("budgets are told of changes, and their gate is off")
	}
	if !(*Desk)(nil).Quiet("") || (*Desk)(nil).ForChanges() != nil {
		t.Error("without a desk there is somebody to ask")
	}
}
