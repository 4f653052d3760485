package podset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kruise.io/kruise/plan/replica"
)

// fits says whether the budget lets a node change. A pod that serves goes only while fewer nodes than MaxUnavailable are
// without one, whatever the reason; and no more nodes than that change at a time, those whose pod does not serve among them,
// so that a bad revision stops by itself, and pods that may recover are not all recreated at once.
func (d *nodeDecision) fits(s *site) bool {
	if d.spent.changing >= d.most() {
		return false
	}
	return d.surges() || !s.available() || d.spent.away < d.most()
}

// spend takes a node from the budget.
func (d *nodeDecision) spend(s *site) {
	d.spent.changing++
	d.spent.away += one(!d.surges() && s.available())
}

// replaceDoomed replaces the pods that somebody asked to go: within the budget, unless they serve nobody any more.
func (d *nodeDecision) replaceDoomed() {
	var taken, waiting []*replica.Replica
	for i := range d.sites {
		s := &d.sites[i]
		if s.old == nil || !d.isDoomed(s.old) || !s.Keeps || s.new != nil || d.busy[s.old] || len(s.others().surplus) > 0 {
			continue
		}
		d.settled += one(s.Runs && !d.IsNew(s.old.Revision)) // its successor is of the newest revision
		const why = "it was asked to be deleted"
		switch {
		case !s.Runs || s.Lost || !s.old.Ready && !s.old.Available:
			d.remove(s.old, why, true, false)
		case !d.fits(s):
			waiting = append(waiting, s.old)
			continue
		case d.surges():
			d.spend(s)
			d.step(Step{Do: Create, Slot: s.Name, To: d.UpdateRevision, Why: s.old.Name + " was asked to be deleted"})
		default:
			d.spend(s)
			taken = append(taken, s.old)
			d.remove(s.old, why, true, false)
		}
	}
	if len(waiting) > 0 {
		d.note(WishScaleIn, len(waiting), d.nodesSpent(taken), causeOf(CauseBroken, d.away))
	}
}

// renewal is the update in progress: what could not be done, and why.
type renewal struct {
	// taken are the pods that it takes out of service.
	taken []*replica.Replica
	// lost and ineligible are pods on lost nodes, and on those that would take no other pod.
	lost, ineligible []*replica.Replica
	// later are pods on nodes where something else is done now.
	later []*replica.Replica
	// spent counts the pods for which the budget is spent; resizing is true when it is spent on resizes.
	spent    int
	resizing bool
}

// update brings old pods to the newest revision: of the nodes with the last names as many as the partition lets, those first
// whose pod is not available.
func (d *nodeDecision) update() {
	var up renewal
	candidates := d.candidates(&up)
	wanted := max(d.desired-d.Partition-d.settled, 0)
	candidates = candidates[:min(max(wanted-d.unsettling, 0), len(candidates))]
	if d.Partition > 0 { // those that are left are kept as they are
		up.lost, up.ineligible = first(wanted-len(candidates), up.lost), nil
	}
	up.later = first(wanted-len(candidates), up.later)
	if todo := len(candidates) + len(up.lost); d.Paused && todo > 0 {
		d.note(WishUpdate, todo, "the update is paused", cause{Cause: CausePaused})
		return
	} else if d.OnDelete && todo > 0 {
		d.note(WishUpdate, todo, "updateStrategy.type is OnDelete: pods get the new revision when they are deleted", cause{Cause: CauseOnDelete})
		return
	}
	slices.SortStableFunc(candidates, func(a, b *site) int { return one(a.old.Available) - one(b.old.Available) })
	d.plan.Steps = slices.Grow(d.plan.Steps, min(len(candidates), d.most()))
	ways := spender{draft: &d.draft, aim: aim{to: d.UpdateRevision}, methods: map[string]*method{}}
	for _, s := range candidates {
		d.renew(s, &ways, &up)
	}
	d.tellOf(&up)
}

// candidates are the sites whose pod is to be updated and can be, by name, the last first. The others go to the renewal.
func (d *nodeDecision) candidates(up *renewal) []*site {
	n := 0
	for i := range d.sites {
		n += one(d.sites[i].old != nil)
	}
	out := make([]*site, 0, n)
	for i := len(d.sites) - 1; i >= 0; i-- {
		s := &d.sites[i]
		switch {
		case s.old == nil || s.new != nil || d.isDoomed(s.old) || !s.Keeps || s.Excluded:
		case d.busy[s.old] || len(s.others().surplus) > 0:
			if s.Runs && !s.Lost {
				up.later = append(up.later, s.old)
			}
		case s.Lost:
			up.lost = append(up.lost, s.old)
		case !s.Runs:
			up.ineligible = append(up.ineligible, s.old)
		default:
			out = append(out, s)
		}
	}
	return out
}

// renew brings the pod of one site to the newest revision, if the budget lets.
func (d *nodeDecision) renew(s *site, ways *spender, up *renewal) {
	r, m := s.old, ways.method(s.old.Revision)
	why, inPlace := m.why, m.inPlace && !d.surges()
	if inPlace && m.change.Restarts() && !r.Gated {
		inPlace = false
		why += "; cannot be changed in place: it has no readiness gate InPlaceUpdateReady"
	}
	stays := inPlace && !m.change.Restarts()
	if !stays && !d.fits(s) || stays && m.change.Resizes() && d.spent.changing >= d.most() {
		up.spent++
		up.resizing = up.resizing || stays
		return
	}
	switch {
	case !stays:
		d.spend(s)
		up.taken = append(up.taken, r)
	case m.change.Resizes():
		d.spent.changing++
	}
	switch {
	case inPlace:
		d.step(Step{Do: Update, Pod: r, To: d.UpdateRevision, Why: why})
	case d.surges():
		d.step(Step{Do: Create, Slot: s.Name, To: d.UpdateRevision, Why: "a pod beside it has another revision"})
	default:
		d.recreate(r, why, false)
	}
}

// tellOf notes what is to be updated and is not.
func (d *nodeDecision) tellOf(up *renewal) {
	switch {
	case up.spent == 0:
	case up.resizing && len(d.resizing) > 0:
		d.note(WishUpdate, up.spent, fmt.Sprintf("maxUnavailable is %d, and no more pods are resized at a time", d.MaxUnavailable), causeOf(CauseResize, d.resizing))
	default:
		if d.surges() {
			up.taken = nil // these go on serving
		}
		d.note(WishUpdate, up.spent, d.nodesSpent(up.taken), d.waitsFor(up.taken, d.empty+len(d.lingering)))
	}
	if len(up.later) > 0 {
		d.note(WishUpdate, len(up.later), "something else is done on their nodes first: "+homes(up.later), cause{})
	}
	if len(up.lost) > 0 {
		d.note(WishUpdate, len(up.lost), "the kubelets of their nodes are silent: "+homes(up.lost), cause{Cause: CauseBroken, trouble: "NodeLost"})
	}
	if len(up.ineligible) > 0 {
		d.note(WishUpdate, len(up.ineligible), "their nodes take no new pod: "+homes(up.ineligible), cause{Cause: CauseNode})
	}
}

// nodesSpent names the budget and who uses it, with the pods that a step of this plan takes out of service.
func (d *nodeDecision) nodesSpent(taken []*replica.Replica) string {
	name, most := "maxUnavailable", d.most()
	if d.surges() {
		name = "maxSurge"
	}
	away := d.whoIsAway(taken, d.empty, "missing")
	if len(d.lingering) > 0 {
		away += " and some are ending where none is to be: " + names(d.lingering)
	}
	return fmt.Sprintf("%s is %d%s", name, most, cmp.Or(away, " and as many nodes are changing"))
}

// homes lists at most three nodes of pods, and counts the rest.
func homes(pods []*replica.Replica) string {
	const most = 3
	var names []string
	for _, r := range pods {
		names = append(names, r.Node)
	}
	slices.Sort(names)
	text := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

func burstReason(most int) string {
	return fmt.Sprintf("burstReplicas is %d, and the others follow", most)
}
