package podset

import (
	"maps"
	"slices"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// observe finds out of each pod whether its life cycle moves on, and else keeps it for what it is for.
func (d *draft) observe(pods []replica.Replica) {
	var applying []*replica.Replica
	settling := map[lifecycle.State][]*replica.Replica{} // by the state that follows
	for i := range pods {
		r := &pods[i]
		if !r.Active() {
			continue
		}
		isNew, isDoomed := d.rules.IsNew(r.Revision), d.isDoomed(r)
		if r.Ready && !r.AvailableAt.IsZero() && !r.Available {
			d.plan.wakeAt(r.AvailableAt)
		}
		due := d.due(r, isDoomed)
		next, moves := d.movesOn(r, isNew)
		switch {
		case due && isNew:
			applying = append(applying, r)
		case moves:
			settling[next] = append(settling[next], r)
		case r.State == lifecycle.PreparingDelete:
			d.idle.leaving = append(d.idle.leaving, r)
		case isDoomed:
			d.idle.doomed = append(d.idle.doomed, r)
		case isNew:
			d.idle.new = append(d.idle.new, r)
		default:
			d.idle.old = append(d.idle.old, r)
			if due { // a newer update may overtake the change
				d.overdue[r] = true
			}
		}
	}
	for _, next := range slices.Sorted(maps.Keys(settling)) {
		d.plan.Steps = slices.Grow(d.plan.Steps, len(settling[next]))
		for _, r := range order.Sorted(settling[next]) {
			d.step(Step{Do: Settle, Pod: r, State: next, Why: settleReason(r, next)})
		}
	}
	for _, r := range order.Sorted(applying) {
		d.apply(r)
	}
}

// due says whether an update of the pod can go on: its grace period is over, or its next containers can be changed. For a
// grace period it arranges to look again when it will be over. Pods on their way out are left as they are.
func (d *draft) due(r *replica.Replica, isDoomed bool) bool {
	if r.Stage != inplace.Grace && r.Stage != inplace.NextBatch || isDoomed || r.State == lifecycle.PreparingDelete {
		return false
	}
	if r.Stage == inplace.NextBatch {
		return true
	}
	if d.now.Before(r.GraceUntil) {
		d.plan.wakeAt(r.GraceUntil)
		return false
	}
	return true
}

// movesOn says whether a pod moves on in its life cycle and to which state, or comes into service where it stands.
func (d *draft) movesOn(r *replica.Replica, isNew bool) (lifecycle.State, bool) {
	if r.Stage == inplace.Grace {
		return r.State, false
	}
	// New pods in PreparingUpdate are on their way back, where there is one.
	next := d.next(lifecycle.ByItself, r, isNew && !d.backwards)
	inService := r.Stage == inplace.Done && r.Scheduled && next != lifecycle.PreparingUpdate && next != lifecycle.PreparingDelete
	return next, next != r.State || r.Unsettled && inService
}

// next is the state that follows when something happens to a pod.
func (d *draft) next(event lifecycle.Event, r *replica.Replica, onTarget bool) lifecycle.State {
	return d.machine.Next(r.State, event, lifecycle.Facts{
		Holds: r.Holds, Scheduled: r.Scheduled, OnTarget: onTarget, UpdateDone: r.Stage == inplace.Done,
	})
}

// decided is the state that follows when the plan decides something about a pod.
func (d *draft) decided(event lifecycle.Event, r *replica.Replica) lifecycle.State {
	return d.next(event, r, false)
}

// apply goes on with an update of a pod.
func (d *draft) apply(r *replica.Replica) {
	why := "its grace period is over"
	if r.Stage == inplace.NextBatch {
		why = "its next containers can be changed"
	}
	d.step(Step{Do: Apply, Pod: r, Why: why})
}

func settleReason(r *replica.Replica, to lifecycle.State) string {
	switch {
	case r.State == lifecycle.Updated:
		return "its inPlaceUpdate hook is complete"
	case r.State == lifecycle.Updating:
		return "its update in place is done"
	case r.State == lifecycle.PreparingUpdate:
		return "it has the wanted revision"
	case r.State == to && r.Ready:
		return "its resize is done"
	case r.State == to:
		return "a readiness condition is open"
	default:
		return "it is scheduled, and no preNormal hook is in the way"
	}
}

// putBack brings pods back into service that were prepared for an update that is not wanted any more.
func (d *draft) putBack(pods ...[]*replica.Replica) {
	var back []*replica.Replica
	for _, r := range slices.Concat(pods...) {
		if d.decided(lifecycle.PutBack, r) != r.State {
			back = append(back, r)
		}
	}
	for _, r := range order.Sorted(back) {
		d.step(Step{Do: Settle, Pod: r, State: d.decided(lifecycle.PutBack, r), Why: "its update is not wanted any more"})
	}
}

// applyOverdue goes on with the changes to old revisions that no step overtakes.
func (d *draft) applyOverdue() {
	for _, r := range order.Sorted(slices.Collect(maps.Keys(d.overdue))) {
		d.apply(r)
	}
}
