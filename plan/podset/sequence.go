package podset

import (
	"slices"
	"strconv"
	"time"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

// Sequence is what is wanted of pods that are told apart by their ordinals. The slot of a pod is its ordinal in decimal; no
// two pods have the same one.
type Sequence struct {
	// Rules say how pods change and go. Replicas is the number of Ordinals.
	Rules
	// Ordinals are those of the wanted pods, the lowest first. Reserved ones are left out.
	Ordinals []int
	// Ordered creates and deletes one pod at a time: the lowest that is missing, once all below it are available; the highest
	// that is not wanted, once all that are wanted are available. Otherwise nobody waits for another.
	Ordered bool
	// Partition is how many of the wanted pods stay on the current revision: the first of Ordinals, or where the update is
	// unordered any.
	Partition int
	// Unordered updates pods by Priority, and of those that are alike the ones that serve the least first. Otherwise the
	// highest ordinal goes first.
	Unordered bool
	Priority  []order.By
	// ScaleLimit stops creating pods while this many are unavailable; nil for no limit.
	ScaleLimit *int
	// Blocked says why no pod can be created at an ordinal that has none; empty when one can. Nil: one always can.
	Blocked func(ordinal int) string
	// Claims tells of the claims of an ordinal how the one farthest behind stands to its template, where claims are to grow
	// with their templates. Nil: they are left as they are.
	Claims func(ordinal int) storage.State
}

// sequel is the work in progress on the plan of a Sequence. Its census counts the pods that are wanted, its tally all.
type sequel struct {
	*Sequence
	draft
	// slots are the pods at the wanted ordinals, whatever state they are in; nil where there is none.
	slots []*replica.Replica
	// condemned are the pods at other ordinals, the highest first.
	condemned []*replica.Replica
	// spare counts the condemned pods that serve all the same.
	spare spare
	// claims are how the claims at the wanted ordinals stand to their templates, where that is asked.
	claims []storage.State
}

// Plan decides what to do now.
func (s *Sequence) Plan(now time.Time, pods []replica.Replica) Plan {
	wanted := *s
	wanted.Replicas = len(s.Ordinals)
	s = &wanted
	isDoomed := func(r *replica.Replica) bool { return r.SpecifiedDelete || s.place(r) < 0 }
	d := &sequel{Sequence: s, draft: newDraft(now, s.Rules, isDoomed), slots: make([]*replica.Replica, len(s.Ordinals))}
	d.countAll(pods)
	d.observe(pods)
	d.plan.Scaling = d.scale()
	d.update()
	d.restore()
	return d.close()
}

// Wants says whether the pod of a slot is wanted.
func (s *Sequence) Wants(slot string) bool { return s.placeOf(ordinalOf(slot)) >= 0 }

func (s *Sequence) place(r *replica.Replica) int { return s.placeOf(ordinalOf(r.Slot)) }

// placeOf is the index of an ordinal among the wanted ones; -1 for one that is not wanted.
func (s *Sequence) placeOf(ordinal int) int {
	if len(s.Ordinals) == 0 || ordinal < s.Ordinals[0] {
		return -1
	}
	guess := ordinal - s.Ordinals[0] // right while nothing is reserved, and never too low
	if guess < len(s.Ordinals) && s.Ordinals[guess] == ordinal {
		return guess
	}
	i, found := slices.BinarySearch(s.Ordinals, ordinal)
	if !found {
		return -1
	}
	return i
}

func ordinalOf(slot string) int {
	ordinal, err := strconv.Atoi(slot)
	if err != nil {
		return -1
	}
	return ordinal
}

// highest puts pods with a higher ordinal first.
func highest(r *replica.Replica) int64 { return -int64(ordinalOf(r.Slot)) }

// countAll gives every pod its place and counts it.
func (d *sequel) countAll(pods []replica.Replica) {
	for i := range pods {
		r := &pods[i]
		place := d.place(r)
		if place < 0 {
			d.condemned = append(d.condemned, r)
		} else {
			d.slots[place] = r
		}
		if !r.Active() {
			d.plan.Tally.Ending++
			continue
		}
		d.plan.Tally.Current += one(sameRevision(r.Revision, d.CurrentRevision))
		if place >= 0 {
			d.count(r)
			continue
		}
		d.plan.Tally.count(r, d.IsNew(r.Revision))
		if r.State != lifecycle.PreparingDelete {
			d.spare.available += one(r.Available)
			d.spare.ready += one(r.Ready)
		}
	}
	d.condemned = order.Sorted(d.condemned, highest)
	d.plan.Tally.ExpectedUpdated = max(d.Replicas-d.Partition, 0)
}

// update brings old pods to the newest revision, and lets claims grow with their templates, as the partition and the budget
// let. While pods are added and removed it only says why it waits. An ordered update goes by the ordinals; out of turn goes only what does not come into service by itself, so that it
// does not stand in the way of its own repair.
func (d *sequel) update() {
	a := aim{to: d.UpdateRevision, broken: d.brokenNew, inOrder: d.inOrderOfUpdate}
	if !d.Unordered {
		a.outOfTurn = d.stuck
	}
	candidates, others := d.candidates()
	a.wanted = d.oldBefore()
	if d.Unordered {
		a.wanted = min(max(d.old-d.Partition, 0), max(d.Replicas-d.Partition-d.new, 0))
	}
	if d.Claims != nil {
		d.seeClaims()
		a.claims = func(r *replica.Replica) storage.State { return d.claims[d.place(r)] }
		small := d.small()
		a.wanted, candidates = a.wanted+len(small), slices.Concat(candidates, small)
		a.broken += d.growing()
	}
	if a.wanted > 0 && !d.Paused && !d.OnDelete {
		a.hopeless = d.hopeless()
	}
	if passed := d.bring(candidates, a); !d.plan.Scaling {
		d.putBack(passed, others)
		d.applyOverdue()
	}
	d.noteClaims()
}

// oldBefore counts the old pods that an ordered update is to change, those included that have another step now.
func (d *sequel) oldBefore() (n int) {
	if d.Partition == 0 {
		return d.old
	}
	for _, r := range d.slots[min(d.Partition, len(d.slots)):] {
		n += one(r != nil && r.Active() && r.State != lifecycle.PreparingDelete && !d.isDoomed(r) && !d.IsNew(r.Revision))
	}
	return n
}

// candidates are the old pods that the partition lets be updated. The others are not to be updated.
func (d *sequel) candidates() (candidates, others []*replica.Replica) {
	others = d.idle.new
	if d.Unordered || d.Partition == 0 {
		return d.idle.old, others
	}
	for _, r := range d.idle.old {
		if d.place(r) >= d.Partition {
			candidates = append(candidates, r)
		} else {
			others = append(others, r)
		}
	}
	return candidates, others
}

// inOrderOfUpdate tells the first n pods in the order in which they are updated: those that were prepared for it before all.
func (d *sequel) inOrderOfUpdate(n int, pods []*replica.Replica) []*replica.Replica {
	by := []order.By{prepared}
	if d.Unordered {
		by = slices.Concat(by, d.Priority, order.LeastLoss())
	}
	return order.First(n, pods, append(by, highest)...)
}

// stuck says whether a pod that is not available will not be by itself: kubelet says that it is in trouble, it is in an
// update of ours, or it has waited for long. A pod that has just lost its readiness may have it back in a moment.
func (d *sequel) stuck(r *replica.Replica) bool {
	switch {
	case r.Available:
		return false
	case r.Trouble != "" || r.Stage != inplace.Done || r.State == lifecycle.PreparingUpdate:
		return true
	case !r.AvailableAt.IsZero():
		return false
	}
	waited := r.AwayFor
	if r.Ready { // and held back by a hook, or by a label
		waited = d.now.Sub(r.ReadySince)
	}
	if waited < patience {
		d.plan.wakeAt(d.now.Add(patience - waited))
		return false
	}
	return true
}

// hopeless counts the broken pods of the newest revision that are stuck.
func (d *sequel) hopeless() (n int) {
	for _, r := range d.away {
		underway := r.Stage != inplace.Done && r.Trouble == ""
		n += one(d.IsNew(r.Revision) && !underway && d.stuck(r))
	}
	return n
}
