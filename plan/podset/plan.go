// Package podset decides which pods of a workload to create, delete and update next. Pool decides about pods that are all
// alike, Sequence about pods with ordinals, PerNode about pods that are one for each node, and Sidecars about containers in
// pods that belong to others. All are put together from the same bricks (draft).
//
// A decision is made from facts alone: what is wanted, what the pods are, and the time. It returns the steps that may be
// taken now, each with its reason, and a note for everything that is wanted and makes no step. The same facts give the
// same decision, in whatever order the pods come. Steps stand in the order in which they should be taken; leaving out the
// last of them loses nothing, since the next decision finds them again.
//
// What it promises of its own steps: never more pods unavailable than maxUnavailable (pods that are unavailable anyway may
// be changed freely, unless that many of the newest revision are broken already); never more pods than replicas and
// maxSurge, and never two at one ordinal; the partition holds; a paused rollout stops, while scaling and healing go on; pods
// with ordinals keep their order; a pod that is broken does not keep itself from being repaired.
package podset

import (
	"time"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// Do is what a step does.
type Do string

// What steps do.
const (
	// Create creates a pod of revision To for Slot.
	Create Do = "Create"
	// Delete deletes a pod.
	Delete Do = "Delete"
	// Move writes a pod's life-cycle state and nothing else: to PreparingDelete, PreparingUpdate, or back.
	Move Do = "Move"
	// Update begins to change a pod in place to revision To.
	Update Do = "Update"
	// Apply goes on with an update in place: after its grace period, or with the next batch of containers.
	Apply Do = "Apply"
	// Expand lets the claims of a pod grow to the size of their templates.
	Expand Do = "Expand"
	// Settle moves a pod on in its life cycle and puts it into service.
	Settle Do = "Settle"
	// Restore gives a pod back what its ordinal gave it and somebody took: labels, and claims that it waits for.
	Restore Do = "Restore"
)

// Step is one thing to do.
type Step struct {
	Do Do
	// Slot is the instance id of the pod to create, or its ordinal.
	Slot string
	// Name is the name of the pod to create where its slot does not say it.
	Name string
	// Pod is the pod that the step is about; nil for Create.
	Pod *replica.Replica
	// To is the revision that the step leads to, for Create and Update.
	To string
	// State is the life-cycle state that the step leads to, for Move and Settle.
	State lifecycle.State
	// Specified marks a pod that is to be deleted for good once its hook lets go, whatever becomes of replicas.
	Specified bool
	// NotReady keeps the pod out of service from this step on, where it has the readiness gate for that, for Move.
	NotReady bool
	// KeepClaims leaves the claims of the pod to its successor, for Delete. A Move to PreparingDelete writes it down on the pod.
	KeepClaims bool
	// Recreates marks a pod that goes for its update, and whose successor has another revision, for Delete.
	Recreates bool
	// Why says in a few words what the step is for.
	Why string
}

// Tally holds the counts for the status.
type Tally struct {
	Replicas         int
	Ready            int
	Available        int
	Updated          int
	UpdatedReady     int
	UpdatedAvailable int
	ExpectedUpdated  int
	// Desired and Misscheduled are of sets with a pod for each node: the nodes that are to have one, and those that have one
	// and are not to. All other counts are then of nodes among the first.
	Desired, Misscheduled int
	// Excluded are the nodes among them whose old pod stays, since the selector of nodes leaves the node out.
	Excluded int
	// Current counts those of the revision before the newest one, and Ending those that end or have ended, which are not among
	// Replicas. Only a Sequence fills them in.
	Current, Ending int
}

// KeptBySelector says whether it is the selector of nodes, and not the partition, that keeps pods on an old revision.
func (t Tally) KeptBySelector() bool {
	return t.Excluded > 0 && t.Excluded == t.Desired-t.ExpectedUpdated
}

// Wish names what a note is about.
type Wish string

// The wishes.
const (
	WishScaleOut  Wish = "scale out"
	WishScaleIn   Wish = "scale in"
	WishUpdate    Wish = "update"
	WishAvailable Wish = "become available"
	WishResize    Wish = "be resized"
	WishGrow      Wish = "have larger claims"
	WishInject    Wish = "be injected"
)

// Cause is a sort of reason that does not pass by itself, but by what somebody does.
type Cause string

// The causes.
const (
	// CausePaused: the user paused the update.
	CausePaused Cause = "Paused"
	// CauseOnDelete: pods are updated when they are deleted.
	CauseOnDelete Cause = "OnDelete"
	// CauseHook: a hook holds pods.
	CauseHook Cause = "Hook"
	// CauseNotInPlace: the change cannot be made in place, and pods are not to be recreated.
	CauseNotInPlace Cause = "NotInPlace"
	// CauseScaleLimit: scaleStrategy.maxUnavailable is spent.
	CauseScaleLimit Cause = "ScaleLimit"
	// CauseVolume: a pod must end before another one can have its volumes.
	CauseVolume Cause = "Volume"
	// CauseName: a name must be free before a pod can have it.
	CauseName Cause = "Name"
	// CauseOrder: pods are created and deleted one after the other.
	CauseOrder Cause = "Order"
	// CauseClaims: claims do not grow.
	CauseClaims Cause = "Claims"
	// CauseRestart: a pod has to start anew, which nobody is asked to do for it.
	CauseRestart Cause = "Restart"
	// CauseBroken: pods are broken, as kubelet says.
	CauseBroken Cause = "Broken"
	// CauseNode: nodes take no new pods.
	CauseNode Cause = "Node"
	// CauseBudget: a budget of the pods lets no more of them become unavailable.
	CauseBudget Cause = "Budget"
	// CauseResize: kubelet puts a resize off, or refuses it.
	CauseResize Cause = "Resize"
	// CauseNotUpdate: running pods are not to be updated at all.
	CauseNotUpdate Cause = "NotUpdate"
	// CauseMissed: nobody injected sidecars when pods were created.
	CauseMissed Cause = "Missed"
	// CauseNotUpgradable: sidecars of running pods cannot be changed in this way.
	CauseNotUpgradable Cause = "NotUpgradable"
)

// Note says why something wanted makes no step.
type Note struct {
	// Wish is what is wanted.
	Wish Wish
	// Pods is how many pods the wish is about.
	Pods int
	// Because is the reason: a sentence's second half, stable as long as the reason is.
	Because string
	// Cause is the sort of reason; empty for one that passes by itself.
	Cause Cause
	// Trouble is what kubelet says of the first pod that is broken, for CauseBroken.
	Trouble string
	// Behind is how many steps of the plan it waits for, where it waits for nothing else.
	Behind int
	// Told is true when another note of the plan names these pods already.
	Told bool
}

// Plan is a decision.
type Plan struct {
	// Steps may be taken now, in this order. None relies on another: any of them may be left out.
	Steps []Step
	// Wake is when to decide again even if nothing happens; zero for never.
	Wake time.Time
	// Tally counts the pods as they are, before the steps.
	Tally Tally
	// Notes say what is wanted and not done, and why.
	Notes []Note
	// Scaling is true when the steps add or remove pods.
	Scaling bool
}

// wakeAt makes sure that the next decision is made at t or earlier.
func (p *Plan) wakeAt(t time.Time) {
	if p.Wake.IsZero() || t.Before(p.Wake) {
		p.Wake = t
	}
}

// Hold notes that steps of the plan are not taken, for a reason outside of it, and that it is worth trying again at a time.
func (p *Plan) Hold(steps []Step, because string, again time.Time) {
	held := map[Wish]int{}
	for _, s := range steps {
		if s.Do == Delete && !s.Recreates || s.Do == Move && s.State == lifecycle.PreparingDelete {
			held[WishScaleIn]++
		} else {
			held[WishUpdate]++
		}
	}
	for _, wish := range []Wish{WishScaleIn, WishUpdate} {
		if held[wish] > 0 {
			p.Notes = append(p.Notes, Note{Wish: wish, Pods: held[wish], Because: because, Cause: CauseBudget})
		}
	}
	p.wakeAt(again)
}
