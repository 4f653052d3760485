package podset

import (
	"fmt"
	"slices"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// Sidecars is what is wanted of containers that stand in pods of others. It creates and deletes no pod.
//
// A pod is available here while it is ready and no update of these sidecars is under way in it.
type Sidecars struct {
	// Partition is how many of the pods that wait for an update stay as they are.
	Partition int
	// MaxUnavailable is how many pods may be out of service at a time by updates of these sidecars.
	MaxUnavailable int
	// Paused stops the update.
	Paused bool
	// NotUpdate leaves running pods as they are for good.
	NotUpdate bool
	// Selects says whether a pod is among those to be updated. Nil: every pod is.
	Selects func(*replica.Replica) bool
	// Excused says of a pod that is not available that no update of these sidecars is the cause, so that it spends nothing of
	// MaxUnavailable.
	Excused func(*replica.Replica) bool
	// Blocked says what keeps a pod from being updated in place; empty for nothing.
	Blocked func(*replica.Replica) string
	// Held says of a pod that a budget of its own lets nobody change it now. It waits, and those behind it go first: the pods of
	// one owner do not hold up those of others. Nil: none is.
	Held func(*replica.Replica) bool
	// Priority says which pods are updated first. Default: those that serve the least.
	Priority []order.By
	// Scatter spreads pods with these labels evenly over the order of the update.
	Scatter []v1beta1.UpdateScatterTerm
	// UpdateRevision is the name of the newest revision.
	UpdateRevision string
	// Change tells how to get in place from a revision to another.
	Change func(from, to string) inplace.Change
}

// Uninjected notes pods that should have got the sidecars when they were created and did not, by their names.
func (p *Plan) Uninjected(pods []string) {
	if len(pods) > 0 {
		p.Notes = append(p.Notes, Note{
			Wish: WishInject, Pods: len(pods), Cause: CauseMissed,
			Because: "they were created while nobody answered for the sidecars; recreate them: " + Names(pods),
		})
	}
}

// sidecarDecision is the work in progress on one plan.
type sidecarDecision struct {
	*Sidecars
	draft
}

// Plan decides what to do now.
func (p *Sidecars) Plan(now time.Time, pods []replica.Replica) Plan {
	stays := func(*replica.Replica) bool { return false }
	d := &sidecarDecision{Sidecars: p, draft: newDraft(now, p.Rules(pods), stays)}
	var all []*replica.Replica
	for i := range pods {
		if r := &pods[i]; r.Active() {
			d.count(r)
			all = append(all, r)
		}
	}
	d.away = slices.DeleteFunc(d.away, p.Excused)
	d.observe(pods)
	d.update(all)
	d.applyOverdue()
	return d.close()
}

// IsNew says whether a revision names the newest one.
func (p *Sidecars) IsNew(name string) bool { return sameRevision(name, p.UpdateRevision) }

// Rules are what the pods go by. A pod that is away for reasons of its own is not among those that are to be there.
func (p *Sidecars) Rules(pods []replica.Replica) Rules {
	wanted := 0
	for i := range pods {
		r := &pods[i]
		wanted += one(r.Active() && (r.Available || !p.Excused(r)))
	}
	return Rules{
		Replicas: wanted, MaxUnavailable: p.MaxUnavailable, Paused: p.Paused, Policy: v1beta1.InPlaceOnlyPodUpdatePolicyType,
		UpdateRevision: p.UpdateRevision, Change: p.Change,
	}
}

// update brings the sidecars of old pods to the newest revision, as the partition and the budget let. The last pods in the
// order are those that stay as they are.
func (d *sidecarDecision) update(all []*replica.Replica) {
	waiting, blocked := d.waiting()
	wanted := max(len(waiting)-d.Partition, 0)
	d.plan.Tally.ExpectedUpdated = d.plan.Tally.Updated + wanted
	if d.NotUpdate {
		d.plan.Tally.ExpectedUpdated = d.plan.Tally.Updated
		if n := len(waiting) + len(blocked); n > 0 {
			d.note(WishUpdate, n, "updateStrategy.type is NotUpdate: only new pods get the newest revision", cause{Cause: CauseNotUpdate})
		}
		return
	}
	d.tellBlocked(blocked)
	candidates := first(wanted, d.inOrderOfUpdate(waiting, all))
	d.bring(candidates, aim{to: d.UpdateRevision, wanted: wanted, repairsFreely: true, inOrder: d.heldLast})
}

// heldLast puts those last that a budget holds, and leaves the order otherwise. They are tried all the same, so that it is told
// what they wait for.
func (d *sidecarDecision) heldLast(_ int, pods []*replica.Replica) []*replica.Replica {
	if d.Held == nil {
		return pods
	}
	var free, held []*replica.Replica
	for _, r := range pods {
		if d.Held(r) {
			held = append(held, r)
		} else {
			free = append(free, r)
		}
	}
	return append(free, held...)
}

// waiting are the old pods that are to be updated, and those of them that cannot be.
func (d *sidecarDecision) waiting() (waiting, blocked []*replica.Replica) {
	for _, r := range d.idle.old {
		switch {
		case d.Selects != nil && !d.Selects(r):
		case d.Blocked(r) != "":
			blocked = append(blocked, r)
		default:
			waiting = append(waiting, r)
		}
	}
	return waiting, blocked
}

// tellBlocked notes the pods that cannot be updated in place, with the reason that the first of them has.
func (d *sidecarDecision) tellBlocked(blocked []*replica.Replica) {
	if len(blocked) == 0 {
		return
	}
	named := order.Sorted(blocked)
	because := fmt.Sprintf("%s; recreate them: %s", d.Blocked(named[0]), names(named))
	d.note(WishUpdate, len(blocked), because, cause{Cause: CauseNotUpgradable})
}

// inOrderOfUpdate puts pods in the order in which they are updated: by the user's priorities, then those that serve the
// least; the user's scattered pods evenly among the others. A scatter term may stand for every value that a pod has.
func (d *sidecarDecision) inOrderOfUpdate(pods, all []*replica.Replica) []*replica.Replica {
	sorted := order.Sorted(pods, slices.Concat(d.Priority, order.LeastLoss())...)
	if len(d.Scatter) == 0 {
		return sorted
	}
	return order.Scattered(sorted, order.Expanded(d.Scatter, all))
}
