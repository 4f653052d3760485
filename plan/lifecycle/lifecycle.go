// Package lifecycle decides which state of its life cycle a pod is in next.
//
// The whole machine is the table Transitions: it is what the code runs, what the documentation prints and what the tests
// walk. A pod outside Normal does not count as available; a workload without hooks passes through Updating only.
package lifecycle

import (
	"slices"

	corev1 "k8s.io/api/core/v1"

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
	if h.NormalComplete {
		return Normal
	}
	return PreparingNormal
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

// Transition is one line of the table: in state From, when the facts match, the pod moves to To.
type Transition struct {
	From State
	To   State
	// When says the condition in words, for the documentation.
	When string
	// Match is the condition.
	Match func(Facts) bool
}

// Transitions returns the table of all moves that a pod makes by itself. Moves that a budget or a user's wish
// decides (to PreparingUpdate, Updating and PreparingDelete, and back from there) are made by the workload's plan.
// The first line that matches wins.
func Transitions() []Transition {
	return []Transition{
		{PreparingNormal, Normal, "scheduled, and every preNormal entry is on the pod",
			func(f Facts) bool { return f.Scheduled && f.NormalComplete }},
		{PreparingUpdate, Normal, "already on the wanted revision, update done, and every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.OnTarget && f.UpdateDone && f.UpdateComplete }},
		{PreparingUpdate, Updated, "already on the wanted revision, and update done",
			func(f Facts) bool { return f.OnTarget && f.UpdateDone }},
		{Updating, Normal, "update done, and every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.UpdateDone && f.UpdateComplete }},
		{Updating, Updated, "update done",
			func(f Facts) bool { return f.UpdateDone }},
		{Updated, Normal, "every inPlaceUpdate entry is on the pod",
			func(f Facts) bool { return f.UpdateComplete }},
	}
}

// Machine runs the table.
type Machine struct{ table []Transition }

// NewMachine makes a machine that runs Transitions.
func NewMachine() Machine { return Machine{Transitions()} }

// Next returns the state that follows, which is the same one when the pod stays.
func (m Machine) Next(s State, f Facts) State {
	for _, t := range m.table {
		if t.From == s && t.Match(f) {
			return t.To
		}
	}
	return s
}
