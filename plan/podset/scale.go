package podset

import (
	"fmt"
	"slices"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// scale adds and removes pods and says whether it did: take back, scale out, finish deletions, delete doomed pods, scale
// in. Adding pods ends it. Plain scale-in waits until no doomed pod is left, since each of them makes room.
func (d *decision) scale() bool {
	acted := d.takeBack()
	if missing := d.expectedScaled - d.scalingPods; missing > 0 && d.scaleOut(missing) {
		return true
	}
	acted = d.finishLeaving() || acted
	acted = d.deleteDoomed() || acted
	if surplus := d.old + d.new - d.expectedScaled; surplus > 0 && d.doomed == 0 {
		acted = d.scaleIn(surplus) || acted
	}
	return acted
}

// takeBack keeps pods that were preparing to go because of an earlier scale-in, when they are wanted again.
func (d *decision) takeBack() bool {
	wanted := d.expectedScaled - (d.active - d.leaving)
	if wanted <= 0 || d.leaving == 0 {
		return false
	}
	var doomed, candidates []*replica.Replica
	for _, r := range d.idle.leaving {
		if d.isDoomed(r) {
			doomed = append(doomed, r)
		} else {
			candidates = append(candidates, r)
		}
	}
	candidates = order.Sorted(candidates, order.LeastLoss()...)
	slices.Reverse(candidates)
	n := min(wanted, len(candidates))
	for _, r := range candidates[:n] {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingNormal, Why: "it is wanted again"})
	}
	d.idle.leaving = slices.Concat(doomed, candidates[n:])
	if d.ExcludePreparingDelete {
		d.scalingPods += n
	}
	return n > 0
}

// scaleOut creates pods: of the current revision as many as the partition lacks, the rest of the newest.
func (d *decision) scaleOut(missing int) bool {
	allowed := missing
	if d.ScaleLimit != nil {
		allowed = min(allowed, max(*d.ScaleLimit-d.totalAway, 0))
	}
	if allowed < missing {
		d.note(WishScaleOut, missing-allowed, fmt.Sprintf("scaleStrategy.maxUnavailable is %d%s",
			*d.ScaleLimit, d.whoIsAway(nil, allowed, "being created")))
	}
	if allowed == 0 {
		return false
	}
	ofOld := 0
	if d.CurrentRevision != "" && !sameRevision(d.CurrentRevision, d.UpdateRevision) && !d.OnDelete {
		ofOld = min(max(-d.oldDiff, 0), allowed)
	}
	why := fmt.Sprintf("%d of %d wanted pods exist", d.scalingPods, d.expectedScaled)
	d.plan.Steps = slices.Grow(d.plan.Steps, allowed)
	for i, slot := range d.FreshSlots(allowed) {
		to := d.UpdateRevision
		if i < ofOld {
			to = d.CurrentRevision
		}
		d.step(Step{Do: Create, Slot: slot, To: to, Why: why})
	}
	return true
}

// finishLeaving deletes the pods whose preDelete hook let go of them.
func (d *decision) finishLeaving() bool {
	var free, held []*replica.Replica
	for _, r := range d.idle.leaving {
		if r.Holds.Delete {
			held = append(held, r)
		} else {
			free = append(free, r)
		}
	}
	for _, r := range order.Sorted(free) {
		d.step(Step{Do: Delete, Pod: r, Why: "its preDelete hook let go"})
	}
	if len(held) > 0 {
		d.note(WishScaleIn, len(held), "waiting for the preDelete hook of "+names(held))
	}
	return len(free) > 0
}

// deleteDoomed deletes pods that somebody asked to go: those that are not ready at once, the others as the budget lets.
func (d *decision) deleteDoomed() bool {
	return d.deleteWithin(order.Sorted(d.idle.doomed, order.LeastLoss()...), "it was asked to be deleted", true)
}

// scaleIn deletes surplus pods: of each revision no more than it has above what the partition wants.
func (d *decision) scaleIn(surplus int) bool {
	quotaOld, quotaNew := max(d.oldDiff, 0), max(d.newDiff, 0)
	if d.OnDelete { // nothing says how many of which there should be
		quotaOld, quotaNew = surplus, surplus
	}
	by := order.LeastLossSpread(slices.Concat(d.idle.old, d.idle.new))
	candidates := first(quotaOld, order.Sorted(d.idle.old, by...))
	if ofNew := first(quotaNew, order.Sorted(d.idle.new, by...)); len(ofNew) > 0 {
		candidates = order.Sorted(slices.Concat(candidates, ofNew), by...)
	}
	candidates = first(surplus, candidates)
	return d.deleteWithin(candidates, fmt.Sprintf("%d pods exist, %d wanted", d.old+d.new, d.expectedScaled), false)
}

func first(n int, pods []*replica.Replica) []*replica.Replica { return pods[:min(n, len(pods))] }

// deleteWithin deletes the pods in their order. It never takes the available pods below what maxUnavailable leaves, nor
// the ready ones: a pod that is ready and waits for minReadySeconds may serve already. What is not ready is deleted
// freely.
func (d *decision) deleteWithin(pods []*replica.Replica, why string, specified bool) bool {
	floor := d.Replicas - d.MaxUnavailable
	available, ready, waiting := d.available-floor, d.ready-floor, 0
	d.plan.Steps = slices.Grow(d.plan.Steps, len(pods))
	for i, r := range pods {
		if r.Available && available <= 0 || r.Ready && ready <= 0 {
			waiting = len(pods) - i // those behind serve no less
			break
		}
		available -= one(r.Available)
		ready -= one(r.Ready)
		d.remove(r, why, specified)
	}
	if waiting > 0 {
		d.note(WishScaleIn, waiting, d.budgetSpent(pods[:len(pods)-waiting]))
	}
	return waiting < len(pods)
}

// remove deletes a pod, or holds it while its preDelete hook does.
func (d *decision) remove(r *replica.Replica, why string, specified bool) {
	if r.Holds.Delete {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingDelete, Specified: specified, Why: why})
		return
	}
	d.step(Step{Do: Delete, Pod: r, Why: why})
}
