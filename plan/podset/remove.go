package podset

import (
	"slices"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// remove deletes a pod, or holds it while its preDelete hook does.
func (d *draft) remove(r *replica.Replica, why string, specified, keepClaims bool) {
	if next := d.decided(lifecycle.Remove, r); next != lifecycle.Absent {
		d.step(Step{Do: Move, Pod: r, State: next, Specified: specified, KeepClaims: keepClaims, NotReady: d.rules.NotReadyForDelete, Why: why})
		return
	}
	d.step(Step{Do: Delete, Pod: r, KeepClaims: keepClaims, Why: why})
}

// recreate removes a pod so that one of another revision takes its place.
func (d *draft) recreate(r *replica.Replica, why string, keepClaims bool) {
	d.remove(r, why, true, keepClaims)
	last := &d.plan.Steps[len(d.plan.Steps)-1]
	last.Recreates = last.Do == Delete
}

// deleteDoomed deletes pods that somebody asked to go: those that are not ready at once, the others as the budget lets.
func (d *draft) deleteDoomed() bool {
	return d.deleteWithin(order.Sorted(d.idle.doomed, order.LeastLoss()...), d.toSpare(), "it was asked to be deleted", true)
}

// bury deletes pods that ended and that somebody asked to go. They serve nobody and count for nothing, so nothing but their hook
// keeps them.
func (d *decision) bury() {
	for _, r := range order.Sorted(d.ended) {
		if r.State == lifecycle.PreparingDelete {
			d.idle.leaving = append(d.idle.leaving, r)
			continue
		}
		d.remove(r, "it was asked to be deleted", true, false)
	}
}

// spare is how many pods may be deleted that are available, and that are ready.
type spare struct{ available, ready int }

// toSpare is what maxUnavailable leaves of the pods that serve.
func (d *draft) toSpare() spare {
	floor := d.rules.Replicas - d.rules.MaxUnavailable
	return spare{d.available - floor, d.ready - floor}
}

// deleteWithin deletes the pods in their order. It never takes more of the available pods than there are to spare, nor of
// the ready ones: a pod that is ready and waits for minReadySeconds may serve already. What is not ready is deleted
// freely, and so is what a hook or a label keeps out of service.
func (d *draft) deleteWithin(pods []*replica.Replica, left spare, why string, specified bool) bool {
	waiting := 0
	d.plan.Steps = slices.Grow(d.plan.Steps, len(pods))
	for i, r := range pods {
		mayServe := r.Ready && !r.AvailableAt.IsZero()
		if r.Available && left.available <= 0 || mayServe && left.ready <= 0 {
			waiting = len(pods) - i // those behind serve no less
			break
		}
		left.available -= one(r.Available)
		left.ready -= one(r.Ready)
		d.remove(r, why, specified, false)
	}
	if waiting > 0 {
		taken := pods[:len(pods)-waiting]
		d.note(WishScaleIn, waiting, d.budgetSpent(taken), d.waitsFor(taken, d.rules.Replicas-d.active))
	}
	return waiting < len(pods)
}

// finishLeaving deletes the pods whose preDelete hook let go of them. keepClaims says of the i-th of them whether it leaves
// its claims to a successor.
func (d *draft) finishLeaving(keepClaims func(i int, r *replica.Replica) bool) bool {
	var free, held []*replica.Replica
	for _, r := range d.idle.leaving {
		if d.decided(lifecycle.Remove, r) == lifecycle.Absent {
			free = append(free, r)
		} else {
			held = append(held, r)
		}
	}
	for i, r := range order.Sorted(free) {
		d.step(Step{Do: Delete, Pod: r, KeepClaims: keepClaims(i, r), Why: "its preDelete hook let go"})
	}
	d.noteHeld(held)
	return len(free) > 0
}

// takeBackOne keeps a pod that was to go.
func (d *draft) takeBackOne(r *replica.Replica) {
	d.step(Step{Do: Move, Pod: r, State: d.decided(lifecycle.TakeBack, r), Why: "it is wanted again"})
}

// noteHeld says which pods a preDelete hook holds.
func (d *draft) noteHeld(held []*replica.Replica) {
	if len(held) > 0 {
		d.note(WishScaleIn, len(held), "waiting for the preDelete hook of "+names(held), cause{Cause: CauseHook})
	}
}
