// Package permits gives permission to take pods out of service, as PodUnavailableBudgets allow. The controllers of this process
// ask here before they delete or change a pod, and so do the requests that the API server asks about; plan/disruption judges.
//
// It promises that a permission is stored, in the status of the budget, before it is given, against the version that it was
// judged on: however many replicas ask at once, no budget is overspent, and a permission of which nothing comes is lost for no
// longer than its record lasts. Requests that meet at one budget are judged together, and cost one write. A request that costs nothing
// waits for nobody.
package permits

import (
	"context"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/disruption"
)

// +kubebuilder:rbac:groups=policy.kruise.io,resources=podunavailablebudgets,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy.kruise.io,resources=podunavailablebudgets/status,verbs=patch

// roundTime is how long one round of requests may take, writes and retries included.
const roundTime = 5 * time.Second

// Desk is where permission is asked for. Make one with New; until Open, and where it is nil, all is permitted.
type Desk struct {
	options disruption.Options
	budgets *index.Store[*v1beta1.PodUnavailableBudget]
	client  client.Client
	live    client.Reader
	clock   clock.PassiveClock
	refused *refusals

	mu sync.Mutex
	// waiting are the requests that wait for the round that is under way at their budget.
	waiting map[types.NamespacedName][]*ask
	// written are budgets as this process wrote them, until the cache shows them.
	written map[types.NamespacedName]*v1beta1.PodUnavailableBudget
}

// Request asks whether a pod may be taken out of service.
type Request struct {
	disruption.Request
	// User is who asks.
	User string
	// Dry judges, and stores nothing.
	Dry bool
}

// ask is a request and what becomes of it.
type ask struct {
	*Request
	// place is where it stands among those that were made with it.
	place  int
	answer disruption.Answer
	err    error
	done   chan struct{}
}

// New makes a desk that is not open yet.
func New(o disruption.Options) *Desk {
	return &Desk{options: o, waiting: map[types.NamespacedName][]*ask{}, written: map[types.NamespacedName]*v1beta1.PodUnavailableBudget{}}
}

// Open opens the desk over a manager's caches and client, and a clock.
func (d *Desk) Open(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) error {
	budgets, err := index.For(ctx, mgr.GetCache(), &v1beta1.PodUnavailableBudget{})
	if err != nil {
		return fmt.Errorf("watch budgets: %w", err)
	}
	return d.OpenOver(budgets, mgr.GetClient(), mgr.GetAPIReader(), now)
}

// OpenOver opens the desk over budgets as a cache shows them, a client that writes them, and a reader that asks the API server itself.
func (d *Desk) OpenOver(budgets *index.Store[*v1beta1.PodUnavailableBudget], c client.Client, live client.Reader, now clock.PassiveClock) (err error) {
	if d.refused, err = newRefusals(); err != nil {
		return err
	}
	d.budgets, d.client, d.live, d.clock = budgets, c, live, now
	return nil
}

// Options are those of the desk.
func (d *Desk) Options() disruption.Options { return d.options }

// Budgets are all budgets; nil while the desk is not open.
func (d *Desk) Budgets() *index.Store[*v1beta1.PodUnavailableBudget] {
	if d == nil {
		return nil
	}
	return d.budgets
}

// Asks says whether the desk has anything to say about an operation.
func (d *Desk) Asks(o v1beta1.PubOperation) bool { return d.Budgets() != nil && d.options.Asks(o) }

// Quiet says that there is nobody to be asked about pods of an owner in a namespace. An owner in none may have pods in any.
func (d *Desk) Quiet(namespace string) bool {
	switch {
	case d.Budgets() == nil:
		return true
	case namespace == "":
		return len(d.budgets.All()) == 0
	}
	budgets, err := d.budgets.InNamespace(namespace)
	return err == nil && len(budgets) == 0
}

// ForChanges tells the budgets of a namespace that are asked about changes of pods. Nil: nobody is.
func (d *Desk) ForChanges() func(namespace string) ([]*v1beta1.PodUnavailableBudget, error) {
	if !d.Asks(v1beta1.PubUpdateOperation) || len(d.budgets.All()) == 0 {
		return nil
	}
	return d.budgets.InNamespace
}

// Ask asks for permission. Where it is given, the pod may be taken out of service now; whoever does not, need not say so.
func (d *Desk) Ask(ctx context.Context, r Request) (disruption.Answer, error) {
	answers, err := d.AskAll(ctx, []Request{r})
	if err != nil {
		return disruption.Answer{}, err
	}
	return answers[0], nil
}

// AskAll asks for several permissions: where not all can be given, for the first ones.
func (d *Desk) AskAll(ctx context.Context, requests []Request) ([]disruption.Answer, error) {
	answers := make([]disruption.Answer, len(requests))
	asks := map[types.NamespacedName][]*ask{}
	for i := range requests {
		r := &requests[i]
		answers[i] = disruption.Answer{Permitted: true}
		budget, err := d.budgetFor(r)
		switch {
		case err != nil:
			return nil, err
		case budget != nil:
			key := client.ObjectKeyFromObject(budget)
			asks[key] = append(asks[key], &ask{Request: r, place: i, done: make(chan struct{})})
		}
	}
	for key, all := range asks {
		d.queue(ctx, key, all)
	}
	for key, all := range asks {
		for _, a := range all {
			select {
			case <-a.done:
			case <-ctx.Done():
				return nil, fmt.Errorf("asking PodUnavailableBudget %s: %w", key, ctx.Err())
			}
			if a.err != nil {
				return nil, fmt.Errorf("asking PodUnavailableBudget %s about pod %s: %w", key, a.Pod.Name, a.err)
			}
			if answers[a.place] = a.answer; !a.answer.Permitted {
				d.refused.count(key, a.User)
				log.FromContext(ctx).V(1).Info("Refused", "budget", key.String(), "pod", a.Pod.Name, "operation", a.Operation, "user", a.User, "why", a.answer.Why)
			}
		}
	}
	return answers, nil
}

// budgetFor is the budget that a request costs something of; nil where it is free.
func (d *Desk) budgetFor(r *Request) (*v1beta1.PodUnavailableBudget, error) {
	if !d.Asks(r.Operation) {
		return nil, nil
	}
	budgets, err := d.budgets.InNamespace(r.Pod.Namespace)
	if err != nil {
		return nil, err
	}
	r.ResizesApart = d.options.ResizesApart
	budget := disruption.Of(r.Pod, budgets)
	if budget == nil || disruption.Free(budget, r.Request) {
		return nil, nil
	}
	return budget, nil
}

// queue has requests judged in the next round at their budget.
func (d *Desk) queue(ctx context.Context, key types.NamespacedName, asks []*ask) {
	d.mu.Lock()
	before, busy := d.waiting[key]
	d.waiting[key] = append(before, asks...)
	d.mu.Unlock()
	if !busy {
		go d.serve(context.WithoutCancel(ctx), key)
	}
}

// serve serves the requests at a budget, round by round, until nobody waits.
func (d *Desk) serve(ctx context.Context, key types.NamespacedName) {
	for {
		d.mu.Lock()
		round := d.waiting[key]
		if len(round) == 0 {
			delete(d.waiting, key)
			d.mu.Unlock()
			return
		}
		d.waiting[key] = nil
		d.mu.Unlock()
		d.round(ctx, key, round)
		for _, a := range round {
			close(a.done)
		}
	}
}

// round judges requests together, on the budget as it was last heard of, and again on the budget itself where another has changed
// it meanwhile.
func (d *Desk) round(ctx context.Context, key types.NamespacedName, asks []*ask) {
	ctx, cancel := context.WithTimeout(ctx, roundTime)
	defer cancel()
	budget := d.newest(key)
	backoff := wait.Backoff{Steps: 6, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.5}
	err := retry.OnError(backoff, apierrors.IsConflict, func() error {
		recorded := d.judge(budget, asks)
		if recorded == nil {
			return nil
		}
		patch := client.MergeFromWithOptions(budget, client.MergeFromWithOptimisticLock{})
		err := d.client.Status().Patch(ctx, recorded, patch)
		switch {
		case err == nil:
			d.mu.Lock()
			d.written[key] = recorded
			d.mu.Unlock()
		case apierrors.IsConflict(err) || apierrors.IsNotFound(err):
			budget = &v1beta1.PodUnavailableBudget{}
			if lost := d.live.Get(ctx, key, budget); apierrors.IsNotFound(lost) {
				d.judge(nil, asks)
				return nil
			} else if lost != nil {
				return lost
			}
		}
		return err
	})
	for _, a := range asks {
		switch {
		case err == nil || !a.answer.Recorded:
		case apierrors.IsConflict(err):
			why := a.Title(key.Namespace, key.Name) + " is asked by too many at once"
			a.answer = disruption.Answer{Why: why + ": wait a moment", Brief: why}
		default:
			a.answer, a.err = disruption.Answer{}, err
		}
	}
}

// judge judges requests one after the other, and returns the budget as it is to be stored; nil where nothing is. Where there is no
// budget any more, all is permitted.
func (d *Desk) judge(budget *v1beta1.PodUnavailableBudget, asks []*ask) *v1beta1.PodUnavailableBudget {
	now, stored := d.clock.Now(), false
	after := budget.DeepCopy()
	for _, a := range asks {
		switch {
		case after == nil:
			a.answer = disruption.Answer{Permitted: true}
		case a.Dry:
			a.answer = disruption.Ask(after.DeepCopy(), a.Request.Request, now)
			a.answer.Recorded = false
		default:
			a.answer = disruption.Ask(after, a.Request.Request, now)
		}
		stored = stored || a.answer.Recorded
	}
	if !stored {
		return nil
	}
	return after
}

// newest is a budget as the cache shows it, or as this process wrote it since; nil where there is none.
func (d *Desk) newest(key types.NamespacedName) *v1beta1.PodUnavailableBudget {
	cached, exists := d.budgets.Get(key)
	d.mu.Lock()
	defer d.mu.Unlock()
	own := d.written[key]
	if own == nil {
		if exists {
			return cached
		}
		return nil
	}
	if exists && own.UID == cached.UID {
		if c, err := resourceversion.CompareResourceVersion(own.ResourceVersion, cached.ResourceVersion); err == nil && c > 0 {
			return own
		}
	}
	delete(d.written, key)
	if exists {
		return cached
	}
	return nil
}
