// Package lifecycle decides which state of its life cycle a pod is in next.
//
// The whole machine is the table Transitions, from the creation of a pod to its deletion: what a pod does by itself, and what
// follows when the plan of its workload decides something about it. It is what the code runs, what the documentation prints
// and what the tests walk. A pod outside Normal does not count as available; a workload without hooks passes through
// Updating only.
package lifecycle

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// State is a state of a pod, as in the label lifecycle.apps.kruise.io/state. The empty state is that of a pod that nobody
// labelled yet; it counts as Normal.
type State = v1beta1.LifecycleStateType

// The states, under short names.
const (
	None            State = ""
	PreparingNormal       = v1beta1.LifecycleStatePreparingNormal
	Normal                = v1beta1.LifecycleStateNormal
	PreparingUpdate       = v1beta1.LifecycleStatePreparingUpdate
	Updating              = v1beta1.LifecycleStateUpdating
	Updated               = v1beta1.LifecycleStateUpdated
	PreparingDelete       = v1beta1.LifecycleStatePreparingDelete
)

// What stands in the table beside the states that a label may hold.
const (
	// Absent is before a pod is created, and after it is deleted.
	Absent State = "Absent"
	// Any is every state of a pod but PreparingDelete, which pods leave by lines of its own: what is on its way out is not
	// updated.
	Any State = "Any"
)

// Serves says whether a pod in the state may count as available.
func Serves(s State) bool { return s == None || s == Normal }

// Holds says which entries of which hooks a pod carries. Where no hook is set nothing holds, and all is complete.
type Holds struct {
	// Delete is true while an entry of preDelete is on the pod.
	Delete bool
	// Update is true while an entry of inPlaceUpdate is on the pod.
	Update bool
	// UpdateComplete is true when every entry of inPlaceUpdate is on the pod.
	UpdateComplete bool
	// NormalComplete is true when every entry of preNormal is on the pod.
	NormalComplete bool
}

// First is the state that a pod is created in: Normal, unless a preNormal hook is to be waited for.
func First(h Holds) State {
	return NewMachine().Next(Absent, Create, Facts{Holds: h})
}

// HoldsOf reads from a pod which hooks hold it. A nil life cycle has no hooks.
func HoldsOf(hooks *v1beta1.Lifecycle, pod *corev1.Pod) Holds {
	if hooks == nil {
		return Holds{UpdateComplete: true, NormalComplete: true}
	}
	del, _ := entries(hooks.PreDelete, pod)
	upd, updAll := entries(hooks.InPlaceUpdate, pod)
	_, normalAll := entries(hooks.PreNormal, pod)
	return Holds{Delete: del, Update: upd, UpdateComplete: updAll, NormalComplete: normalAll}
}

// Hooked says whether a hook has entries; one without holds nothing.
func Hooked(hook *v1beta1.LifecycleHook) bool {
	return hook != nil && len(hook.LabelsHandler)+len(hook.FinalizersHandler) > 0
}

// entries says whether any and whether all entries of a hook are on a pod.
func entries(hook *v1beta1.LifecycleHook, pod *corev1.Pod) (anyOf, allOf bool) {
	allOf = true
	if hook == nil {
		return false, true
	}
	for key, value := range hook.LabelsHandler {
		got, present := pod.Labels[key]
		present = present && got == value
		anyOf, allOf = anyOf || present, allOf && present
	}
	for _, name := range hook.FinalizersHandler {
		present := slices.Contains(pod.Finalizers, name)
		anyOf, allOf = anyOf || present, allOf && present
	}
	return anyOf, allOf
}

// Enter puts all entries of a hook on an object, or takes them off, as whoever is behind the hook does.
func Enter(m *metav1.ObjectMeta, hook *v1beta1.LifecycleHook, on bool) {
	m.Finalizers = slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return slices.Contains(hook.FinalizersHandler, f) })
	if on {
		if m.Labels == nil {
			m.Labels = map[string]string{}
		}
		maps.Copy(m.Labels, hook.LabelsHandler)
		m.Finalizers = append(m.Finalizers, hook.FinalizersHandler...)
		return
	}
	for key, value := range hook.LabelsHandler {
		if m.Labels[key] == value {
			delete(m.Labels, key)
		}
	}
}

// Facts are what the next state depends on.
type Facts struct {
	Holds
	// Scheduled is true once the pod has a node. A pod stays in PreparingNormal until then, so that no label of ours
	// races with the scheduler's first write.
	Scheduled bool
	// OnTarget is true when the pod carries the revision that it should have.
	OnTarget bool
	// UpdateDone is true when no update in place is under way, or kubelet has carried out the one that was.
	UpdateDone bool
}

// Event is what happens to a pod.
type Event uint8

// The events. What does not happen by itself is decided by the plan of the workload, for the sake of a budget or of what a
// user wishes.
const (
	// ByItself: time passes, and nothing is decided about the pod.
	ByItself Event = iota
	// Create: the pod is created.
	Create
	// Update: it is its turn to be updated in place.
	Update
	// PutBack: its update is not wanted any more, since it is paused, the partition keeps the pod, or the policy refuses it.
	PutBack
	// Remove: it is to be deleted.
	Remove
	// TakeBack: it was to be deleted as one too many, and is wanted again.
	TakeBack
)

// String says in words what happens.
func (e Event) String() string {
	switch e {
	case Create:
		return "it is created"
	case Update:
		return "it is its turn to be updated in place"
	case PutBack:
		return "its update is not wanted any more: paused, kept by the partition, or refused"
	case Remove:
		return "it is to be deleted"
	case TakeBack:
		return "it was one too many, and is wanted again"
	default:
		return "time passes"
	}
}

// Transition is one line of the table: in state From, when the event happens and the facts match, the pod moves to To.
type Transition struct {
	On   Event
	From State
	To   State
	// When says the condition in words, for the documentation.
	When string
	// Match is the condition; nil for none.
	Match func(Facts) bool
}

// Transitions returns the table of all moves of a pod. Of the lines of an event the first one that applies wins; where none
// does, the pod stays.
func Transitions() []Transition {
	return []Transition{
		{ByItself, PreparingNormal, Normal, "scheduled, and every preNormal entry is on the pod",
			func(f Facts) bool { return f.Scheduled && f.NormalComplete }},
		{ByItself, PreparingUpdate, Normal, "already on the wanted revision, update done, and every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.OnTarget && f.UpdateDone && f.UpdateComplete }},
		{ByItself, PreparingUpdate, Updated, "already on the wanted revision, and update done",
			func(f Facts) bool { return f.OnTarget && f.UpdateDone }},
		{ByItself, Updating, Normal, "update done, and every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.UpdateDone && f.UpdateComplete }},
		{ByItself, Updating, Updated, "update done",
			func(f Facts) bool { return f.UpdateDone }},
		{ByItself, Updated, Normal, "every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.UpdateComplete }},

		{Create, Absent, Normal, "every preNormal entry is on the pod",
			func(f Facts) bool { return f.NormalComplete }},
		{Create, Absent, PreparingNormal, "otherwise", nil},

		{Update, Any, PreparingUpdate, "an inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.Update }},
		{Update, Any, Updating, "otherwise", nil},
		{PutBack, PreparingUpdate, Normal, "no earlier update is under way, and every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.UpdateDone && f.UpdateComplete }},
		{PutBack, PreparingUpdate, Updated, "no earlier update is under way",
			func(f Facts) bool { return f.UpdateDone }},
		{PutBack, PreparingUpdate, Updating, "otherwise", nil},

		{Remove, Any, PreparingDelete, "a preDelete entry is on the pod",
			func(f Facts) bool { return f.Delete }},
		{Remove, Any, Absent, "otherwise", nil},
		{Remove, PreparingDelete, Absent, "no preDelete entry is left on the pod",
			func(f Facts) bool { return !f.Delete }},
		{TakeBack, PreparingDelete, PreparingNormal, "always", nil},
	}
}

// Applies says whether the line is one for a pod in a state to which something happens.
func (t *Transition) Applies(s State, e Event, f Facts) bool {
	return t.On == e && t.leaves(s) && t.holds(f)
}

// leaves says whether the line is one for pods in a state.
func (t *Transition) leaves(s State) bool {
	return t.From == s || t.From == Any && s != PreparingDelete && s != Absent
}

// holds says whether the facts match.
func (t *Transition) holds(f Facts) bool { return t.Match == nil || t.Match(f) }

// Machine runs the table.
type Machine struct {
	// lines are those of each event: hardly any pod of a large set has another one than that time passes.
	lines [TakeBack + 1][]Transition
}

// NewMachine makes a machine that runs Transitions.
func NewMachine() *Machine {
	m := &Machine{}
	for _, t := range Transitions() {
		m.lines[t.On] = append(m.lines[t.On], t)
	}
	return m
}

// Next returns the state that follows when something happens to a pod, which is the same one when the pod stays.
func (m *Machine) Next(s State, e Event, f Facts) State {
	for i := range m.lines[e] {
		if t := &m.lines[e][i]; t.leaves(s) && t.holds(f) {
			return t.To
		}
	}
	return s
}
