package podset

import (
	"slices"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// remove deletes a pod, or holds it while its preDelete hook does.
func (d *draft) remove(r *replica.Replica, why string, specified, keepClaims bool) {
	if r.Holds.Delete {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingDelete, Specified: specified, NotReady: d.rules.NotReadyForDelete, Why: why})
		return
	}
	d.step(Step{Do: Delete, Pod: r, KeepClaims: keepClaims, Why: why})
}

// deleteDoomed deletes pods that somebody asked to go: those that are not ready at once, the others as the budget lets.
func (d *draft) deleteDoomed() bool {
	return d.deleteWithin(order.Sorted(d.idle.doomed, order.LeastLoss()...), "it was asked to be deleted", true)
}

// deleteWithin deletes the pods in their order. It never takes the available pods below what maxUnavailable leaves, nor
// the ready ones: a pod that is ready and waits for minReadySeconds may serve already. What is not ready is deleted
// freely.
func (d *draft) deleteWithin(pods []*replica.Replica, why string, specified bool) bool {
	floor := d.rules.Replicas - d.rules.MaxUnavailable
	available, ready, waiting := d.available-floor, d.ready-floor, 0
	d.plan.Steps = slices.Grow(d.plan.Steps, len(pods))
	for i, r := range pods {
		if r.Available && available <= 0 || r.Ready && ready <= 0 {
			waiting = len(pods) - i // those behind serve no less
			break
		}
		available -= one(r.Available)
		ready -= one(r.Ready)
		d.remove(r, why, specified, false)
	}
	if waiting > 0 {
		d.note(WishScaleIn, waiting, d.budgetSpent(pods[:len(pods)-waiting]), causeOf(CauseBroken, d.away))
	}
	return waiting < len(pods)
}

// finishLeaving deletes the pods whose preDelete hook let go of them. keepClaims says of the i-th of them whether it leaves
// its claims to a successor.
func (d *draft) finishLeaving(keepClaims func(i int, r *replica.Replica) bool) bool {
	var free, held []*replica.Replica
	for _, r := range d.idle.leaving {
		if r.Holds.Delete {
			held = append(held, r)
		} else {
			free = append(free, r)
		}
	}
	for i, r := range order.Sorted(free) {
		d.step(Step{Do: Delete, Pod: r, KeepClaims: keepClaims(i, r), Why: "its preDelete hook let go"})
	}
	if len(held) > 0 {
		d.note(WishScaleIn, len(held), "waiting for the preDelete hook of "+names(held), cause{Cause: CauseHook})
	}
	return len(free) > 0
}
