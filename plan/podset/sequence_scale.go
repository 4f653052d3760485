package podset

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// scale replaces pods that have ended, takes back, finishes deletions, creates, deletes the pods that somebody asked to go,
// and removes those that are not wanted, and says whether it did any of it.
func (d *sequel) scale() bool {
	acted := d.clearEnded()
	acted = d.takeBack() || acted
	acted = d.finishLeaving(func(int, *replica.Replica) bool { return false }) || acted
	d.idle.leaving = filter(d.idle.leaving, func(r *replica.Replica) bool { return d.place(r) >= 0 }) // others use no budget
	acted = d.create() || acted
	specified := filter(d.idle.doomed, func(r *replica.Replica) bool { return d.place(r) >= 0 })
	specified = order.Sorted(specified, order.Unavailable, order.NotReady, highest)
	if d.deleteWithin(specified, d.toSpare(), "it was asked to be deleted", true) {
		if n := len(d.idle.doomed) - len(specified); n > 0 {
			d.note(WishScaleIn, n, others, cause{})
		}
		return true // what it took of the budget is not spent twice
	}
	return d.removeCondemned() || acted
}

// clearEnded deletes pods that have failed or succeeded: they have the names of their successors.
func (d *sequel) clearEnded() bool {
	var ended []*replica.Replica
	for _, r := range slices.Concat(d.slots, d.condemned) {
		if r != nil && r.Phase == replica.Ended && !r.Terminating {
			ended = append(ended, r)
		}
	}
	for _, r := range order.Sorted(ended, highest) {
		d.step(Step{Do: Delete, Pod: r, Why: "its containers have ended, and a pod of a StatefulSet runs for ever"})
	}
	return len(ended) > 0
}

// takeBack keeps pods that were preparing to go because of an earlier scale-in, when they are wanted again.
func (d *sequel) takeBack() bool {
	if d.NotReadyForDelete { // whoever saw the pod go out of service will not expect it back
		return false
	}
	wanted := filter(d.idle.leaving, func(r *replica.Replica) bool { return !d.isDoomed(r) })
	for _, r := range order.Sorted(wanted, highest) {
		d.takeBackOne(r)
	}
	d.idle.leaving = filter(d.idle.leaving, d.isDoomed)
	return len(wanted) > 0
}

// restore gives pods back what they have lost of what their ordinals give them, paused or not. A pod that has another step has its
// turn with a later decision, if it is there by then.
func (d *sequel) restore() {
	var busy map[*replica.Replica]bool
	for _, r := range d.slots {
		if r == nil || !r.Active() || r.Lost == replica.LostNothing {
			continue
		}
		if busy == nil { // hardly ever, and there may be many pods
			busy = map[*replica.Replica]bool{}
			for i := range d.plan.Steps {
				busy[d.plan.Steps[i].Pod] = true
			}
		}
		if !busy[r] {
			d.step(Step{Do: Restore, Pod: r, Why: r.Lost.String()})
		}
	}
}

// vacancies are the ordinals without a pod, by what becomes of them.
type vacancies struct {
	open    []int              // a pod can be created at these
	ending  []*replica.Replica // these pods have to end first
	blocked []string           // why none can be created at others
	left    int                // others, whose turn it is not
	before  *replica.Replica   // who is waited for, where pods are created in their order
}

// vacancies finds the ordinals without a pod, in their order.
func (d *sequel) vacancies() (v vacancies) {
	stopped := false
	for place, r := range d.slots {
		switch {
		case r == nil && stopped:
			v.left++
		case r == nil:
			if because := d.blocked(d.Ordinals[place]); because != "" {
				v.blocked = append(v.blocked, because)
			} else {
				v.open = append(v.open, place)
			}
			stopped = d.Ordered
		case r.Terminating:
			v.ending = append(v.ending, r)
			stopped = stopped || d.Ordered
		case d.Ordered && !stopped && (!r.Active() || !r.Available):
			stopped, v.before = true, r
		}
	}
	return v
}

func (d *sequel) blocked(ordinal int) string {
	if d.Blocked == nil {
		return ""
	}
	return d.Blocked(ordinal)
}

// create creates pods at ordinals that have none.
func (d *sequel) create() bool {
	v := d.vacancies()
	if n := len(v.ending); n > 0 {
		d.note(WishScaleOut, n, "the names are to be used again and are free once "+names(v.ending)+" ended", cause{Cause: CauseName})
	}
	if n := len(v.blocked); n > 0 {
		const most = 3
		because := strings.Join(first(most, v.blocked), "; ")
		if n > most {
			because += fmt.Sprintf("; and %d more", n-most)
		}
		d.note(WishScaleOut, n, because, cause{Cause: CauseName})
	}
	allowed := len(v.open)
	if d.ScaleLimit != nil {
		allowed = min(allowed, max(*d.ScaleLimit-d.unavailable(), 0))
	}
	if n := len(v.open) - allowed; n > 0 {
		d.note(WishScaleOut, n, fmt.Sprintf("scaleStrategy.maxUnavailable is %d%s",
			*d.ScaleLimit, d.whoIsAway(nil, allowed, "being created")), cause{Cause: CauseScaleLimit})
	}
	if v.left > 0 {
		because := "pods are created one after the other"
		if v.before != nil {
			because = fmt.Sprintf("waiting for %s: %s", names([]*replica.Replica{v.before}), because)
		}
		d.note(WishScaleOut, v.left, because, cause{Cause: CauseOrder})
	}
	why := fmt.Sprintf("%d of %d wanted pods exist", d.active, d.Replicas)
	d.plan.Steps = slices.Grow(d.plan.Steps, allowed)
	for i, place := range v.open[:allowed] {
		d.step(Step{Do: Create, Slot: strconv.Itoa(d.Ordinals[place]), To: d.revisionOf(place, i), Why: why})
	}
	return allowed > 0
}

// unavailable counts the pods at wanted ordinals that are not available, whatever keeps them.
func (d *sequel) unavailable() (n int) {
	for _, r := range d.slots {
		n += one(r != nil && (!r.Active() || !r.Available))
	}
	return n
}

// revisionOf is the revision of a pod to be created: the current one behind the partition. created is how many are created
// before it.
func (d *sequel) revisionOf(place, created int) string {
	old := place < d.Partition
	if d.Unordered {
		old = d.old+created < d.Partition
	}
	if !old || d.OnDelete || d.CurrentRevision == "" {
		return d.UpdateRevision
	}
	return d.CurrentRevision
}

// removeCondemned removes the pods that are not wanted.
func (d *sequel) removeCondemned() bool {
	idle := order.Sorted(filter(d.idle.doomed, func(r *replica.Replica) bool { return d.place(r) < 0 }), highest)
	if len(idle) == 0 {
		return false
	}
	why := fmt.Sprintf("its ordinal is not among the %d wanted", d.Replicas)
	if !d.Ordered {
		here := d.toSpare()
		here.available += d.spare.available
		here.ready += d.spare.ready
		return d.deleteWithin(order.Sorted(idle, order.Unavailable, order.NotReady, highest), here, why, false)
	}
	// The highest goes first, and has to be gone before the next one goes.
	last := d.condemned[0]
	switch {
	case last != idle[0]:
		d.note(WishScaleIn, len(idle), "waiting for "+names([]*replica.Replica{last})+" to end: pods are deleted one after the other", cause{Cause: CauseOrder})
		return false
	case last.Available && d.available < d.Replicas:
		d.note(WishScaleIn, len(idle), "podManagementPolicy is OrderedReady"+d.whoIsAway(nil, d.Replicas-d.active, "missing"), causeOf(CauseBroken, d.away))
		return false
	}
	d.remove(last, why, false, false)
	if n := len(idle) - 1; n > 0 {
		d.note(WishScaleIn, n, "pods are deleted one after the other", cause{Cause: CauseOrder})
	}
	return true
}
