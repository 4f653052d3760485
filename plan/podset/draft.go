package podset

import (
	"time"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// draft is a plan in the making: the bricks from which the decisions of every kind are put together. A kind counts its
// pods, observes them, takes its own steps, and closes the draft.
type draft struct {
	rules Rules
	// isDoomed says whether a pod is to be deleted. Another one may take its place or not: that is the kind's affair.
	isDoomed func(*replica.Replica) bool
	now      time.Time
	machine  *lifecycle.Machine
	plan     Plan
	census
	// idle are the pods that have no step from their life cycle, by what they are for.
	idle struct{ leaving, doomed, old, new []*replica.Replica }
	// away are the pods that are neither leaving nor doomed, and not available.
	away []*replica.Replica
	// resizing are the pods that serve while kubelet has not given them their new resources yet.
	resizing []*replica.Replica
	// told is true once a note names the pods that are away.
	told bool
	// backwards is true while pods are brought back from the newest revision to the one before.
	backwards bool
	// overdue are the pods with a change to an old revision that can go on.
	overdue map[*replica.Replica]bool
}

func newDraft(now time.Time, rules Rules, isDoomed func(*replica.Replica) bool) draft {
	return draft{now: now, rules: rules, isDoomed: isDoomed, machine: lifecycle.NewMachine(), overdue: map[*replica.Replica]bool{}}
}

// census counts pods as decisions turn on them. A doomed pod is no longer counted by its revision; while it serves it
// counts as available.
type census struct {
	active    int // all pods
	leaving   int // in PreparingDelete
	doomed    int // not leaving, to be deleted
	old, new  int // neither leaving nor doomed, by revision
	preparing int // of the old ones, those in PreparingUpdate
	brokenNew int // of the new ones, those that are not available or not resized yet
	brokenOld int // of the old ones, the same
	available int // not leaving and available, doomed ones included
	ready     int // not leaving and ready, doomed ones included
}

// count counts one pod.
func (d *draft) count(r *replica.Replica) {
	isNew := d.rules.IsNew(r.Revision)
	d.plan.Tally.count(r, isNew)
	c := &d.census
	c.active++
	if r.State == lifecycle.PreparingDelete {
		c.leaving++
		return
	}
	c.available += one(r.Available)
	c.ready += one(r.Ready)
	if d.isDoomed(r) {
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
	if r.LateIn > 0 {
		d.plan.wakeAt(d.now.Add(r.LateIn))
	}
}

// count counts one pod for the status.
func (t *Tally) count(r *replica.Replica, isNew bool) {
	t.Replicas++
	t.Ready += one(r.Ready)
	t.Available += one(r.Available)
	t.Updated += one(isNew)
	t.UpdatedReady += one(isNew && r.Ready)
	t.UpdatedAvailable += one(isNew && r.Available)
}

// close ends the draft with what is to be told of pods that come about without a step.
func (d *draft) close() Plan {
	if len(d.resizing) > 0 {
		d.note(WishResize, len(d.resizing), "waiting for "+names(d.resizing), causeOf(CauseResize, d.resizing))
	}
	if len(d.away) > 0 {
		d.note(WishAvailable, len(d.away), "waiting for "+names(d.away), causeOf(CauseBroken, d.away))
		d.plan.Notes[len(d.plan.Notes)-1].Told = d.told
	}
	return d.plan
}

func (d *draft) step(s Step) {
	d.plan.Steps = append(d.plan.Steps, s)
	delete(d.overdue, s.Pod)
}

func (d *draft) note(wish Wish, pods int, because string, cause cause) {
	d.plan.Notes = append(d.plan.Notes, Note{Wish: wish, Pods: pods, Because: because, Cause: cause.Cause, Trouble: cause.trouble, Behind: cause.behind})
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}
