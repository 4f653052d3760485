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
		d.plan.Scaling = true
		d.noteGoing()
		return true
	}
	acted = d.finishLeaving(func(i int, r *replica.Replica) bool {
		// A pod that went for its update has a successor, unless there are too many, or the user asked for its deletion since.
		return r.LeavesClaims && !d.Doomed[r.Name] && d.active-i <= d.Replicas && d.keepsClaims(r, d.target())
	}) || acted
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
		d.takeBackOne(r)
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
	create := func(n int, to string) {
		for _, slot := range d.FreshSlots(n, to) {
			d.step(Step{Do: Create, Slot: slot, To: to, Why: why})
		}
	}
	create(ofOld, d.CurrentRevision)
	create(allowed-ofOld, d.UpdateRevision)
	return true
}

// noteGoing says why pods that are to go stay while others are created.
func (d *decision) noteGoing() {
	held := filter(d.idle.leaving, func(r *replica.Replica) bool { return r.Holds.Delete })
	d.noteHeld(held)
	going := len(d.idle.leaving) - len(held) + len(d.idle.doomed)
	if going == 0 {
		return
	}
	because, why := others, cause{}
	serves := func(r *replica.Replica) bool { return r.Ready }
	if d.toSpare().available <= 0 && len(filter(d.idle.doomed, serves)) == going {
		because, why = d.budgetSpent(nil), causeOf(CauseBroken, d.away)
	}
	d.note(WishScaleIn, going, because, why)
}

// scaleIn deletes surplus pods: of each revision no more than it has above what the partition wants.
func (d *decision) scaleIn(surplus int) bool {
	quotaOld, quotaNew := max(d.scaledOldDiff, 0), max(d.scaledNewDiff, 0)
	if d.OnDelete { // nothing says how many of which there should be
		quotaOld, quotaNew = surplus, surplus
	}
	quota := func(r *replica.Replica) *int {
		if d.IsNew(r.Revision) || d.PreparingUpdateAsUpdate && r.State == lifecycle.PreparingUpdate {
			return &quotaNew
		}
		return &quotaOld
	}
	candidates := d.Spread.Surplus(surplus, slices.Concat(d.idle.old, d.idle.new), quota)
	return d.deleteWithin(candidates, d.toSpare(), fmt.Sprintf("%d pods exist, %d wanted", d.old+d.new, d.expectedScaled), false)
}

// keepsClaims says whether the successor of a pod that is recreated for a revision is to have its claims. A surge pod runs
// beside the old one, so it has its own.
func (d *decision) keepsClaims(r *replica.Replica, to string) bool {
	return d.surge == 0 && d.KeepsClaims != nil && d.KeepsClaims(r.Slot, to)
}

func first[T any](n int, all []T) []T { return all[:max(min(n, len(all)), 0)] }

func filter(pods []*replica.Replica, keep func(*replica.Replica) bool) []*replica.Replica {
	return slices.DeleteFunc(slices.Clone(pods), func(r *replica.Replica) bool { return !keep(r) })
}
