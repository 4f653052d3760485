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
	missing := d.expectedScaled - d.scalingPods
	if awaited := first(missing, order.Sorted(d.coming)); len(awaited) > 0 {
		missing -= len(awaited)
		d.note(WishScaleOut, len(awaited), fmt.Sprintf("the volumes are to be used again and are free once %s ended", names(awaited)), cause{Cause: CauseVolume})
	}
	if missing > 0 && d.scaleOut(missing) {
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
	if wanted <= 0 || d.leaving == 0 || d.NotReadyForDelete { // whoever saw the pod go out of service will not expect it back
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
			*d.ScaleLimit, d.whoIsAway(nil, allowed, "being created")), cause{Cause: CauseScaleLimit})
	}
	if allowed == 0 {
		return false
	}
	ofOld := 0
	if d.CurrentRevision != "" && !sameRevision(d.CurrentRevision, d.UpdateRevision) && !d.OnDelete {
		ofOld = min(max(-d.scaledOldDiff, 0), allowed)
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
	for i, r := range order.Sorted(free) {
		// Of a pod that somebody asked to go, an old one goes for its update, and a successor takes its place.
		keep := !d.IsNew(r.Revision) && d.isDoomed(r) && d.active-i <= d.Replicas && d.keepsClaims(r)
		d.step(Step{Do: Delete, Pod: r, KeepClaims: keep, Why: "its preDelete hook let go"})
	}
	if len(held) > 0 {
		d.note(WishScaleIn, len(held), "waiting for the preDelete hook of "+names(held), cause{Cause: CauseHook})
	}
	return len(free) > 0
}

// deleteDoomed deletes pods that somebody asked to go: those that are not ready at once, the others as the budget lets.
func (d *decision) deleteDoomed() bool {
	return d.deleteWithin(order.Sorted(d.idle.doomed, order.LeastLoss()...), "it was asked to be deleted", true)
}

// scaleIn deletes surplus pods: of each revision no more than it has above what the partition wants.
func (d *decision) scaleIn(surplus int) bool {
	quotaOld, quotaNew := max(d.scaledOldDiff, 0), max(d.scaledNewDiff, 0)
	if d.OnDelete { // nothing says how many of which there should be
		quotaOld, quotaNew = surplus, surplus
	}
	old, updated := d.idle.old, d.idle.new
	if d.PreparingUpdateAsUpdate {
		isPreparing := func(r *replica.Replica) bool { return r.State == lifecycle.PreparingUpdate }
		updated = slices.Concat(updated, filter(old, isPreparing))
		old = filter(old, func(r *replica.Replica) bool { return !isPreparing(r) })
	}
	by := order.LeastLossSpread(d.crowded(slices.Concat(old, updated)))
	candidates := first(quotaOld, order.Sorted(old, by...))
	if ofNew := first(quotaNew, order.Sorted(updated, by...)); len(ofNew) > 0 {
		candidates = order.Sorted(slices.Concat(candidates, ofNew), by...)
	}
	candidates = first(surplus, candidates)
	return d.deleteWithin(candidates, fmt.Sprintf("%d pods exist, %d wanted", d.old+d.new, d.expectedScaled), false)
}

func (d *decision) crowded(pods []*replica.Replica) order.By {
	if d.Crowded == nil {
		return order.Crowded(pods)
	}
	return d.Crowded(pods)
}

func first(n int, pods []*replica.Replica) []*replica.Replica {
	return pods[:max(min(n, len(pods)), 0)]
}

func filter(pods []*replica.Replica, keep func(*replica.Replica) bool) []*replica.Replica {
	return slices.DeleteFunc(slices.Clone(pods), func(r *replica.Replica) bool { return !keep(r) })
}

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
		d.remove(r, why, specified, false)
	}
	if waiting > 0 {
		d.note(WishScaleIn, waiting, d.budgetSpent(pods[:len(pods)-waiting]), causeOf(CauseBroken, d.away))
	}
	return waiting < len(pods)
}

// remove deletes a pod, or holds it while its preDelete hook does.
func (d *decision) remove(r *replica.Replica, why string, specified, keepClaims bool) {
	if r.Holds.Delete {
		d.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingDelete, Specified: specified, NotReady: d.NotReadyForDelete, Why: why})
		return
	}
	d.step(Step{Do: Delete, Pod: r, KeepClaims: keepClaims, Why: why})
}

// keepsClaims says whether the successor of a pod that is recreated is to have its claims. A surge pod runs beside the old
// one, so it has its own.
func (d *decision) keepsClaims(r *replica.Replica) bool {
	return d.surge == 0 && d.KeepsClaims != nil && d.KeepsClaims(r.Slot)
}
