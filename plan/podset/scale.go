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
	if surplus := len(d.pods) - d.leaving - d.doomed - d.expectedScaled; surplus > 0 && d.doomed == 0 {
		acted = d.scaleIn(surplus) || acted
	}
	return acted
}

// takeBack keeps pods that were preparing to go because of an earlier scale-in, when they are wanted again.
func (d *decision) takeBack() bool {
	wanted := d.expectedScaled - (len(d.pods) - d.leaving)
	if wanted <= 0 || d.leaving == 0 {
		return false
	}
	var candidates []*replica.Replica
	for _, r := range d.pods {
		if r.State == lifecycle.PreparingDelete && !d.isDoomed(r) {
			candidates = append(candidates, r)
		}
	}
	candidates = order.Sorted(candidates, order.LeastLoss()...)
	slices.Reverse(candidates)
	for _, r := range candidates[:min(wanted, len(candidates))] {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingNormal, Why: "it is wanted again"})
		if d.ExcludePreparingDelete {
			d.scalingPods++
		}
	}
	return len(candidates) > 0
}

// scaleOut creates pods: of the current revision as many as the partition lacks, the rest of the newest.
func (d *decision) scaleOut(missing int) bool {
	allowed := missing
	if d.ScaleLimit != nil {
		allowed = min(allowed, max(*d.ScaleLimit-d.totalAway, 0))
	}
	if allowed < missing {
		d.note(WishScaleOut, missing-allowed, fmt.Sprintf("scaleStrategy.maxUnavailable is %d and %s",
			*d.ScaleLimit, d.whoIsAway()))
	}
	ofOld := 0
	if d.CurrentRevision != "" && !sameRevision(d.CurrentRevision, d.UpdateRevision) && !d.OnDelete {
		ofOld = min(max(-d.oldDiff, 0), allowed)
	}
	why := fmt.Sprintf("%d of %d wanted pods exist", d.scalingPods, d.expectedScaled)
	for i, slot := range d.FreshSlots(allowed) {
		to := d.UpdateRevision
		if i < ofOld {
			to = d.CurrentRevision
		}
		d.step(Step{Do: Create, Slot: slot, To: to, Why: why})
	}
	return allowed > 0
}

// finishLeaving deletes the pods whose preDelete hook let go of them.
func (d *decision) finishLeaving() bool {
	var free, waiting []*replica.Replica
	for _, r := range d.pods {
		switch {
		case r.State != lifecycle.PreparingDelete || d.moving[r]:
		case r.Holds.Delete:
			waiting = append(waiting, r)
		default:
			free = append(free, r)
		}
	}
	for _, r := range order.Sorted(free) {
		d.step(Step{Do: Delete, Pod: r, Why: "its preDelete hook let go"})
	}
	if len(waiting) > 0 {
		d.note(WishScaleIn, len(waiting), "waiting for the preDelete hook of "+names(waiting))
	}
	return len(free) > 0
}

// deleteDoomed deletes pods that somebody asked to go: those that are not ready at once, the others as the budget lets.
func (d *decision) deleteDoomed() bool {
	var doomed []*replica.Replica
	for _, r := range d.pods {
		if d.isDoomed(r) && r.State != lifecycle.PreparingDelete && !d.moving[r] {
			doomed = append(doomed, r)
		}
	}
	return d.deleteWithin(order.Sorted(doomed, order.LeastLoss()...), len(doomed), "it was asked to be deleted", true)
}

// scaleIn deletes surplus pods: of each revision no more than it has above what the partition wants.
func (d *decision) scaleIn(surplus int) bool {
	quotaOld, quotaNew := max(d.oldDiff, 0), max(d.newDiff, 0)
	if d.OnDelete { // nothing says how many of which there should be
		quotaOld, quotaNew = surplus, surplus
	}
	var candidates []*replica.Replica
	for _, r := range order.Sorted(d.unmoved(), order.LeastLoss()...) {
		quota := &quotaOld
		if d.IsNew(r.Revision) {
			quota = &quotaNew
		}
		if *quota > 0 && r.State != lifecycle.PreparingDelete && !d.isDoomed(r) {
			*quota--
			candidates = append(candidates, r)
		}
	}
	why := fmt.Sprintf("%d pods exist and %d are wanted", len(d.pods)-d.leaving, d.expectedScaled)
	return d.deleteWithin(candidates, surplus, why, false)
}

func (d *decision) unmoved() []*replica.Replica {
	return slices.DeleteFunc(slices.Clone(d.pods), func(r *replica.Replica) bool { return d.moving[r] })
}

// deleteWithin deletes up to n of the pods in their order. It never takes the available pods below what maxUnavailable
// leaves, nor the ready ones: a pod that is ready and waits for minReadySeconds may serve already. What is not ready is
// deleted freely.
func (d *decision) deleteWithin(pods []*replica.Replica, n int, why string, specified bool) (deleted bool) {
	floor := d.Replicas - d.MaxUnavailable
	available, ready, waiting := d.available-floor, d.ready-floor, 0
	for _, r := range pods {
		if n == 0 {
			break
		}
		if r.Available && available <= 0 || r.Ready && ready <= 0 {
			waiting++
			continue
		}
		available -= one(r.Available)
		ready -= one(r.Ready)
		n--
		deleted = true
		d.remove(r, why, specified)
	}
	if waiting = min(waiting, n); waiting > 0 {
		d.note(WishScaleIn, waiting, d.budgetSpent())
	}
	return deleted
}

// remove deletes a pod, or holds it while its preDelete hook does.
func (d *decision) remove(r *replica.Replica, why string, specified bool) {
	if r.Holds.Delete {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingDelete, Specified: specified, Why: why})
		return
	}
	d.step(Step{Do: Delete, Pod: r, Why: why})
}
