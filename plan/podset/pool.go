package podset

import (
	"maps"
	"slices"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
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
	// KeepsClaims says whether the claims of an instance id outlive its pod, to be used by another one. Nil: they do not.
	KeepsClaims func(slot string) bool
	// Crowded ranks pods by how they are spread. Nil: by how many share a node.
	Crowded func(pods []*replica.Replica) order.By
	// FreshSlots makes up n instance ids that no pod and no claim has.
	FreshSlots func(n int) []string
}

// decision is the work in progress on one plan.
type decision struct {
	*Pool
	now     time.Time
	machine lifecycle.Machine
	plan    Plan
	counts
	// idle are the pods that have no step from their life cycle, by what they are for.
	idle struct{ leaving, doomed, old, new []*replica.Replica }
	// away are the pods that are neither leaving nor doomed, and not available.
	away []*replica.Replica
	// coming are terminating pods whose instance ids and claims their successors wait for.
	coming []*replica.Replica
	// resizing are the pods that serve while kubelet has not given them their new resources yet.
	resizing []*replica.Replica
	// told is true once a note names the pods that are away.
	told bool
	// overdue are the pods with a change to an old revision that can go on.
	overdue map[*replica.Replica]bool
}

// counts are the numbers that the decision turns on. A doomed pod is no longer counted by its revision, since another pod
// takes its place; while it serves it counts as available.
type counts struct {
	active         int // all pods
	leaving        int // in PreparingDelete
	doomed         int // not leaving, to be deleted
	old, new       int // neither leaving nor doomed, by revision
	preparing      int // of the old ones, those in PreparingUpdate
	brokenNew      int // of the new ones, those that are not available or not resized yet
	brokenOld      int // of the old ones, the same
	available      int // not leaving and available, doomed ones included
	ready          int // not leaving and ready, doomed ones included
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
	d := &decision{Pool: p, now: now, machine: lifecycle.NewMachine(), overdue: map[*replica.Replica]bool{}}
	d.countAll(pods)
	d.derive()
	d.observe(pods)
	d.plan.Scaling = d.scale()
	if !d.plan.Scaling {
		d.update()
	}
	if len(d.resizing) > 0 {
		d.note(WishResize, len(d.resizing), "waiting for "+names(d.resizing), causeOf(CauseResize, d.resizing))
	}
	if len(d.away) > 0 {
		d.note(WishAvailable, len(d.away), "waiting for "+names(d.away), causeOf(CauseBroken, d.away))
		d.plan.Notes[len(d.plan.Notes)-1].Told = d.told
	}
	return d.plan
}

// IsNew says whether a revision label names the newest revision, in its long or its short form.
func (p *Pool) IsNew(label string) bool { return sameRevision(label, p.UpdateRevision) }

func sameRevision(a, b string) bool {
	return a == b || a != "" && revision.ShortHash(a) == revision.ShortHash(b)
}

func (d *decision) isDoomed(r *replica.Replica) bool { return r.SpecifiedDelete || d.Doomed[r.Name] }

// countAll counts every pod.
func (d *decision) countAll(pods []replica.Replica) {
	for i := range pods {
		r := &pods[i]
		switch {
		case r.Active():
			d.count(r, d.IsNew(r.Revision), d.isDoomed(r))
		case r.Terminating && d.KeepsClaims != nil && d.KeepsClaims(r.Slot):
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

// observe finds out of each pod whether its life cycle moves on, and else keeps it for what it is for.
func (d *decision) observe(pods []replica.Replica) {
	var applying []*replica.Replica
	settling := map[lifecycle.State][]*replica.Replica{} // by the state that follows
	for i := range pods {
		r := &pods[i]
		if !r.Active() {
			continue
		}
		isNew, isDoomed := d.IsNew(r.Revision), d.isDoomed(r)
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

// count counts one pod.
func (d *decision) count(r *replica.Replica, isNew, isDoomed bool) {
	t := &d.plan.Tally
	t.Replicas++
	t.Ready += one(r.Ready)
	t.Available += one(r.Available)
	t.Updated += one(isNew)
	t.UpdatedReady += one(isNew && r.Ready)
	t.UpdatedAvailable += one(isNew && r.Available)

	c := &d.counts
	c.active++
	if r.State == lifecycle.PreparingDelete {
		c.leaving++
		return
	}
	c.available += one(r.Available)
	c.ready += one(r.Ready)
	if isDoomed {
		c.doomed++
		return
	}
	c.new += one(isNew)
	c.old += one(!isNew)
	c.preparing += one(!isNew && r.State == lifecycle.PreparingUpdate)
	if r.Available && r.Stage != inplace.Done {
		d.resizing = append(d.resizing, r)
	}
	broken := !r.Available || r.Stage != inplace.Done
	c.brokenNew += one(isNew && broken)
	c.brokenOld += one(!isNew && broken)
	if !r.Available {
		d.away = append(d.away, r)
	}
}

// derive finds out the numbers that follow from the counts.
func (d *decision) derive() {
	c := &d.counts
	d.plan.Tally.ExpectedUpdated = d.Replicas - d.Partition
	c.totalAway = c.leaving + len(d.away)
	c.oldDiff = c.old - d.Partition
	c.newDiff = c.new - (d.Replicas - d.Partition)
	c.scaledOldDiff, c.scaledNewDiff = c.oldDiff, c.newDiff
	if d.PreparingUpdateAsUpdate {
		c.scaledOldDiff -= c.preparing
		c.scaledNewDiff += c.preparing
	}
	if d.Rollback && !d.OnDelete && !sameRevision(d.CurrentRevision, d.UpdateRevision) {
		c.rollback = max(min(-c.oldDiff, c.newDiff), 0)
	}
	c.surge = d.surgeInUse()
	c.expectedScaled = d.Replicas + c.surge
	c.scalingPods = c.active
	if d.ExcludePreparingDelete {
		c.scalingPods -= c.leaving
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

// due says whether an update of the pod can go on: its grace period is over, or its next containers can be changed. For a
// grace period it arranges to look again when it will be over. Pods on their way out are left as they are.
func (d *decision) due(r *replica.Replica, isDoomed bool) bool {
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
func (d *decision) movesOn(r *replica.Replica, isNew bool) (lifecycle.State, bool) {
	if r.Stage == inplace.Grace {
		return r.State, false
	}
	// New pods in PreparingUpdate are on their way back, where there is one.
	next := d.next(r.State, r, isNew && d.rollback == 0)
	inService := r.Stage == inplace.Done && r.Scheduled && next != lifecycle.PreparingUpdate && next != lifecycle.PreparingDelete
	return next, next != r.State || r.Unsettled && inService
}

// next is the state that follows a state of the pod.
func (d *decision) next(from lifecycle.State, r *replica.Replica, isNew bool) lifecycle.State {
	return d.machine.Next(from, lifecycle.Facts{
		Holds: r.Holds, Scheduled: r.Scheduled, OnTarget: isNew, UpdateDone: r.Stage == inplace.Done,
	})
}

// apply goes on with an update of a pod.
func (d *decision) apply(r *replica.Replica) {
	why := "its grace period is over"
	if r.Stage == inplace.NextBatch {
		why = "its next containers can be changed"
	}
	d.step(Step{Do: Apply, Pod: r, Why: why})
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
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

func (d *decision) step(s Step) {
	d.plan.Steps = append(d.plan.Steps, s)
	delete(d.overdue, s.Pod)
}

func (d *decision) note(wish Wish, pods int, because string, cause cause) {
	d.plan.Notes = append(d.plan.Notes, Note{Wish: wish, Pods: pods, Because: because, Cause: cause.Cause, Trouble: cause.trouble})
}

// cause is a cause, with what kubelet says.
type cause struct {
	Cause
	trouble string
}

// causeOf is a cause that lasts only if kubelet says that one of the pods is in trouble.
func causeOf(c Cause, pods []*replica.Replica) cause {
	var worst *replica.Replica
	for _, r := range pods {
		if r.Trouble != "" && (worst == nil || r.Name < worst.Name) {
			worst = r
		}
	}
	if worst == nil {
		return cause{}
	}
	return cause{c, worst.Trouble}
}
