package podset

import (
	"slices"
	"strings"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
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
	// ScaleLimit stops creating pods while this many are unavailable; nil for no limit.
	ScaleLimit *int
	// ExcludePreparingDelete leaves pods in PreparingDelete out of the count of pods.
	ExcludePreparingDelete bool
	// Doomed are the names of pods to delete first.
	Doomed map[string]bool
	// UpdateRevision and CurrentRevision are the names of the newest revision and of the one before.
	UpdateRevision, CurrentRevision string
	// Change tells how to get in place from a revision, named as on a pod, to the newest one.
	Change func(from string) inplace.Change
	// FreshSlots makes up n instance ids that no pod and no claim has.
	FreshSlots func(n int) []string
}

// decision is the work in progress on one plan.
type decision struct {
	*Pool
	now     time.Time
	machine lifecycle.Machine
	plan    Plan
	pods    []*replica.Replica // active
	moving  map[*replica.Replica]bool
	overdue []*replica.Replica // with a change to an old revision whose grace period is over
	counts
}

// counts are the numbers that the decision turns on. A doomed pod is no longer counted by its revision, since another pod
// takes its place; while it serves it counts as available.
type counts struct {
	leaving        int // in PreparingDelete
	doomed         int // not leaving, to be deleted
	old, new       int // neither leaving nor doomed, by revision
	unavailable    int // neither leaving nor doomed, not available
	brokenNew      int // unavailable ones on the newest revision
	available      int // not leaving and available, doomed ones included
	ready          int // not leaving and ready, doomed ones included
	surge          int // pods above replicas that are in use
	oldDiff        int // old pods above (or below) the partition
	newDiff        int // new pods above (or below) what the partition leaves for them
	totalAway      int // leaving and unavailable
	scalingPods    int // pods that count against replicas
	expectedScaled int // replicas and surge
}

// Plan decides what to do now.
func (p *Pool) Plan(now time.Time, pods []replica.Replica) Plan {
	d := &decision{Pool: p, now: now, machine: lifecycle.NewMachine(), moving: map[*replica.Replica]bool{}}
	for i := range pods {
		if pods[i].Active() {
			d.pods = append(d.pods, &pods[i])
		}
	}
	d.count()
	d.tally()
	d.refresh()
	d.plan.Scaling = d.scale()
	if !d.plan.Scaling {
		d.update()
	}
	d.noteUnavailable()
	return d.plan
}

// IsNew says whether a revision label names the newest revision, in its long or its short form.
func (p *Pool) IsNew(label string) bool { return sameRevision(label, p.UpdateRevision) }

func sameRevision(a, b string) bool {
	return a == b || a != "" && revision.ShortHash(a) == revision.ShortHash(b)
}

func (d *decision) isDoomed(r *replica.Replica) bool { return r.SpecifiedDelete || d.Doomed[r.Name] }

func (d *decision) count() {
	c := &d.counts
	for _, r := range d.pods {
		if r.State == lifecycle.PreparingDelete {
			c.leaving++
			continue
		}
		c.available += one(r.Available)
		c.ready += one(r.Ready)
		if d.isDoomed(r) {
			c.doomed++
			continue
		}
		isNew := d.IsNew(r.Revision)
		c.new += one(isNew)
		c.old += one(!isNew)
		c.unavailable += one(!r.Available)
		c.brokenNew += one(isNew && !r.Available)
	}
	c.totalAway = c.leaving + c.unavailable
	c.oldDiff = c.old - d.Partition
	c.newDiff = c.new - (d.Replicas - d.Partition)
	c.surge = d.surgeInUse()
	c.expectedScaled = d.Replicas + c.surge
	c.scalingPods = len(d.pods)
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
		forUpdate = min(max(d.oldDiff, 0), max(-d.newDiff, 0))
	}
	return min(max(forDeletion, forUpdate), d.MaxSurge)
}

func (d *decision) tally() {
	t := &d.plan.Tally
	t.ExpectedUpdated = d.Replicas - d.Partition
	for _, r := range d.pods {
		isNew := d.IsNew(r.Revision)
		t.Replicas++
		t.Ready += one(r.Ready)
		t.Available += one(r.Available)
		t.Updated += one(isNew)
		t.UpdatedReady += one(isNew && r.Ready)
		t.UpdatedAvailable += one(isNew && r.Available)
	}
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// refresh moves pods on in their life cycle, which costs no budget: pods come into service, or are changed after their
// grace period.
func (d *decision) refresh() {
	for _, r := range d.pods {
		if r.Ready && !r.AvailableAt.IsZero() && !r.Available {
			d.plan.wakeAt(r.AvailableAt)
		}
		if r.Stage == inplace.Grace {
			d.refreshGrace(r)
			continue
		}
		next := d.machine.Next(r.State, d.facts(r))
		inService := r.Stage == inplace.Done && r.Scheduled && next != lifecycle.PreparingUpdate && next != lifecycle.PreparingDelete
		if next != r.State || r.Ungated && inService {
			d.step(Step{Do: Settle, Pod: r, State: next, Why: settleReason(r.State, next)})
		}
	}
	slices.SortFunc(d.plan.Steps, func(a, b Step) int { return strings.Compare(a.Pod.Name, b.Pod.Name) })
}

func (d *decision) facts(r *replica.Replica) lifecycle.Facts {
	return lifecycle.Facts{Holds: r.Holds, Scheduled: r.Scheduled, OnTarget: d.IsNew(r.Revision), UpdateDone: r.Stage == inplace.Done}
}

// refreshGrace carries out a change whose grace period is over. Where yet another revision is wanted the update may
// overtake the change; it is carried out when the update does not.
func (d *decision) refreshGrace(r *replica.Replica) {
	switch {
	case r.State == lifecycle.PreparingDelete || d.isDoomed(r):
	case d.now.Before(r.GraceUntil):
		d.plan.wakeAt(r.GraceUntil)
	case d.IsNew(r.Revision):
		d.apply(r)
	default:
		d.overdue = append(d.overdue, r)
	}
}

func (d *decision) apply(r *replica.Replica) {
	d.step(Step{Do: Apply, Pod: r, Why: "its grace period is over"})
}

func settleReason(from, to lifecycle.State) string {
	switch {
	case from == lifecycle.Updating || from == lifecycle.PreparingUpdate || from == lifecycle.Updated:
		return "its update in place is done"
	case from == to:
		return "a readiness condition is open"
	default:
		return "it is scheduled"
	}
}

func (d *decision) step(s Step) {
	d.plan.Steps = append(d.plan.Steps, s)
	if s.Pod != nil {
		d.moving[s.Pod] = true
	}
}

func (d *decision) note(wish Wish, pods int, because string) {
	d.plan.Notes = append(d.plan.Notes, Note{Wish: wish, Pods: pods, Because: because})
}
