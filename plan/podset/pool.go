package podset

import (
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
	counts
}

// counts are the numbers that the decision turns on. Doomed pods count as active until they are gone or preparing to go.
type counts struct {
	leaving        int // in PreparingDelete
	old, new       int // not leaving, by revision
	doomed         int // not leaving, to be deleted
	unavailable    int // neither leaving nor doomed, not available
	brokenNew      int // unavailable ones on the newest revision
	available      int // not leaving and available, doomed ones included
	ready          int // not leaving and ready, doomed ones included
	surge          int // pods above replicas that are in use
	oldDiff        int // old pods above (or below) the partition
	newDiff        int // new pods above (or below) what the partition allows
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
		isNew := d.IsNew(r.Revision)
		if isNew {
			c.new++
		} else {
			c.old++
		}
		switch {
		case d.isDoomed(r):
			c.doomed++
		case !r.Available:
			c.unavailable++
			if isNew {
				c.brokenNew++
			}
		}
		c.available += one(r.Available)
		c.ready += one(r.Ready)
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

// refresh moves pods on in their life cycle, which costs no budget: pods come into service or are changed after their
// grace period.
func (d *decision) refresh() {
	for _, r := range d.pods {
		if r.Ready && !r.AvailableAt.IsZero() && !r.Available {
			d.plan.wakeAt(r.AvailableAt)
		}
		isNew := d.IsNew(r.Revision)
		if r.Stage == inplace.Grace {
			d.refreshGrace(r, isNew)
			continue
		}
		next := d.machine.Next(r.State, lifecycle.Facts{
			Holds: r.Holds, Scheduled: r.Scheduled, OnTarget: isNew, UpdateDone: r.Stage == inplace.Done,
		})
		inService := r.Stage == inplace.Done && r.Scheduled && next != lifecycle.PreparingUpdate && next != lifecycle.PreparingDelete
		if next != r.State || r.Ungated && inService {
			d.step(Step{Do: Settle, Pod: r, State: next, Why: settleReason(r.State, next)})
		}
	}
}

// refreshGrace carries out a change whose grace period is over. A pod that should get yet another revision is left to
// the update, which overtakes the change; only where no update is made the change is carried out first.
func (d *decision) refreshGrace(r *replica.Replica, isNew bool) {
	if d.now.Before(r.GraceUntil) {
		d.plan.wakeAt(r.GraceUntil)
		return
	}
	if isNew || d.Paused || d.OnDelete || d.updatable() <= 0 {
		d.step(Step{Do: Apply, Pod: r, Why: "its grace period is over"})
	}
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
