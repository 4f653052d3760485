package podset

import (
	"cmp"
	"slices"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// Pool is what is wanted of a set of interchangeable pods.
type Pool struct {
	// Replicas is the wanted number of pods.
	Replicas int
	// Rolling holds the budget of the rolling update.
	budget.Rolling
	// Paused stops the update.
	Paused bool
	// OnDelete leaves every pod as it is; only new pods get the newest revision.
	OnDelete bool
	// Policy says how one pod is updated.
	Policy v1beta1.PodUpdatePolicyType
	// Priority says which pods are updated first. Default: those that serve the least.
	Priority []order.By
	// Scatter spreads pods with these labels evenly over the order of the update.
	Scatter []v1beta1.UpdateScatterTerm
	// ScaleLimit stops creating pods while this many are unavailable; nil for no limit.
	ScaleLimit *int
	// Rollback brings pods back to CurrentRevision when the partition is raised above the number of old pods.
	Rollback bool
	// PreparingUpdateAsUpdate counts pods in PreparingUpdate as updated when pods are created and removed.
	PreparingUpdateAsUpdate bool
	// NotReadyForDelete and NotReadyForUpdate keep pods out of service while their hook holds them.
	NotReadyForDelete, NotReadyForUpdate bool
	// ExcludePreparingDelete leaves pods in PreparingDelete out of the count of pods.
	ExcludePreparingDelete bool
	// Doomed are the names of pods to delete first.
	Doomed map[string]bool
	// UpdateRevision and CurrentRevision are the names of the newest revision and of the one before.
	UpdateRevision, CurrentRevision string
	// Change tells how to get in place from a revision, named as on a pod, to another.
	Change func(from, to string) inplace.Change
	// KeepsClaims says whether the claims of an instance id outlive its pod, to be used by one of a revision, which is named as
	// on a pod or as UpdateRevision is. Nil: they do not.
	KeepsClaims func(slot, to string) bool
	// Spread says over what pods stay spread when surplus ones go. Default: over nodes.
	Spread order.Spread
	// FreshSlots makes up n instance ids for pods of a revision. No pod has them, and no claims but those that the pods are to use.
	FreshSlots func(n int, to string) []string
}

// decision is the work in progress on one plan.
type decision struct {
	*Pool
	draft
	diffs
	// ended are pods that ended and that somebody asked to go.
	ended []*replica.Replica
	// coming are terminating pods whose instance ids and claims their successors wait for.
	coming []*replica.Replica
}

// diffs are the numbers that follow from the census. A doomed pod counts for no revision, since another pod takes its place.
type diffs struct {
	surge          int // pods above replicas that are in use
	oldDiff        int // old pods above (or below) the partition
	newDiff        int // new pods above (or below) what the partition leaves for them
	scaledOldDiff  int // the same, as they count when pods are created and removed
	scaledNewDiff  int
	rollback       int // new pods to bring back
	totalAway      int // leaving, or neither doomed nor available
	scalingPods    int // pods that count against replicas
	expectedScaled int // replicas and surge
}

// Plan decides what to do now.
func (p *Pool) Plan(now time.Time, pods []replica.Replica) Plan {
	isDoomed := func(r *replica.Replica) bool { return r.SpecifiedDelete || p.Doomed[r.Name] }
	d := &decision{Pool: p, draft: newDraft(now, p.rules(), isDoomed)}
	d.countAll(pods)
	d.derive()
	d.observe(pods)
	d.bury()
	d.plan.Scaling = d.scale()
	d.update()
	return d.close()
}

// IsNew says whether a revision label names the newest revision, in its long or its short form.
func (p *Pool) IsNew(label string) bool { return sameRevision(label, p.UpdateRevision) }

func (p *Pool) rules() Rules {
	return Rules{
		Replicas: p.Replicas, MaxUnavailable: p.MaxUnavailable, Paused: p.Paused, OnDelete: p.OnDelete, Policy: p.Policy,
		NotReadyForDelete: p.NotReadyForDelete, NotReadyForUpdate: p.NotReadyForUpdate,
		UpdateRevision: p.UpdateRevision, CurrentRevision: p.CurrentRevision, Change: p.Change,
	}
}

// countAll counts every pod.
func (d *decision) countAll(pods []replica.Replica) {
	for i := range pods {
		r := &pods[i]
		switch {
		case r.Active():
			d.count(r)
		case !r.Terminating && d.isDoomed(r):
			d.ended = append(d.ended, r)
		case r.Terminating && d.KeepsClaims != nil && d.KeepsClaims(r.Slot, r.Revision):
			// A pod that does not end in time, as on a lost node, is given up.
			if giveUp := r.GraceUntil.Add(patience); d.now.Before(giveUp) {
				d.plan.wakeAt(giveUp)
				d.coming = append(d.coming, r)
			}
		}
	}
}

// patience is how long after its grace period a terminating pod is waited for, when its successor is to have its volumes.
const patience = time.Minute

// derive finds out the numbers that follow from the counts.
func (d *decision) derive() {
	c := &d.diffs
	d.plan.Tally.ExpectedUpdated = d.Replicas - d.Partition
	c.totalAway = d.leaving + len(d.away)
	c.oldDiff = d.old - d.Partition
	c.newDiff = d.new - (d.Replicas - d.Partition)
	c.scaledOldDiff, c.scaledNewDiff = c.oldDiff, c.newDiff
	if d.PreparingUpdateAsUpdate {
		c.scaledOldDiff -= d.preparing
		c.scaledNewDiff += d.preparing
	}
	if d.Rollback && !d.OnDelete && !sameRevision(d.CurrentRevision, d.UpdateRevision) {
		c.rollback = max(min(-c.oldDiff, c.newDiff), 0)
	}
	d.backwards = c.rollback > 0
	c.surge = d.surgeInUse()
	c.expectedScaled = d.Replicas + c.surge
	c.scalingPods = d.active
	if d.ExcludePreparingDelete {
		c.scalingPods -= d.leaving
	}
}

// surgeInUse is how many pods above replicas are needed now: for deletions that the budget does not cover, or for the
// update, whichever is more; they are never added up.
func (d *decision) surgeInUse() int {
	if d.MaxSurge == 0 {
		return 0
	}
	forDeletion := min(max(d.totalAway+d.doomed-d.MaxUnavailable, 0), d.doomed)
	forUpdate := 0
	if !d.OnDelete {
		forUpdate = max(min(d.scaledOldDiff, -d.scaledNewDiff), d.rollback, 0)
	}
	return min(max(forDeletion, forUpdate), d.MaxSurge)
}

// update brings old pods to the newest revision, or new ones back, as the partition and the budget let. While pods are added
// and removed it only says why it waits.
func (d *decision) update() {
	a := aim{to: d.target(), wanted: d.updatable(), broken: d.brokenNew, inOrder: d.inOrderOfUpdate, keepsClaims: d.keepsClaims}
	candidates, others := d.idle.old, d.idle.new
	if d.backwards {
		a.wanted, a.broken = d.rollback, d.brokenOld
		candidates, others = others, candidates
	}
	if passed := d.bring(candidates, a); !d.plan.Scaling {
		d.putBack(passed, others)
		d.applyOverdue()
	}
}

// target is the revision that pods are brought to.
func (d *decision) target() string {
	if d.backwards {
		return d.CurrentRevision
	}
	return d.UpdateRevision
}

// updatable is how many old pods the partition lets be updated.
func (d *decision) updatable() int { return max(min(d.oldDiff, -d.newDiff), 0) }

// inOrderOfUpdate tells the first n pods in the order in which they are updated: by the user's priorities, then those that
// serve the least; the user's scattered pods evenly among the others; and those that were prepared for it before all.
func (d *decision) inOrderOfUpdate(n int, pods []*replica.Replica) []*replica.Replica {
	if len(d.Scatter) > 0 { // which takes them all
		n = len(pods)
	}
	sorted := order.First(n, pods, slices.Concat([]order.By{prepared}, d.Priority, order.LeastLoss())...)
	if len(d.Scatter) > 0 {
		sorted = order.Scattered(sorted, d.Scatter)
		slices.SortStableFunc(sorted, func(a, b *replica.Replica) int { return cmp.Compare(prepared(a), prepared(b)) })
	}
	return sorted
}
