package podset

import (
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/replica"
)

// PerNode is what is wanted of a set that has one pod on each node. A pod's Node says where it is or will be.
type PerNode struct {
	// Nodes are the nodes of the cluster, in the order of their names.
	Nodes []Node
	// Rolling holds the budget of the rolling update, in nodes. With a surge, a new pod runs beside the old one until it is
	// available; then MaxUnavailable counts for nothing. Otherwise MaxUnavailable is at least 1.
	budget.Rolling
	// Burst bounds how many pods are created, deleted and updated in place by one plan. At least 1.
	Burst int
	// PartitionedScaling leaves nodes without a pod where a new one would be more than the partition lets be.
	PartitionedScaling bool
	// CountIneligible counts nodes against MaxUnavailable that have a pod and are not to have one.
	CountIneligible bool
	// Paused stops the update.
	Paused bool
	// OnDelete leaves every pod as it is; only new pods get the newest revision.
	OnDelete bool
	// Policy says how one pod is updated.
	Policy v1beta1.PodUpdatePolicyType
	// NotReadyForDelete keeps pods out of service while their hook holds them.
	NotReadyForDelete bool
	// UpdateRevision is the name of the newest revision.
	UpdateRevision string
	// NewName makes up the name of a pod, another one each time. Nil leaves pods without.
	NewName func() string
	// Change tells how to get in place from a revision, named as on a pod, to another.
	Change func(from, to string) inplace.Change
}

// Node is what is known of a node.
type Node struct {
	// Name is its name.
	Name string
	// Verdict says whether the node is to have a pod.
	placement.Verdict
	// Lost is true when nobody has heard of its kubelet for some time, so that pods there cannot be changed.
	Lost bool
	// Excluded is true when pods there are not to be updated.
	Excluded bool
	// RetryAt is when a pod there that failed may be replaced. The zero value means at once.
	RetryAt time.Time
}

// nodeDecision is the work in progress on one plan.
type nodeDecision struct {
	*PerNode
	draft
	sites []site
	// busy are the pods that have a step from their life cycle.
	busy map[*replica.Replica]bool
	// desired counts the nodes that are to have a pod, settled those whose pod is of the newest revision or will be.
	desired, settled int
	// unsettling counts those whose new pod is sent away, and is there until that is done.
	unsettling int
	// spent is the budget that is in use.
	spent struct{ away, changing int }
	// empty counts the nodes that are to have a pod, have none, and are not kept without one.
	empty int
	// lingering are pods that are ending on nodes that are not to have one, where such nodes count.
	lingering []*replica.Replica
}

// Plan decides what to do now.
func (p *PerNode) Plan(now time.Time, pods []replica.Replica) Plan {
	isDoomed := func(r *replica.Replica) bool { return r.SpecifiedDelete }
	d := &nodeDecision{PerNode: p, draft: newDraft(now, p.rules(), isDoomed)}
	homeless := d.settle(pods)
	d.observe(pods)
	d.busy = make(map[*replica.Replica]bool, len(d.plan.Steps))
	for _, s := range d.plan.Steps {
		d.busy[s.Pod] = true
	}
	before := len(d.plan.Steps)
	d.sendAway(homeless, "its node is gone")
	d.clean()
	d.finishLeaving(func(int, *replica.Replica) bool { return false })
	d.fill()
	d.plan.Scaling = len(d.plan.Steps) > before
	d.countBudget()
	d.replaceDoomed()
	updates := len(d.plan.Steps)
	d.update()
	d.applyOverdue()
	d.bound(updates)
	d.name()
	return d.close()
}

// IsNew says whether a revision label names the newest revision, in its long or its short form.
func (p *PerNode) IsNew(label string) bool { return sameRevision(label, p.UpdateRevision) }

// surges says whether new pods run beside old ones.
func (p *PerNode) surges() bool { return p.MaxSurge > 0 }

// most is how many nodes may change at a time.
func (p *PerNode) most() int {
	if p.surges() {
		return p.MaxSurge
	}
	return max(p.MaxUnavailable, 1)
}

func (p *PerNode) rules() Rules {
	return Rules{
		MaxUnavailable: p.MaxUnavailable, Paused: p.Paused, OnDelete: p.OnDelete, Policy: p.Policy,
		NotReadyForDelete: p.NotReadyForDelete, UpdateRevision: p.UpdateRevision, Change: p.Change,
	}
}

// bound leaves out what is more than Burst of each sort. The next decision finds it again. The steps from updates on are those
// of the update.
func (d *nodeDecision) bound(updates int) {
	most := max(d.Burst, 1)
	wishes := map[Do]Wish{Create: WishScaleOut, Delete: WishScaleIn, Update: WishUpdate}
	taken, over := map[Do]int{}, map[Wish]int{}
	kept := d.plan.Steps[:0]
	for i, s := range d.plan.Steps {
		do := s.Do
		if do == Move {
			do = Delete
		}
		if wish := wishes[do]; wish != "" && taken[do] == most {
			if i >= updates {
				wish = WishUpdate
			}
			over[wish]++
			continue
		}
		taken[do]++
		kept = append(kept, s)
	}
	d.plan.Steps = kept
	for _, wish := range []Wish{WishScaleOut, WishScaleIn, WishUpdate} {
		if over[wish] > 0 {
			d.note(wish, over[wish], burstReason(most), cause{})
		}
	}
}

// name names the pods to create, in the order of the steps: what is told of them does not depend on which comes about first.
func (d *nodeDecision) name() {
	if d.NewName == nil {
		return
	}
	for i := range d.plan.Steps {
		if s := &d.plan.Steps[i]; s.Do == Create {
			s.Name = d.NewName()
		}
	}
}
