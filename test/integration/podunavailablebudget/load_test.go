package podunavailablebudget

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
)

// together does something with many pods, so many at a time, and returns how often that failed.
func together(pods []*corev1.Pod, atATime int, do func(*corev1.Pod) error) (failed int64, last error) {
	var group sync.WaitGroup
	var lastly atomic.Pointer[error]
	var failures atomic.Int64
	next := make(chan *corev1.Pod)
	for range atATime {
		group.Go(func() {
			for p := range next {
				if err := do(p); err != nil {
					failures.Add(1)
					lastly.Store(&err)
				}
			}
		})
	}
	for _, p := range pods {
		next <- p
	}
	close(next)
	group.Wait()
	if err := lastly.Load(); err != nil {
		last = *err
	}
	return failures.Load(), last
}

// crowd creates pods that serve.
func crowd(t *testing.T, namespace string, n int) []*corev1.Pod {
	t.Helper()
	var pods []*corev1.Pod
	for i := range n {
		pods = append(pods, plain(namespace, fmt.Sprint("web-", i)))
	}
	if failed, err := together(pods, 32, func(p *corev1.Pod) error {
		if err := server.Client.Create(t.Context(), p); err != nil {
			return err
		}
		report(t, p, corev1.ConditionTrue)
		return nil
	}); failed > 0 {
		t.Fatal(err)
	}
	return pods
}

// drains evict pods as kubectl drain does, a drain for each of them, until they are evicted or refused.
type drains struct {
	*testing.T
	// gaveUp says that whoever was to evict a pod is gone, too, once it was not answered. Nil: nobody is.
	gaveUp func(*corev1.Pod) bool
	// evicted, refused and unanswered count what became of the evictions.
	evicted, refused, unanswered atomic.Int64
}

// evict evicts a pod. Whoever is not answered asks again: be it that nobody could be asked, or not in the time that the API server waits
// for an answer, which a thousand at once may take on a busy machine, or that the API server itself is asked too much. A pod that is
// gone by then went by an eviction whose answer was lost.
func (d *drains) evict(p *corev1.Pod) error {
	var last error
	err := wait.PollUntilContextTimeout(d.Context(), 100*time.Millisecond, 3*time.Minute, true, func(context.Context) (bool, error) {
		last = evict(d.T, p)
		switch {
		case last == nil || apierrors.IsNotFound(last):
			last = nil
			return true, nil
		case apierrors.HasStatusCause(last, policyv1.DisruptionBudgetCause):
			return true, last
		case !answered(last):
			d.unanswered.Add(1)
			return d.gaveUp != nil && d.gaveUp(p), nil
		}
		d.Errorf("pod %s is refused otherwise than drains understand: %v", p.Name, last)
		return true, last
	})
	switch {
	case last == nil:
		d.evicted.Add(1)
	case apierrors.HasStatusCause(last, policyv1.DisruptionBudgetCause):
		d.refused.Add(1)
	case err != nil:
		d.Errorf("pod %s is neither evicted nor refused: %v; last: %v", p.Name, err, last)
	}
	return last
}

// answered says whether an eviction was decided.
func answered(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status) && !apierrors.IsTooManyRequests(err) && !apierrors.IsTimeout(err) && !apierrors.IsServerTimeout(err) &&
		!apierrors.IsServiceUnavailable(err) && !apierrors.IsInternalError(err) && !strings.Contains(err.Error(), "failed calling webhook")
}

func TestAThousandEvictionsAtOnceDoNotBreakABudget(t *testing.T) {
	const all, mayGo = 1000, 100
	namespace := server.Namespace(t)
	pods := crowd(t, namespace, all)
	b := budget(namespace, mayGo, total(all))
	create(t, b)
	awaitCounts(t, b, all, all, all-mayGo, mayGo)
	asked(t, namespace)
	start, d := time.Now(), drains{T: t}
	refused, err := together(pods, all, d.evict)
	t.Logf("%d evictions at once: %d permitted in %s, after %d that nobody answered in time; refused: %v", all, all-refused, time.Since(start), d.unanswered.Load(), err)
	if all-refused != mayGo {
		t.Errorf("%d pods were evicted, and %d may go", all-refused, mayGo)
	}
	awaitCounts(t, b, all, all-mayGo, all-mayGo, 0)
	if _, err := together(crowdAgain(namespace, mayGo), 32, func(p *corev1.Pod) error {
		if err := server.Client.Create(t.Context(), p); err != nil {
			return err
		}
		report(t, p, corev1.ConditionTrue)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	awaitCounts(t, b, all, all, all-mayGo, mayGo) // what was spent is there again
}

// crowdAgain are the pods that come for those that went.
func crowdAgain(namespace string, n int) []*corev1.Pod {
	var pods []*corev1.Pod
	for i := range n {
		pods = append(pods, plain(namespace, fmt.Sprint("next-", i)))
	}
	return pods
}

// desk opens a desk as another replica has it.
func desk(t *testing.T) *permits.Desk {
	t.Helper()
	scheme, err := manager.NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	mgr, err := ctrl.NewManager(server.Config, ctrl.Options{Scheme: scheme, Metrics: metricsserver.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	d := permits.New(disruption.Options{Deletions: true})
	if err := d.Open(t.Context(), mgr, clock.RealClock{}); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("the replica did not stop as it should: %v", err)
		}
	})
	if !mgr.GetCache().WaitForCacheSync(t.Context()) {
		t.Fatal("the cache of the replica is not filled")
	}
	return d
}

func TestReplicasThatAskAtOnceDoNotOverspendABudgetAndWhatNothingComesOfIsGivenBack(t *testing.T) {
	const all, mayGo = 60, 20
	namespace := server.Namespace(t)
	pods := crowd(t, namespace, all)
	b := budget(namespace, mayGo, total(all))
	create(t, b)
	awaitCounts(t, b, all, all, all-mayGo, mayGo)
	desks := []*permits.Desk{desk(t), desk(t), desk(t)}
	eventually(t, "every replica has heard of the budget", func() bool {
		for _, d := range desks {
			if found, err := d.Budgets().InNamespace(namespace); err != nil || len(found) != 1 || found[0].Status.UnavailableAllowed != mayGo {
				return false
			}
		}
		return true
	})
	var turn, permitted atomic.Int64
	if _, err := together(pods, all, func(p *corev1.Pod) error {
		r := permits.Request{Request: disruption.Request{Operation: v1beta1.PubDeleteOperation, Pod: p}, User: "somebody"}
		answer, err := desks[turn.Add(1)%int64(len(desks))].Ask(t.Context(), r)
		if answer.Permitted {
			permitted.Add(1)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if n := permitted.Load(); n > mayGo || n == 0 {
		t.Errorf("%d were permitted, and %d may go", n, mayGo)
	}
	eventually(t, "the permissions are noted", func() bool { return !counts(t, b, all, all, all-mayGo, mayGo) })
	awaitCounts(t, b, all, all, all-mayGo, mayGo) // nobody deleted anything
	if len(b.Status.DisruptedPods) > 0 {
		t.Errorf("noted are %v", b.Status.DisruptedPods)
	}
	eventually(t, "that nothing came of it is told", func() bool {
		for _, p := range pods {
			if told(t, p, "NotDeleted") {
				return true
			}
		}
		return false
	})
}
