package lifecycle_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
)

// everyFacts are all combinations of facts that a pod can have: a complete hook holds, unless it has no entries.
func everyFacts() (out []lifecycle.Facts) {
	for bits := range 1 << 7 {
		bit := func(i int) bool { return bits>>i&1 == 1 }
		out = append(out, lifecycle.Facts{
			Holds:     lifecycle.Holds{Delete: bit(0), Update: bit(1), UpdateComplete: bit(2), NormalComplete: bit(3)},
			Scheduled: bit(4), OnTarget: bit(5), UpdateDone: bit(6),
		})
	}
	return out
}

func everyEvent() []lifecycle.Event {
	return []lifecycle.Event{lifecycle.ByItself, lifecycle.Create, lifecycle.Update, lifecycle.PutBack, lifecycle.Remove, lifecycle.TakeBack}
}

// everyState are the states of pods, with the one that an unlabelled pod has.
func everyState() []lifecycle.State {
	return []lifecycle.State{lifecycle.None, lifecycle.PreparingNormal, lifecycle.Normal, lifecycle.PreparingUpdate,
		lifecycle.Updating, lifecycle.Updated, lifecycle.PreparingDelete}
}

func TestWhatAPodDoesByItself(t *testing.T) {
	type facts = lifecycle.Facts
	type holds = lifecycle.Holds
	noHooks := holds{UpdateComplete: true, NormalComplete: true}
	for name, test := range map[string]struct {
		from  lifecycle.State
		facts facts
		want  lifecycle.State
	}{
		"a new pod without hooks is normal as soon as it has a node":           {lifecycle.PreparingNormal, facts{Holds: noHooks, Scheduled: true}, lifecycle.Normal},
		"a new pod stays until it has a node":                                  {lifecycle.PreparingNormal, facts{Holds: noHooks, UpdateDone: true, OnTarget: true}, lifecycle.PreparingNormal},
		"a new pod stays until its preNormal hook is complete":                 {lifecycle.PreparingNormal, facts{Holds: holds{UpdateComplete: true}, Scheduled: true}, lifecycle.PreparingNormal},
		"a pod prepared for an update waits for the plan":                      {lifecycle.PreparingUpdate, facts{Holds: noHooks, Scheduled: true, UpdateDone: true}, lifecycle.PreparingUpdate},
		"a prepared pod whose update was rolled back is normal again":          {lifecycle.PreparingUpdate, facts{Holds: noHooks, OnTarget: true, UpdateDone: true}, lifecycle.Normal},
		"rolled back, it waits until its hook is complete again":               {lifecycle.PreparingUpdate, facts{OnTarget: true, UpdateDone: true}, lifecycle.Updated},
		"rolled back with an earlier update under way, it waits for that":      {lifecycle.PreparingUpdate, facts{Holds: noHooks, OnTarget: true}, lifecycle.PreparingUpdate},
		"an update under way goes on":                                          {lifecycle.Updating, facts{Holds: noHooks, OnTarget: true}, lifecycle.Updating},
		"an update that is done makes the pod normal":                          {lifecycle.Updating, facts{Holds: noHooks, OnTarget: true, UpdateDone: true}, lifecycle.Normal},
		"an update that is done waits for its hook":                            {lifecycle.Updating, facts{Holds: holds{NormalComplete: true}, UpdateDone: true}, lifecycle.Updated},
		"an updated pod waits for its hook":                                    {lifecycle.Updated, facts{UpdateDone: true, OnTarget: true}, lifecycle.Updated},
		"an updated pod is normal once its hook is complete":                   {lifecycle.Updated, facts{Holds: noHooks}, lifecycle.Normal},
		"a pod on its way out stays so, whatever its hook does":                {lifecycle.PreparingDelete, facts{Holds: noHooks, Scheduled: true, OnTarget: true, UpdateDone: true}, lifecycle.PreparingDelete},
		"a pod at its work stays so":                                           {lifecycle.Normal, facts{Scheduled: true, OnTarget: true, UpdateDone: true}, lifecycle.Normal},
		"a pod that nobody labelled stays so":                                  {lifecycle.None, facts{Holds: noHooks, Scheduled: true, UpdateDone: true}, lifecycle.None},
		"a state that nobody knows is left alone":                              {"Dreaming", facts{Holds: noHooks, Scheduled: true, OnTarget: true, UpdateDone: true}, "Dreaming"},
		"a pod that is updated before it was ever normal goes on as an update": {lifecycle.Updating, facts{Holds: holds{UpdateComplete: true}, UpdateDone: true}, lifecycle.Normal},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lifecycle.NewMachine().Next(test.from, lifecycle.ByItself, test.facts); got != test.want {
				t.Errorf("from %q the pod goes to %q, want %q", test.from, got, test.want)
			}
		})
	}
}

func TestWhatFollowsADecision(t *testing.T) {
	type facts = lifecycle.Facts
	held, free := facts{Holds: lifecycle.Holds{Delete: true, Update: true}}, facts{Holds: lifecycle.Holds{UpdateComplete: true, NormalComplete: true}}
	done := free
	done.UpdateDone = true
	for name, test := range map[string]struct {
		from  lifecycle.State
		event lifecycle.Event
		facts facts
		want  lifecycle.State
	}{
		"a pod to update waits for its hook":                               {lifecycle.Normal, lifecycle.Update, held, lifecycle.PreparingUpdate},
		"a pod that nobody labelled waits for it, too":                     {lifecycle.None, lifecycle.Update, held, lifecycle.PreparingUpdate},
		"a new revision during an update waits for it, too":                {lifecycle.Updating, lifecycle.Update, held, lifecycle.PreparingUpdate},
		"while the hook holds, the pod waits on":                           {lifecycle.PreparingUpdate, lifecycle.Update, held, lifecycle.PreparingUpdate},
		"once the hook lets go, the update begins":                         {lifecycle.PreparingUpdate, lifecycle.Update, free, lifecycle.Updating},
		"without a hook it begins at once":                                 {lifecycle.Normal, lifecycle.Update, free, lifecycle.Updating},
		"a pod that was never normal is updated, too":                      {lifecycle.PreparingNormal, lifecycle.Update, free, lifecycle.Updating},
		"what is on its way out is not updated":                            {lifecycle.PreparingDelete, lifecycle.Update, free, lifecycle.PreparingDelete},
		"an update that is given up waits until the hook is back":          {lifecycle.PreparingUpdate, lifecycle.PutBack, facts{UpdateDone: true}, lifecycle.Updated},
		"an update that is given up is over where the hook is there":       {lifecycle.PreparingUpdate, lifecycle.PutBack, done, lifecycle.Normal},
		"an update that is given up leaves the one before it to its end":   {lifecycle.PreparingUpdate, lifecycle.PutBack, free, lifecycle.Updating},
		"an update that has begun is not given up":                         {lifecycle.Updating, lifecycle.PutBack, done, lifecycle.Updating},
		"a pod to delete waits for its hook":                               {lifecycle.Normal, lifecycle.Remove, held, lifecycle.PreparingDelete},
		"a pod to delete waits for its hook whatever else it waits for":    {lifecycle.PreparingUpdate, lifecycle.Remove, held, lifecycle.PreparingDelete},
		"a pod that was never normal waits for it, too":                    {lifecycle.PreparingNormal, lifecycle.Remove, held, lifecycle.PreparingDelete},
		"without a hook the pod goes at once":                              {lifecycle.Updated, lifecycle.Remove, free, lifecycle.Absent},
		"while the hook holds, the pod stays":                              {lifecycle.PreparingDelete, lifecycle.Remove, held, lifecycle.PreparingDelete},
		"once the hook lets go, the pod goes":                              {lifecycle.PreparingDelete, lifecycle.Remove, free, lifecycle.Absent},
		"a pod that is wanted again comes into service like a new one":     {lifecycle.PreparingDelete, lifecycle.TakeBack, held, lifecycle.PreparingNormal},
		"a pod that was not to go is not taken back":                       {lifecycle.Updated, lifecycle.TakeBack, free, lifecycle.Updated},
		"a state that nobody knows does not keep a pod from going":         {"Dreaming", lifecycle.Remove, free, lifecycle.Absent},
		"a state that nobody knows does not keep a pod from being renewed": {"Dreaming", lifecycle.Update, free, lifecycle.Updating},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lifecycle.NewMachine().Next(test.from, test.event, test.facts); got != test.want {
				t.Errorf("from %q, when %s, the pod goes to %q, want %q", test.from, test.event, got, test.want)
			}
		})
	}
}

func TestEveryLineOfTheTableIsReached(t *testing.T) {
	table := lifecycle.Transitions()
	reached := make([]bool, len(table))
	for _, s := range append(everyState(), lifecycle.Absent) {
		for _, e := range everyEvent() {
			for _, f := range everyFacts() {
				i := slices.IndexFunc(table, func(line lifecycle.Transition) bool { return line.Applies(s, e, f) })
				if i >= 0 {
					reached[i] = true
				}
			}
		}
	}
	for i, line := range table {
		if !reached[i] {
			t.Errorf("when %s, no facts lead from %s to %s: the lines above take them all", line.On, line.From, line.To)
		}
	}
}

func TestTheMachineComesToRestOnEveryPath(t *testing.T) {
	for _, s := range everyState() {
		for _, e := range everyEvent() {
			for _, f := range everyFacts() {
				at := s
				for range len(everyState()) {
					at = lifecycle.NewMachine().Next(at, e, f)
				}
				if next := lifecycle.NewMachine().Next(at, e, f); next != at {
					t.Errorf("from %q with %+v the pod never rests while %s: %q, then %q", s, f, e, at, next)
				}
			}
		}
	}
}

func TestAPodThatIsOnItsWayOutGoesOrIsTakenBack(t *testing.T) {
	for _, e := range everyEvent() {
		for _, f := range everyFacts() {
			switch next := lifecycle.NewMachine().Next(lifecycle.PreparingDelete, e, f); {
			case next == lifecycle.PreparingDelete:
			case e == lifecycle.Remove && next == lifecycle.Absent && !f.Delete:
			case e == lifecycle.TakeBack && next == lifecycle.PreparingNormal:
			default:
				t.Errorf("when %s, with %+v, it goes to %s", e, f, next)
			}
		}
	}
}

func TestNoPodGoesWhileItsHookHoldsIt(t *testing.T) {
	for _, s := range everyState() {
		for _, e := range everyEvent() {
			for _, f := range everyFacts() {
				next := lifecycle.NewMachine().Next(s, e, f)
				if next == lifecycle.Absent && (f.Delete || e != lifecycle.Remove) {
					t.Errorf("from %q, when %s, with %+v, the pod goes", s, e, f)
				}
			}
		}
	}
}

func TestOnlyNormalAndUnlabelledPodsServe(t *testing.T) {
	var serving []lifecycle.State
	for _, s := range everyState() {
		if lifecycle.Serves(s) {
			serving = append(serving, s)
		}
	}
	if diff := cmp.Diff([]lifecycle.State{lifecycle.None, lifecycle.Normal}, serving); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAPodIsCreatedNormalUnlessItsHookIsToBeWaitedFor(t *testing.T) {
	for want, h := range map[lifecycle.State]lifecycle.Holds{
		lifecycle.Normal:          {NormalComplete: true},
		lifecycle.PreparingNormal: {UpdateComplete: true},
	} {
		if got := lifecycle.First(h); got != want {
			t.Errorf("with %+v: %s, want %s", h, got, want)
		}
	}
}

func TestHoldsOf(t *testing.T) {
	hook := &v1beta1.LifecycleHook{
		LabelsHandler:     map[string]string{"drain": "wanted"},
		FinalizersHandler: []string{"example.com/slb"},
	}
	all := &v1beta1.Lifecycle{PreDelete: hook, InPlaceUpdate: hook, PreNormal: hook}
	for name, test := range map[string]struct {
		hooks      *v1beta1.Lifecycle
		labels     map[string]string
		finalizers []string
		want       lifecycle.Holds
	}{
		"without a life cycle nothing holds":              {want: lifecycle.Holds{UpdateComplete: true, NormalComplete: true}},
		"without hooks nothing holds":                     {hooks: &v1beta1.Lifecycle{}, want: lifecycle.Holds{UpdateComplete: true, NormalComplete: true}},
		"a hook without entries holds nothing":            {hooks: &v1beta1.Lifecycle{InPlaceUpdate: &v1beta1.LifecycleHook{}}, want: lifecycle.Holds{UpdateComplete: true, NormalComplete: true}},
		"a pod without entries is free and incomplete":    {hooks: all, want: lifecycle.Holds{}},
		"a label with another value is no entry":          {hooks: all, labels: map[string]string{"drain": "done"}, want: lifecycle.Holds{}},
		"one entry holds, and does not complete":          {hooks: all, labels: map[string]string{"drain": "wanted"}, want: lifecycle.Holds{Delete: true, Update: true}},
		"a finalizer holds as a label does":               {hooks: all, finalizers: []string{"other", "example.com/slb"}, want: lifecycle.Holds{Delete: true, Update: true}},
		"all entries hold and complete":                   {hooks: all, labels: map[string]string{"drain": "wanted"}, finalizers: []string{"example.com/slb"}, want: lifecycle.Holds{Delete: true, Update: true, UpdateComplete: true, NormalComplete: true}},
		"each hook speaks of itself":                      {hooks: &v1beta1.Lifecycle{PreDelete: hook}, labels: map[string]string{"drain": "wanted"}, want: lifecycle.Holds{Delete: true, UpdateComplete: true, NormalComplete: true}},
		"a label that is empty in the hook must be there": {hooks: &v1beta1.Lifecycle{PreNormal: &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"ok": ""}}}, want: lifecycle.Holds{UpdateComplete: true}},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: test.labels, Finalizers: test.finalizers}}
			if diff := cmp.Diff(test.want, lifecycle.HoldsOf(test.hooks, pod)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhoeverIsBehindAHookPutsItsEntriesOnAndTakesNoOthersOff(t *testing.T) {
	hook := &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"drain": "wanted"}, FinalizersHandler: []string{"example.com/slb"}}
	hooks := &v1beta1.Lifecycle{PreDelete: hook, InPlaceUpdate: hook}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Finalizers: []string{"other"}}}
	for _, on := range []bool{true, true, false, false} {
		lifecycle.Enter(&pod.ObjectMeta, hook, on)
		want := lifecycle.Holds{Delete: on, Update: on, UpdateComplete: on, NormalComplete: true}
		if got := lifecycle.HoldsOf(hooks, pod); got != want || !slices.Contains(pod.Finalizers, "other") {
			t.Errorf("on %v: %+v, finalizers %v", on, got, pod.Finalizers)
		}
	}
	pod.Labels["drain"] = "done" // the value of somebody else
	if lifecycle.Enter(&pod.ObjectMeta, hook, false); pod.Labels["drain"] != "done" {
		t.Errorf("labels %v", pod.Labels)
	}
}

func TestOnlyAHookWithEntriesIsAHook(t *testing.T) {
	for name, test := range map[string]struct {
		hook *v1beta1.LifecycleHook
		want bool
	}{
		"none":             {nil, false},
		"without entries":  {&v1beta1.LifecycleHook{MarkPodNotReady: true}, false},
		"with a label":     {&v1beta1.LifecycleHook{LabelsHandler: map[string]string{"a": "b"}}, true},
		"with a finalizer": {&v1beta1.LifecycleHook{FinalizersHandler: []string{"a"}}, true},
	} {
		if got := lifecycle.Hooked(test.hook); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
