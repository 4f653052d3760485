package story

import (
	"errors"
	"fmt"
	"slices"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// NodeCensus counts nodes as the promises of podset.PerNode speak of them.
type NodeCensus struct {
	// Desired are the nodes that are to have a pod, Available those of them with one that is available, and Settled those
	// whose pod is of the newest revision or will be.
	Desired, Available, Settled int
	// Old, Doomed and Away are those of them with a pod that is old, that was asked to go, and without an available pod.
	// Lost nodes and those excluded from the update have no old pods.
	Old, Doomed, Away int
	// Held are those without any pod.
	Held int
	// pods are the pods of each node that stay.
	pods map[string][]*replica.Replica
}

// NodeCensusOf counts nodes.
func NodeCensusOf(want *podset.PerNode, pods []replica.Replica) NodeCensus {
	c := NodeCensus{pods: map[string][]*replica.Replica{}}
	going := map[string]bool{}
	for i := range pods {
		r := &pods[i]
		if r.Active() && r.State != lifecycle.PreparingDelete {
			c.pods[r.Node] = append(c.pods[r.Node], r)
		} else {
			going[r.Node] = true
		}
	}
	for _, n := range want.Nodes {
		if !n.Runs {
			continue
		}
		here := c.pods[n.Name]
		has := func(is func(*replica.Replica) bool) int { return yes(slices.ContainsFunc(here, is)) }
		isNew := has(func(r *replica.Replica) bool { return want.IsNew(r.Revision) })
		available := has(func(r *replica.Replica) bool { return r.Available })
		c.Desired++
		c.Available += available
		c.Away += 1 - available
		c.Held += yes(len(here) == 0 && !going[n.Name])
		c.Settled += max(isNew, yes(len(here) == 0 && going[n.Name]))
		c.Doomed += has(func(r *replica.Replica) bool { return r.SpecifiedDelete })
		if isNew == 0 && !n.Lost && !n.Excluded {
			c.Old += has(func(r *replica.Replica) bool { return !r.SpecifiedDelete })
		}
	}
	return c
}

func yes(is bool) int {
	if is {
		return 1
	}
	return 0
}

// Floor is the number of nodes with an available pod below which no step may bring them. Nodes that are kept without a pod do not
// count as ones that lack it.
func (c NodeCensus) Floor(want *podset.PerNode) int {
	if want.MaxSurge > 0 {
		return c.Available
	}
	kept := 0
	if want.PartitionedScaling {
		kept = max(c.Held-c.Renewable(want), 0)
	}
	return min(c.Available, c.Desired-kept-want.MaxUnavailable)
}

// OldOn is the pod of a node that is to be updated: the only one of a node that is to have one, of an older revision, that nobody
// asked to go. Nil: there is none.
func (c NodeCensus) OldOn(want *podset.PerNode, node podset.Node) *replica.Replica {
	here := c.pods[node.Name]
	if len(here) == 1 && node.Runs && !here[0].SpecifiedDelete && !want.IsNew(here[0].Revision) {
		return here[0]
	}
	return nil
}

// Empty says whether a node that is to have a pod has none.
func (c NodeCensus) Empty(node podset.Node) bool { return node.Runs && len(c.pods[node.Name]) == 0 }

// Renewable is how many old pods the partition lets go.
func (c NodeCensus) Renewable(want *podset.PerNode) int {
	return max(c.Desired-want.Partition-c.Settled, 0)
}

// CheckAfter says which promise a write broke: what was before is given.
func (c NodeCensus) CheckAfter(before NodeCensus, want *podset.PerNode) error {
	if floor := before.Floor(want); c.Available < floor {
		return fmt.Errorf("%d nodes have an available pod after a write, at least %d must", c.Available, floor)
	}
	most := 1 + yes(want.MaxSurge > 0)
	for node, here := range c.pods {
		if n := len(here); n > most && n > len(before.pods[node]) {
			return fmt.Errorf("node %q has %d pods after a write, at most %d are allowed", node, n, most)
		}
	}
	return nil
}

// CheckNodePlan says which promise a plan for these pods breaks: one step for a pod, its life cycle, no pod where none is to be,
// the partition, the pause, and a note for all that is wanted and makes no step.
func CheckNodePlan(want *podset.PerNode, pods []replica.Replica, plan podset.Plan) error {
	if _, err := Moves(plan, want.IsNew); err != nil {
		return err
	}
	c := NodeCensusOf(want, pods)
	byName, touched, renewed, asked := map[string]podset.Node{}, map[string]bool{}, 0, 0
	left, seen := c, map[string]bool{}
	for _, n := range want.Nodes {
		byName[n.Name] = n
	}
	for _, s := range plan.Steps {
		here, node := c.pods[s.Slot], byName[s.Slot]
		if s.Do != podset.Create {
			here, node = c.pods[s.Pod.Node], byName[s.Pod.Node]
			if touched[s.Pod.Name] {
				return fmt.Errorf("two steps for pod %s", s.Pod.Name)
			}
			touched[s.Pod.Name] = true
		} else if !node.Runs || len(here) > yes(want.MaxSurge > 0) && !slices.ContainsFunc(plan.Steps, func(o podset.Step) bool {
			return o.Pod != nil && o.Pod.Node == s.Slot && o.Do != podset.Settle
		}) {
			return fmt.Errorf("a pod is created on node %q, which is not to have one more", s.Slot)
		}
		if node.Runs && !seen[node.Name] {
			seen[node.Name] = true
			left.take(want, here, s.Do == podset.Create)
		}
		takes := s.Do != podset.Settle && s.Do != podset.Apply
		if takes && node.Runs && len(here) == 1 && here[0].SpecifiedDelete && !want.IsNew(here[0].Revision) {
			asked++ // whoever asked for it, what comes is of the newest revision
		}
		if old := c.OldOn(want, node); takes && old != nil && (s.Do == podset.Create || s.Pod.Name == old.Name) {
			renewed++
			if want.Paused || want.OnDelete {
				return fmt.Errorf("pod %s is replaced although the update is paused or on delete", old.Name)
			}
		}
	}
	if may := max(c.Renewable(want)-asked, 0); renewed > may {
		return fmt.Errorf("%d old pods go, the partition lets %d", renewed, may)
	}
	return left.checkNotes(want, plan)
}

// take takes a node that is to have a pod off what is left to be done, since something is done there. here are its pods.
func (c *NodeCensus) take(want *podset.PerNode, here []*replica.Replica, creates bool) {
	has := func(is func(*replica.Replica) bool) bool { return slices.ContainsFunc(here, is) }
	c.Away -= yes(!has(func(r *replica.Replica) bool { return r.Available }))
	c.Doomed -= yes(has(func(r *replica.Replica) bool { return r.SpecifiedDelete }))
	old := len(here) > 0 && !has(func(r *replica.Replica) bool { return want.IsNew(r.Revision) })
	filled := len(here) == 0 && creates
	c.Old -= yes(old)
	c.Held -= yes(filled)
	c.Settled += yes(old || filled)
}

// checkNotes checks that a plan says why every wish waits that makes no step. The census is what the steps leave to be done.
func (c NodeCensus) checkNotes(want *podset.PerNode, plan podset.Plan) error {
	for _, n := range plan.Notes {
		if n.Wish == podset.WishScaleOut && n.Cause == "" { // by pods that follow
			c.Settled += n.Pods
		}
	}
	has := func(wishes ...podset.Wish) bool {
		return slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return n.Because != "" && slices.Contains(wishes, n.Wish) })
	}
	switch {
	case c.Held > 0 && !has(podset.WishScaleOut):
		return errors.New("nodes have no pod, and no note says why")
	case c.Doomed > 0 && !has(podset.WishScaleIn, podset.WishAvailable):
		return errors.New("pods were asked to go, and no note says why they stay")
	case min(c.Old, c.Renewable(want)) > 0 && !has(podset.WishUpdate):
		return errors.New("pods are old, and no note says why")
	case c.Away > 0 && !has(podset.WishAvailable, podset.WishScaleOut, podset.WishScaleIn):
		return errors.New("nodes have no available pod, and no note says so")
	}
	return nil
}
