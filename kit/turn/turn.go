// Package turn is one turn of every controller, whatever runs it: get → own writes seen? → observe → decide → act → report → one status
// patch → events → again at the time that the decision asked for.
//
// It promises: decisions are made on caches that show all of the controller's own writes; at most one status write for
// a reconcile, and none when nothing changed; at most one a second for an object; events only after the status that
// they speak of; reconciles of one object spaced by its size, so that a set of ten thousand pods costs work for every
// second and not for every event, while a small set reacts at once.
//
// It knows the API server through an interface alone, so that a program on every node, in which each library counts, shares it
// with those that use controller-runtime; kit/loop is what these use.
package turn

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/store"
)

const (
	// pacePerItem is how long one reconcile keeps the next one of the same object off, for each item that it looked at.
	pacePerItem = 100 * time.Microsecond
	// slowestPace bounds it.
	slowestPace = time.Second
	// statusPace is the shortest time between two status writes of an object.
	statusPace = time.Second
	// unseenPace is when to look again for a write that the cache does not show. It is short, since no event may come: a
	// controller is not woken by its own status writes. Looking costs no more than a comparison.
	unseenPace = 50 * time.Millisecond
	// FirstRetry is how long work that failed is left alone. The pause doubles with each failure, up to LastRetry; a change
	// of the object's spec ends it. The queue's own pauses do not hold while events bring the object back.
	FirstRetry = 50 * time.Millisecond
	// LastRetry is the longest of those pauses.
	LastRetry = 30 * time.Second
	// lastLook bounds, in the same way, the pauses while nobody can tell what became of a write in doubt, and while conflicts do
	// not pass. It is shorter, since either may be over at any moment.
	lastLook = 2 * time.Second
	// mostHeld is how many events may wait for a status to be written.
	mostHeld = 100
	// retold is how long a state must be gone for its event to be sent anew: longer than a wave of a rollout takes.
	retold = 10 * time.Minute
)

// Object is an object of the API.
type Object interface {
	metav1.Object
	runtime.Object
}

// API is what a loop asks of the API server, and of the cache before it.
type API[O Object] interface {
	// Get reads an object from the cache. The error of one that is not there says NotFound.
	Get(ctx context.Context, key types.NamespacedName) (O, error)
	// PatchStatus sends a merge patch to the status of an object, and leaves in the object what the API server made of it.
	PatchStatus(ctx context.Context, obj O, body []byte) error
}

// Recorder takes events. Those of client-go do.
type Recorder interface {
	// Eventf takes an event about an object, with what was done and with a note for people.
	Eventf(regarding, related runtime.Object, kind, reason, action, note string, args ...any)
}

// Work is one reconcile of one object. The methods are called once each, in this order.
type Work[O Object] interface {
	// Observe gathers the facts from caches. It writes nothing.
	Observe(ctx context.Context) error
	// Decide makes the plan out of the facts. It reads and writes nothing.
	Decide(now time.Time) error
	// Act carries the plan out.
	Act(ctx context.Context) error
	// Report says what became of it. failure is the error of the first method that failed, or nil.
	Report(now time.Time, failure error) Report[O]
}

// Report is the outcome of one reconcile.
type Report[O Object] struct {
	// Object is the object with its new status. The zero value leaves the status as it is.
	Object O
	// Events are sent once the status is written.
	Events []Event
	// Wake is when to reconcile again even if nothing happens; zero for never.
	Wake time.Time
	// Advanced says that something was carried out, whatever else failed. The work is then done again soon.
	Advanced bool
	// Items is how many objects the work looked at.
	Items int
}

// Event is something worth telling the user about the object.
type Event struct {
	Warning bool
	Reason  string
	Action  string
	Note    string
	// About is what the event is about. Default: the object.
	About runtime.Object
	// Pod is the name of the one pod of the object's namespace that the event is about as well; empty for none or several, and of
	// no effect where the object has no namespace. The recorder takes events about the same things, with the same reason and
	// action, for one, and tells only the first.
	Pod string
	// Once names a state of the object. An event with a name is sent when the state is first reported, and again only when
	// it was not reported for ten minutes. Empty: the event is sent each time.
	Once string
}

// Loop reconciles the objects of one kind.
type Loop[O Object] struct {
	// Kind names the kind among the caches of Writes.
	Kind string
	// API reads objects and writes their status.
	API API[O]
	// Recorder takes the events.
	Recorder Recorder
	// Writes remembers what was written until the cache shows it.
	Writes *seen.Writes
	// Look reads from the API server itself, where the answer to a write was lost. It may be nil where nothing tells Writes of such.
	Look seen.Look
	// Clock tells the time.
	Clock clock.PassiveClock
	// SharedStatus says that others write the status, too. Its patches then name the fields that changed alone, and hold only
	// for the version of the object that was read, or that the work left.
	SharedStatus bool
	// Finalizes says that the work is also done on objects that are being deleted. Otherwise these are left to the garbage
	// collector.
	Finalizes bool
	// Begin begins the work on an object, which the work must not change.
	Begin func(obj O) Work[O]

	mu    sync.Mutex
	paces map[types.NamespacedName]pace
}

// pace is when things may happen again to one object, and the events that wait for its status to be written.
type pace struct {
	of     types.UID // the object; another one may have its name by now
	next   time.Time
	status time.Time
	held   []Event
	told   map[string]time.Time // when the state of an event was last reported
	// failures is how often the work failed since it last succeeded, generation that of the object when it last did.
	failures   int
	generation int64
	// conflicts is how often the work met a conflict since it last succeeded.
	conflicts int
	// unanswered is how often nobody could tell what became of a write in doubt, ask when to ask again.
	unanswered int
	ask        time.Time
}

// Take takes one turn: it does the work on one object. It returns after how long to do it again even if nothing happens; 0 for never.
func (l *Loop[O]) Take(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	now := l.Clock.Now()
	kept := l.paceOf(key)
	wait := kept.next.Sub(now)
	if wait > 0 && kept.failures == 0 {
		return wait, nil
	}
	obj, err := l.API.Get(ctx, key)
	if err != nil {
		if apierrors.IsNotFound(err) {
			l.forget(key)
			return 0, nil
		}
		return 0, fmt.Errorf("get %s: %w", key, err)
	}
	if obj.GetDeletionTimestamp() != nil && !l.Finalizes {
		return 0, nil // the garbage collector deletes what it owns
	}
	if kept.of != obj.GetUID() { // nobody looked while the name was free
		l.change(key, func(p *pace) { *p = pace{of: obj.GetUID(), status: p.status} })
		wait = 0
	}
	if wait > 0 && obj.GetGeneration() == kept.generation { // what failed will not work better at every event
		return wait, nil
	}
	if wait := l.resolve(ctx, key); wait > 0 {
		return wait, nil
	}
	if what := l.Writes.Behind(key); what != "" {
		log.FromContext(ctx).V(2).Info("Waiting for the cache to show own writes", "missing", what)
		return unseenPace, nil
	}

	work := l.Begin(obj)
	failure := l.run(ctx, work, now)
	report := work.Report(now, failure)
	l.setNext(key, now.Add(min(time.Duration(report.Items)*pacePerItem, slowestPace)))
	again, err := l.publish(ctx, obj, report, now)
	if failure == nil {
		failure = err
	}
	if failure != nil {
		return l.outcome(ctx, obj, report.Advanced, failure, now)
	}
	l.change(key, func(p *pace) { p.failures, p.conflicts = 0, 0 })
	return earliest(now, report.Wake, again), nil
}

// resolve finds out what became of an object's writes in doubt. It returns when to ask again where there is no answer; until
// then, nobody is asked.
func (l *Loop[O]) resolve(ctx context.Context, key types.NamespacedName) time.Duration {
	kept := l.paceOf(key)
	if wait := kept.ask.Sub(l.Clock.Now()); kept.unanswered > 0 && wait > 0 {
		return wait
	}
	if err := l.Writes.Resolve(ctx, key, l.Look); err != nil {
		wait := backoff(kept.unanswered+1, lastLook)
		log.FromContext(ctx).Error(err, "Nothing is decided before it is known what became of a write", "askedAgainIn", wait.String())
		l.change(key, func(p *pace) { p.unanswered, p.ask = p.unanswered+1, l.Clock.Now().Add(wait) })
		return wait
	}
	if kept.unanswered > 0 {
		l.change(key, func(p *pace) { p.unanswered = 0 })
	}
	return 0
}

// backoff is the pause after so many failures in a row.
func backoff(failures int, longest time.Duration) time.Duration {
	const most = 16 // doublings that cannot overflow, and are more than any pause is long
	return min(FirstRetry<<min(failures-1, most), longest)
}

// run observes, decides and acts, as far as that goes.
func (l *Loop[O]) run(ctx context.Context, work Work[O], now time.Time) error {
	if err := work.Observe(ctx); err != nil {
		return fmt.Errorf("observe: %w", err)
	}
	if err := work.Decide(now); err != nil {
		return fmt.Errorf("decide: %w", err)
	}
	return work.Act(ctx)
}

// publish writes the status if it changed and is due, then sends the events. While a changed status is not written, the
// events wait for it. It returns when a status that is not due yet must be written.
func (l *Loop[O]) publish(ctx context.Context, before O, report Report[O], now time.Time) (time.Time, error) {
	key := store.Key(before)
	pending := l.hold(key, report.Events, now)
	again, err := l.writeStatus(ctx, key, before, report.Object, now)
	if err != nil || !again.IsZero() {
		return again, err
	}
	l.change(key, func(p *pace) { p.held = nil })
	for _, e := range pending {
		kind := corev1.EventTypeNormal
		if e.Warning {
			kind = corev1.EventTypeWarning
		}
		about, related := runtime.Object(before), runtime.Object(nil)
		if e.About != nil {
			about = e.About
		}
		if e.Pod != "" && key.Namespace != "" {
			related = &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: key.Namespace, Name: e.Pod}
		}
		l.Recorder.Eventf(about, related, kind, e.Reason, e.Action, "%s", e.Note)
	}
	return time.Time{}, nil
}

// writeStatus writes the status of after if it changed and is due. It returns when one that is not due must be written.
func (l *Loop[O]) writeStatus(ctx context.Context, key types.NamespacedName, before, after O, now time.Time) (again time.Time, err error) {
	if any(after) == any(l.zero()) {
		return again, nil
	}
	data, err := statusPatch(before, after, l.SharedStatus)
	if err != nil || data == nil {
		return again, err
	}
	if due := l.paceOf(key).status; now.Before(due) {
		return due, nil
	}
	if err := l.API.PatchStatus(ctx, after, data); err != nil {
		if apierrors.IsNotFound(err) {
			return again, nil
		}
		return again, fmt.Errorf("patch status: %w", err)
	}
	l.Writes.Wrote(key, l.Kind, after)
	l.setStatus(key, now.Add(statusPace))
	return again, nil
}

// hold adds events to those that wait already, without repeating one, and returns them all.
func (l *Loop[O]) hold(key types.NamespacedName, more []Event, now time.Time) []Event {
	var all []Event
	l.change(key, func(p *pace) {
		maps.DeleteFunc(p.told, func(_ string, last time.Time) bool { return now.Sub(last) >= retold })
		for _, e := range more {
			if e.Once != "" {
				_, told := p.told[e.Once]
				if p.told == nil {
					p.told = map[string]time.Time{}
				}
				p.told[e.Once] = now
				if told {
					continue
				}
			}
			if !slices.Contains(p.held, e) {
				p.held = append(p.held, e)
			}
		}
		p.held = p.held[max(0, len(p.held)-mostHeld):]
		all = p.held
	})
	return all
}

// Changes is the merge patch from one object to another; "{}" when they are equal.
func Changes(before, after Object) ([]byte, error) {
	from, err := json.Marshal(before)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", store.Key(before), err)
	}
	to, err := json.Marshal(after)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", store.Key(after), err)
	}
	patch, err := jsonpatch.CreateMergePatch(from, to)
	if err != nil {
		return nil, fmt.Errorf("compare %s with what it was: %w", store.Key(after), err)
	}
	return patch, nil
}

// statusPatch is the merge patch from one object's status to the other's, or nil when they are equal. It names every field
// of the new status, since a field that is 0 in the cache may never have been written, and null for those that are gone;
// where the status is shared, only what changed.
func statusPatch(before, after Object, shared bool) ([]byte, error) {
	data, err := Changes(before, after)
	if err != nil {
		return nil, err
	}
	if string(data) == "{}" {
		return nil, nil
	}
	var changed struct {
		Status map[string]any `json:"status"`
	}
	if err := json.Unmarshal(data, &changed); err != nil {
		return nil, fmt.Errorf("compare the status: %w", err)
	}
	if shared {
		if len(changed.Status) == 0 { // the work changed something else, and has written it
			return nil, nil
		}
		meta := map[string]any{"uid": after.GetUID(), "resourceVersion": after.GetResourceVersion()}
		return json.Marshal(map[string]any{"metadata": meta, "status": changed.Status})
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(after)
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	status, _, err := unstructured.NestedMap(fields, "status")
	if err != nil {
		return nil, fmt.Errorf("encode the status: %w", err)
	}
	for name, value := range changed.Status {
		if value == nil {
			status[name] = nil
		}
	}
	return json.Marshal(map[string]any{"metadata": map[string]any{"uid": after.GetUID()}, "status": status})
}

// outcome tells errors that pass by themselves from those to report: a conflict means that the cache lags behind
// somebody's write, and the event of that write brings the object back. Where none comes, it is tried again with growing pauses.
func (l *Loop[O]) outcome(ctx context.Context, obj O, advanced bool, err error, now time.Time) (time.Duration, error) {
	if apierrors.IsConflict(err) {
		log.FromContext(ctx).V(1).Info("Trying again after a conflict", "cause", err.Error())
		var wait time.Duration
		l.change(store.Key(obj), func(p *pace) {
			p.conflicts++
			wait = backoff(p.conflicts, lastLook)
		})
		return wait, nil
	}
	l.change(store.Key(obj), func(p *pace) {
		if advanced {
			p.failures = 0
		}
		p.failures, p.generation = p.failures+1, obj.GetGeneration()
		if next := now.Add(backoff(p.failures, LastRetry)); next.After(p.next) {
			p.next = next
		}
	})
	return 0, err
}

func (l *Loop[O]) zero() O {
	var none O
	return none
}

func (l *Loop[O]) paceOf(key types.NamespacedName) pace {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.paces[key]
}

func (l *Loop[O]) setNext(key types.NamespacedName, at time.Time) {
	l.change(key, func(p *pace) { p.next = at })
}

func (l *Loop[O]) setStatus(key types.NamespacedName, at time.Time) {
	l.change(key, func(p *pace) { p.status = at })
}

func (l *Loop[O]) change(key types.NamespacedName, set func(*pace)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paces == nil {
		l.paces = map[types.NamespacedName]pace{}
	}
	p := l.paces[key]
	set(&p)
	l.paces[key] = p
}

func (l *Loop[O]) forget(key types.NamespacedName) {
	l.mu.Lock()
	delete(l.paces, key)
	l.mu.Unlock()
	l.Writes.Forget(key)
}

// earliest is how long to wait for the first of the times that are set; 0 when none is.
func earliest(now time.Time, times ...time.Time) time.Duration {
	var first time.Duration
	for _, t := range times {
		if t.IsZero() {
			continue
		}
		wait := max(t.Sub(now), time.Millisecond)
		if first == 0 || wait < first {
			first = wait
		}
	}
	return first
}
