package turn

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

var budgets = schema.GroupResource{Group: "policy", Resource: "poddisruptionbudgets"}

func TestAStatusIsWrittenOnlyWhenItChanged(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(3)
	for range 3 {
		w.done()
		w.pass(time.Minute)
	}
	if len(w.patches) != 1 || w.stored().Status.CurrentHealthy != 3 {
		t.Errorf("%d healthy are stored after the writes %v, want 3 after one write", w.stored().Status.CurrentHealthy, w.patches)
	}
}

func TestAReportWithoutAnObjectLeavesTheStatusAlone(t *testing.T) {
	w := newWorld(t, object())
	w.done()
	if len(w.patches) != 0 {
		t.Errorf("written: %v", w.patches)
	}
}

func TestTheFirstStatusNamesEveryField(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(3)
	w.done()
	var got map[string]any
	if err := json.Unmarshal([]byte(w.patches[0]), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"uid": "uid"},
		"status":   map[string]any{"currentHealthy": 3.0, "desiredHealthy": 0.0, "disruptionsAllowed": 0.0, "expectedPods": 0.0},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}
}

func TestAFieldThatIsGoneIsRemoved(t *testing.T) {
	obj := object()
	obj.Status.ObservedGeneration = 4
	obj.Status.Conditions = []metav1.Condition{{Type: "A", Status: "True"}}
	w := newWorld(t, obj)
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		after := obj.DeepCopy()
		after.Status.ObservedGeneration, after.Status.Conditions = 0, nil
		return Report[*budget]{Object: after}
	}
	w.done()
	for _, field := range []string{`"observedGeneration":null`, `"conditions":null`} {
		if !strings.Contains(w.patches[0], field) {
			t.Errorf("the patch %s does not say %s", w.patches[0], field)
		}
	}
	if got := w.stored().Status; got.ObservedGeneration != 0 || got.Conditions != nil {
		t.Errorf("stored: %+v", got)
	}
}

func TestAStatusIsWrittenAtMostOnceASecond(t *testing.T) {
	w := newWorld(t, object())
	for n := int32(1); n <= 10; n++ { // every 300 ms
		w.healthy(n)
		wait := w.done()
		if behind := w.stored().Status.CurrentHealthy != n; behind != (wait > 0) {
			t.Errorf("the status %d is written: %v, and it looks again in %v", n, !behind, wait)
		}
		w.pass(300 * time.Millisecond)
	}
	if len(w.patches) != 3 { // at 0, 1.2 and 2.4 seconds
		t.Errorf("%d writes in 2.7 seconds, want 3", len(w.patches))
	}
}

func TestAStatusThatIsHeldBackIsWrittenWhenItIsDue(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(1)
	w.done()
	w.pass(100 * time.Millisecond)
	w.healthy(2)
	wait := w.done()
	if wait != 900*time.Millisecond {
		t.Fatalf("it looks again in %v, want 900ms", wait)
	}
	w.pass(wait)
	w.done()
	if got := w.stored().Status.CurrentHealthy; got != 2 {
		t.Errorf("the status is %d, want 2", got)
	}
}

func TestEventsComeAfterTheStatusThatTheySpeakOf(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(1, "One")
	w.done()
	w.pass(100 * time.Millisecond)
	w.healthy(2, "Two")
	w.done()
	w.pass(100 * time.Millisecond)
	w.healthy(3, "Two", "Three") // said again before it could be sent
	w.done()
	if diff := cmp.Diff([]sent{{"One", "Normal", 1}}, w.sent); diff != "" {
		t.Fatalf("events before the second status (-want +got):\n%s", diff)
	}
	w.pass(time.Second)
	w.healthy(3)
	w.done()
	if diff := cmp.Diff([]sent{{"One", "Normal", 1}, {"Two", "Normal", 3}, {"Three", "Normal", 3}}, w.sent); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	w.pass(time.Second)
	w.done()
	if len(w.sent) != 3 {
		t.Errorf("events were sent again: %v", w.sent[3:])
	}
}

func TestEventsOfAStatusThatDidNotChangeAreSentAtOnce(t *testing.T) {
	w := newWorld(t, object())
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		return Report[*budget]{Object: obj.DeepCopy(), Events: []Event{{Warning: true, Reason: "Bad"}}}
	}
	w.done()
	if diff := cmp.Diff([]sent{{"Bad", "Warning", 0}}, w.sent); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

func TestTheEventOfAStateIsSentWhenTheStateBegins(t *testing.T) {
	w := newWorld(t, object())
	stuck := Event{Reason: "Stuck", Once: "stuck"}
	say := func(events ...Event) {
		w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
			return Report[*budget]{Object: obj.DeepCopy(), Events: events}
		}
		w.done()
		w.pass(time.Minute)
	}
	for range 20 { // for longer than a state may be gone
		say(stuck)
	}
	say()
	say(stuck) // back before anybody forgot
	if len(w.sent) != 1 {
		t.Fatalf("sent %v, want one event", w.sent)
	}
	say(Event{Reason: "Other", Once: "other"})
	for range 10 {
		say()
	}
	say(stuck)
	if len(w.sent) != 3 {
		t.Errorf("sent %v, want three events", w.sent)
	}
}

func TestNoMoreEventsWaitThanAllowed(t *testing.T) {
	w := newWorld(t, object())
	w.refuse = errBroken
	for i := range 2 * mostHeld {
		w.healthy(1, fmt.Sprint(i))
		if _, err := w.reconcile(); !errors.Is(err, errBroken) {
			t.Fatal(err)
		}
		w.pass(LastRetry)
	}
	w.refuse = nil
	w.healthy(1)
	w.done()
	if len(w.sent) != mostHeld || w.sent[0].Reason != fmt.Sprint(mostHeld) {
		t.Errorf("%d events, the first is %s; want the last %d", len(w.sent), w.sent[0].Reason, mostHeld)
	}
}

// Events bring an object back at any time; the pauses of the queue then do not hold.
func TestWhatFailsIsTriedLessAndLessWhateverHappens(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(1)
	w.act = errBroken
	tries := func(d time.Duration) (n int) {
		for end := w.clock.Now().Add(d); w.clock.Now().Before(end); w.pass(10 * time.Millisecond) {
			if _, err := w.reconcile(); errors.Is(err, errBroken) {
				n++
			}
		}
		return n
	}
	if n := tries(time.Minute); n < 10 || n > 12 { // after 0, 50, 150, 350 ms, and so on
		t.Errorf("%d tries in a minute", n)
	}
	obj := w.stored()
	obj.Generation++
	if err := w.api.Update(w.Context(), obj); err != nil {
		t.Fatal(err)
	}
	if n := tries(10 * time.Millisecond); n != 1 {
		t.Errorf("%d tries at once after a change of the spec, want 1", n)
	}
	w.act = nil
	w.pass(LastRetry)
	w.done()
	w.act = errBroken
	w.pass(time.Second)
	if n := tries(100 * time.Millisecond); n != 2 {
		t.Errorf("%d tries in 100 ms after a success, want 2", n)
	}
}

func TestWorkThatGetsOnIsDoneAgainSoonWhateverElseFails(t *testing.T) {
	w := newWorld(t, object())
	w.act = errBroken
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		return Report[*budget]{Object: obj.DeepCopy(), Advanced: true}
	}
	for range 10 {
		if _, err := w.reconcile(); !errors.Is(err, errBroken) {
			t.Fatalf("it was not tried: %v", err)
		}
		w.pass(FirstRetry)
	}
}

func TestFailures(t *testing.T) {
	conflict := apierrors.NewConflict(budgets, "web", errors.New("changed meanwhile"))
	for name, c := range map[string]struct {
		observe, decide, act, refuse error
		wantReported, wantReturned   error
		wantWait                     time.Duration
		wantStatus                   int32
	}{
		"observing fails":              {observe: errBroken, wantReported: errBroken, wantReturned: errBroken, wantStatus: 1},
		"deciding fails":               {decide: errBroken, wantReported: errBroken, wantReturned: errBroken, wantStatus: 1},
		"acting fails":                 {act: errBroken, wantReported: errBroken, wantReturned: errBroken, wantStatus: 1},
		"the first failure counts":     {observe: errBroken, act: conflict, wantReported: errBroken, wantReturned: errBroken, wantStatus: 1},
		"writing the status fails":     {refuse: errBroken, wantReturned: errBroken},
		"a conflict of a write":        {act: fmt.Errorf("patch: %w", conflict), wantReported: conflict, wantWait: unseenPace, wantStatus: 1},
		"a conflict of the status":     {refuse: conflict, wantWait: unseenPace},
		"the object is gone meanwhile": {refuse: apierrors.NewNotFound(budgets, "web")},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, object())
			w.healthy(1)
			w.observe, w.decide, w.act, w.refuse = c.observe, c.decide, c.act, c.refuse
			wait, err := w.reconcile()
			if !errors.Is(w.got, c.wantReported) {
				t.Errorf("reported: %v, want %v", w.got, c.wantReported)
			}
			if !errors.Is(err, c.wantReturned) || wait != c.wantWait {
				t.Errorf("it returned the error %v and waits %v, want %v and %v", err, wait, c.wantReturned, c.wantWait)
			}
			if got := w.stored().Status.CurrentHealthy; got != c.wantStatus {
				t.Errorf("the status is %d, want %d", got, c.wantStatus)
			}
		})
	}
}

func TestItLooksAgainWhenTheWorkAskedForIt(t *testing.T) {
	for name, c := range map[string]struct {
		wake *time.Duration // from now
		want time.Duration
	}{
		"never":               {nil, 0},
		"in a while":          {ptr.To(time.Minute), time.Minute},
		"now":                 {ptr.To(time.Duration(0)), time.Millisecond},
		"it should have been": {ptr.To(-time.Second), time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, object())
			w.report = func(_ *budget, now time.Time, _ error) (r Report[*budget]) {
				if c.wake != nil {
					r.Wake = now.Add(*c.wake)
				}
				return r
			}
			if got := w.done(); got != c.want {
				t.Errorf("it looks again in %v, want %v", got, c.want)
			}
		})
	}
}

func TestAConflictThatDoesNotPassIsMetLessAndLess(t *testing.T) {
	w := newWorld(t, object())
	w.act = apierrors.NewConflict(budgets, "web", errors.New("changed meanwhile"))
	var waits []time.Duration
	for range 8 {
		wait := w.done()
		waits = append(waits, wait)
		w.pass(wait)
	}
	const ms = time.Millisecond
	want := []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 2000 * ms, 2000 * ms}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Errorf("pauses (-want +got):\n%s", diff)
	}
	conflict := w.act
	w.act = nil
	w.done()
	w.act = conflict
	if wait := w.done(); wait != unseenPace {
		t.Errorf("after a success a conflict is followed by a pause of %v, want %v", wait, unseenPace)
	}
}

func TestReconcilesAreSpacedByWhatTheyLookAt(t *testing.T) {
	for name, c := range map[string]struct {
		items int
		want  time.Duration
	}{
		"an empty set reacts at once":           {0, 0},
		"a small set reacts in a millisecond":   {10, time.Millisecond},
		"a large one costs a tenth of the time": {1000, 100 * time.Millisecond},
		"nobody waits longer than a second":     {1_000_000, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, object())
			w.report = func(*budget, time.Time, error) Report[*budget] { return Report[*budget]{Items: c.items} }
			w.done()
			if got := w.done(); got != c.want {
				t.Errorf("the next one waits %v, want %v", got, c.want)
			}
			if c.want == 0 {
				return
			}
			if w.begun != 1 {
				t.Errorf("work was begun %d times without a pause", w.begun)
			}
			w.pass(c.want)
			if w.done(); w.begun != 2 {
				t.Errorf("work was begun %d times after the pause, want 2", w.begun)
			}
		})
	}
}

func TestAnObjectThatIsBeingDeletedIsLeftAlone(t *testing.T) {
	obj := object()
	obj.DeletionTimestamp = &metav1.Time{Time: time.Unix(999_999, 0)}
	obj.Finalizers = []string{"example.com/hold"}
	w := newWorld(t, obj)
	w.healthy(1)
	if wait := w.done(); w.begun != 0 || wait != 0 || len(w.patches) != 0 {
		t.Errorf("work was begun %d times, written %v, waits %v", w.begun, w.patches, wait)
	}
}

func TestItWaitsUntilTheCacheShowsItsOwnWrites(t *testing.T) {
	w := newWorld(t, object())
	w.healthy(1)
	w.cache.version = "1"
	w.done()
	w.pass(time.Hour)
	if wait := w.done(); wait != unseenPace || w.begun != 1 {
		t.Errorf("work was begun %d times, and it looks again in %v; want once and %v", w.begun, wait, unseenPace)
	}
	w.cache.version = newest
	if w.done(); w.begun != 2 {
		t.Errorf("work was begun %d times once the cache had caught up, want 2", w.begun)
	}
}

// doubt notes a write that may have been carried out, and counts how often somebody asks for it while there is no answer.
func (w *world) doubt() (asked *int) {
	meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: "other"}}
	meta.SetGroupVersionKind(policyv1.SchemeGroupVersion.WithKind("PodDisruptionBudget"))
	w.loop.Writes.Doubted(key, "PodDisruptionBudget", meta)
	asked = new(int)
	w.live = interceptor.NewClient(w.api, interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			*asked++
			return errBroken
		},
	})
	return asked
}

func TestNothingIsDecidedWhileTheOutcomeOfAWriteIsUnknown(t *testing.T) {
	w := newWorld(t, object())
	w.doubt()
	wait := w.done()
	if wait == 0 || w.begun != 0 {
		t.Errorf("work was begun %d times, and it asks again in %v", w.begun, wait)
	}
	w.live = w.api
	w.pass(wait)
	if w.done(); w.begun != 1 {
		t.Errorf("work was begun %d times once the outcome was known, want 1", w.begun)
	}
}

func TestEventsDoNotAskForAnAnswerThatIsNotToBeHad(t *testing.T) {
	w := newWorld(t, object())
	asked := w.doubt()
	const events, apart = 6000, 10 * time.Millisecond // a minute
	var longest time.Duration
	for range events {
		longest = max(longest, w.done())
		w.pass(apart)
	}
	if most := int(events * apart / lastLook * 3 / 2); *asked < 2 || *asked > most {
		t.Errorf("it asked %d times in a minute of events, want at most %d", *asked, most)
	}
	if longest > lastLook {
		t.Errorf("an answer could be unheard of for %v, want at most %v", longest, lastLook)
	}
	w.live = w.api
	w.pass(w.done())
	if w.done(); w.begun != 1 {
		t.Errorf("work was begun %d times once the outcome was known, want 1", w.begun)
	}
	// The next doubt begins with short pauses again.
	w.doubt()
	if wait := w.done(); wait != FirstRetry {
		t.Errorf("after an answer it asks again in %v, want %v", wait, FirstRetry)
	}
}

func TestAnotherObjectOfTheSameNameIsNotTakenForTheOneBefore(t *testing.T) {
	w := newWorld(t, object())
	w.act = errBroken
	for range 20 { // long enough for the longest pause
		if _, err := w.reconcile(); err == nil {
			t.Fatal("the work did not fail")
		}
		w.pass(LastRetry)
	}
	begun := w.begun
	if err := w.api.Delete(t.Context(), object()); err != nil {
		t.Fatal(err)
	}
	again := object()
	again.UID = "another"
	if err := w.api.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	w.pass(-LastRetry) // nobody looked while the name was free
	w.act = nil
	if w.done(); w.begun != begun+1 {
		t.Error("the new object waits for the failures of the one before")
	}
}

func TestAnObjectThatIsGoneIsForgotten(t *testing.T) {
	w := newWorld(t, object())
	w.cache.version = "1"
	w.healthy(1)
	w.done()
	if err := w.api.Delete(t.Context(), object()); err != nil {
		t.Fatal(err)
	}
	if wait := w.done(); wait != 0 || w.begun != 1 {
		t.Errorf("work on nothing was begun, or it waits %v", wait)
	}
	if len(w.loop.paces) != 0 {
		t.Errorf("remembered: %v", w.loop.paces)
	}
	again := object()
	again.UID = "another"
	if err := w.api.Create(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	if w.done(); w.begun != 2 || w.stored().Status.CurrentHealthy != 1 {
		t.Errorf("work was begun %d times, the status is %d: another object of the same name waits for the first one's writes",
			w.begun, w.stored().Status.CurrentHealthy)
	}
}
