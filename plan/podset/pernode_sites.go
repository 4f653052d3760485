package podset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// site is a node with its pods.
type site struct {
	*Node
	// new is the pod of the newest revision that is to stay, old the one that is to be replaced: because of its revision, or
	// because somebody asked for it to go.
	new, old *replica.Replica
	// more holds other pods; nearly no site has any.
	more *more
	// held is true when the node is kept without a pod.
	held bool
}

// more are pods beside the two of a site: surplus ones, leaving those in PreparingDelete, ending those that are being deleted, and
// failed those that have ended by themselves.
type more struct{ surplus, leaving, ending, failed []*replica.Replica }

// others are the other pods of the site, to be read.
func (s *site) others() more {
	if s.more == nil {
		return more{}
	}
	return *s.more
}

// spare takes pods for surplus.
func (s *site) spare(pods ...*replica.Replica) {
	if len(pods) == 0 {
		return
	}
	s.crowd().surplus = append(s.crowd().surplus, pods...)
}

// crowd are the other pods of the site, to be added to.
func (s *site) crowd() *more {
	if s.more == nil {
		s.more = &more{}
	}
	return s.more
}

// available says whether a pod of the site is.
func (s *site) available() bool {
	return s.new != nil && s.new.Available || s.old != nil && s.old.Available
}

// ready says whether a pod of the site is, be it one that a hook holds before it goes.
func (s *site) ready() bool {
	return s.new != nil && s.new.Ready || s.old != nil && s.old.Ready ||
		slices.ContainsFunc(s.others().leaving, func(r *replica.Replica) bool { return r.Ready })
}

// bare says whether the site has no pod at all that is there to stay.
func (s *site) bare() bool { return s.new == nil && s.old == nil }

// vacant says whether a pod may be created to fill the site.
func (s *site) vacant() bool { return s.Runs && !s.used() }

// used says whether anything is on the site.
func (s *site) used() bool {
	return !s.bare() || s.more != nil && len(s.more.leaving)+len(s.more.ending)+len(s.more.failed) > 0
}

// settle gives each pod its site, and counts for the status. It returns the pods that wait for a node that is no more; those
// that ran on one are deleted by the garbage collector of Kubernetes.
func (d *nodeDecision) settle(pods []replica.Replica) (homeless []*replica.Replica) {
	d.sites = make([]site, len(d.Nodes))
	places := make(map[string]int32, len(d.Nodes))
	for i := range d.Nodes {
		d.sites[i].Node = &d.Nodes[i]
		places[d.Nodes[i].Name] = int32(i)
	}
	for i := range pods {
		r := &pods[i]
		if r.Active() {
			d.count(r)
		}
		if at, known := places[r.Node]; known {
			d.sites[at].add(r, !d.IsNew(r.Revision) || d.isDoomed(r))
		} else if r.Active() && !r.Scheduled && r.State != lifecycle.PreparingDelete {
			homeless = append(homeless, r)
		}
	}
	d.tally()
	d.desired = d.plan.Tally.Desired
	d.draft.rules.Replicas = d.desired
	return homeless
}

func (s *site) add(r *replica.Replica, isOld bool) {
	place := &s.new
	if isOld {
		place = &s.old
	}
	switch {
	case r.Terminating:
		s.crowd().ending = append(s.crowd().ending, r)
	case r.Phase == replica.Ended:
		s.crowd().failed = append(s.crowd().failed, r)
	case r.State == lifecycle.PreparingDelete:
		s.crowd().leaving = append(s.crowd().leaving, r)
	case *place == nil:
		*place = r
	case serves(r, *place) < 0:
		s.spare(*place)
		*place = r
	default:
		s.spare(r)
	}
}

// serves puts the pod first that is to stay of two on one node: which is available, is ready, has a node, is older.
func serves(a, b *replica.Replica) int {
	return cmp.Or(one(b.Available)-one(a.Available), one(b.Ready)-one(a.Ready), one(b.Scheduled)-one(a.Scheduled),
		one(a.SpecifiedDelete)-one(b.SpecifiedDelete), a.Created.Compare(b.Created), strings.Compare(a.Name, b.Name))
}

// tally counts nodes for the status. A node counts as updated once its old pod is gone, so that a rollout with surge is not
// said to be complete before its last new pod serves.
func (d *nodeDecision) tally() {
	t := Tally{}
	for i := range d.sites {
		s := &d.sites[i]
		if !s.Runs {
			t.Misscheduled += one(s.used() && !s.Keeps || !s.bare())
			continue
		}
		t.Desired++
		t.Excluded += one(s.Excluded && s.old != nil && s.new == nil && !d.IsNew(s.old.Revision))
		others := s.others()
		there := !s.bare() || len(others.leaving)+len(others.surplus) > 0
		available, updated := s.available(), s.old == nil && len(others.leaving) == 0 && s.new != nil
		updated = updated || s.old != nil && s.new == nil && d.IsNew(s.old.Revision)
		t.Replicas += one(there)
		t.Ready += one(s.ready())
		t.Available += one(available)
		t.Updated += one(updated)
		t.UpdatedReady += one(updated && (s.new != nil && s.new.Ready || s.new == nil && s.old.Ready))
		t.UpdatedAvailable += one(updated && available)
	}
	t.ExpectedUpdated = max(t.Desired-max(d.Partition, t.Excluded), 0)
	d.plan.Tally = t
}

// clean deletes what does not belong: pods on nodes that are not to have one, pods that ended by themselves, and all but the
// best of several on a node.
func (d *nodeDecision) clean() {
	var failed, waiting []*replica.Replica
	for i := range d.sites {
		s := &d.sites[i]
		failed, waiting = d.sortFailed(s, failed, waiting)
		if !s.Keeps {
			s.spare(present(s.new, s.old)...)
		} else {
			d.thin(s)
		}
		if surplus := s.others().surplus; len(surplus) > 0 { // seldom
			d.sendAway(surplus, s.whyNot())
		}
	}
	for _, r := range order.Sorted(failed) { // no hook is waited for: nothing runs in it any more
		d.step(Step{Do: Delete, Pod: r, Why: "it ended, and another one is to take its place"})
	}
	if len(waiting) > 0 {
		d.note(WishScaleOut, len(waiting), "pods failed there again and again, and a while passes before the next attempt: "+names(waiting),
			cause{Cause: CauseBroken, trouble: "Failed"})
	}
}

// sortFailed sorts the pods of a site that ended into those that are deleted now, and those for which it is too early.
func (d *nodeDecision) sortFailed(s *site, failed, waiting []*replica.Replica) (now, later []*replica.Replica) {
	here := s.others().failed
	if len(here) == 0 { // nearly always
		return failed, waiting
	}
	if s.Keeps && d.now.Before(s.RetryAt) {
		d.plan.wakeAt(s.RetryAt)
		return failed, append(waiting, here...)
	}
	return append(failed, here...), waiting
}

// thin has one pod stay on a site where there are an old and a new one, unless they are to be there side by side. With a
// surge, the old one goes when the new one is available, or when it does not serve itself: it may be what keeps the new one
// from starting.
func (d *nodeDecision) thin(s *site) {
	if s.old == nil || s.new == nil {
		return
	}
	switch {
	case d.surges() && s.new.Available:
		d.sendAway(present(s.old), "its successor is available")
		s.old = nil
	case d.surges() && !s.old.Ready && !s.old.Available:
		d.sendAway(present(s.old), "it is not ready, and its successor is there")
		s.old = nil
	case d.surges():
	case serves(s.new, s.old) < 0:
		s.spare(s.old)
		s.old = nil
	default:
		s.spare(s.new)
		s.new = nil
	}
}

// whyNot says why the surplus of a site is one.
func (s *site) whyNot() string {
	if s.Keeps {
		return fmt.Sprintf("node %s has another one", s.Name)
	}
	return fmt.Sprintf("node %s is not to run it", s.Name)
}

func present(pods ...*replica.Replica) []*replica.Replica {
	return slices.DeleteFunc(pods, func(r *replica.Replica) bool { return r == nil })
}

// sendAway deletes pods whatever the budget says, those that have no other step.
func (d *nodeDecision) sendAway(pods []*replica.Replica, why string) {
	if len(pods) > 1 { // seldom
		pods = order.Sorted(pods)
	}
	for _, r := range pods {
		if !d.busy[r] {
			d.remove(r, why, true, false)
		}
	}
}

// fill creates the pods of nodes that have none, in the order of the nodes.
func (d *nodeDecision) fill() {
	vacant := 0
	for i := range d.sites {
		s := &d.sites[i]
		vacant += one(s.vacant())
		willBeNew := s.new != nil || s.old != nil && d.IsNew(s.old.Revision) || s.Runs && s.bare() && s.used()
		d.settled += one(s.Runs && willBeNew)
		isNew := func(r *replica.Replica) bool { return d.IsNew(r.Revision) }
		d.unsettling += one(s.Runs && !willBeNew && slices.ContainsFunc(s.others().surplus, isNew))
	}
	d.plan.Steps = slices.Grow(d.plan.Steps, vacant)
	most := len(d.sites)
	if d.PartitionedScaling {
		most = max(d.desired-d.settled-d.Partition, 0)
	}
	made, held := 0, 0
	var awaited []*replica.Replica
	for i := range d.sites {
		s := &d.sites[i]
		switch {
		case !s.vacant():
			if others := s.others(); s.Runs && s.bare() && len(others.leaving)+len(others.failed) == 0 {
				awaited = append(awaited, others.ending...)
			}
		case made == most:
			s.held = true
			held++
		default:
			made++
			d.settled++
			d.step(Step{Do: Create, Slot: s.Name, To: d.UpdateRevision, Why: "its node has none"})
		}
	}
	if held > 0 {
		d.note(WishScaleOut, held, fmt.Sprintf("partition is %d, and scaleStrategy.partitionedScaling is set", d.Partition), cause{Cause: CauseScaleLimit})
	}
	if len(awaited) > 0 {
		d.note(WishScaleOut, len(awaited), "waiting for the end of "+names(awaited), cause{})
	}
}

// countBudget counts what the budget is spent on: nodes without an available pod, and nodes that are changing, which have a
// pod of the newest revision that is not available or not resized yet, or are about to get one. What becomes of a lost node
// says nothing of the revision.
func (d *nodeDecision) countBudget() {
	for i := range d.sites {
		s := &d.sites[i]
		counts := s.Runs || d.CountIneligible && s.used()
		if !counts || s.held {
			continue
		}
		d.empty += one(s.Runs && s.bare() && len(s.others().leaving) == 0)
		if !s.Runs && s.bare() {
			d.lingering = append(d.lingering, s.others().ending...)
		}
		d.spent.away += one(!s.available())
		changing := s.Runs && s.bare() || s.new != nil && (!s.new.Available || s.new.Stage != inplace.Done)
		d.spent.changing += one(changing && !s.Lost)
	}
}
