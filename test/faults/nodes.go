package faults

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

// changeNode begins or ends what is wrong with a node.
func (m *machine) changeNode(text string, is bool) error {
	number, what, _ := strings.Cut(text, " ")
	name := "node-" + number
	there := m.world.Node(name) != nil
	m.faults++
	var err error
	switch {
	case what == "gone" && is:
		m.world.RemoveNode(name)
	case what == "gone" && !there:
		m.world.AddNode(name)
	case what == "gone", !there:
	case what == "cordoned":
		err = m.world.Cordon(name, is)
	case what == "tainted":
		err = m.world.Taint(name, corev1.Taint{Key: "broken", Effect: corev1.TaintEffectNoExecute}, is)
	case what == "silent":
		err = m.world.LoseNode(name, is)
	case what == "full":
		m.world.Full[name] = is
	case what == "marked":
		err = m.world.ChangeNode(name, func(n *corev1.Node) {
			for key, value := range marked() {
				if n.Labels[key] = value; !is {
					delete(n.Labels, key)
				}
			}
		})
	default:
		err = fmt.Errorf("no node is %q", what)
	}
	clear(m.steady)
	m.absorb()
	return err
}

// heal ends all that is wrong with nodes.
func (m *machine) heal() {
	for _, node := range m.world.Nodes {
		for _, what := range []string{"cordoned", "tainted", "silent", "full"} {
			m.must(m.changeNode(strings.TrimPrefix(node.Name, "node-")+" "+what, false))
		}
	}
}

// nodeMatters says whether the controller is called for the change of a node.
func (p *process) nodeMatters(before, after client.Object) bool {
	b, _ := before.(*corev1.Node)
	a, _ := after.(*corev1.Node)
	for _, set := range cached[*v1beta1.DaemonSet](p.mirrors[daemonSetKind]) {
		if workload.NodeMatters(set, b, a) {
			return true
		}
	}
	return false
}

// census counts nodes as a reconcile must count them: by the pods in its caches, with all that was written since.
func (m *machine) census(v *view) story.NodeCensus {
	if v.wanted.perNode == nil {
		return story.NodeCensus{}
	}
	var pods []replica.Replica
	for uid, known := range v.pods {
		if !v.selected[uid] {
			continue
		}
		r := *known
		r.Terminating = r.Terminating || m.ledger.deleted[uid] > v.at
		if m.ledger.taken[uid] > v.at {
			r.Ready, r.Available = false, false
		}
		if m.ledger.revised[uid] > v.at {
			r.Revision = v.newest
		}
		switch {
		case m.ledger.moved[uid] <= v.at:
		case r.State == lifecycle.PreparingDelete:
			r.State = lifecycle.Normal
		default:
			r.State = lifecycle.PreparingDelete
		}
		pods = append(pods, r)
	}
	for _, pod := range m.active() { // one that was lost meanwhile may be replaced
		if m.ledger.created[pod.UID] > v.at && m.ledger.deleted[pod.UID] <= v.at && v.pods[pod.UID] == nil && ours(pod, v.set.GetUID()) {
			pods = append(pods, replica.Replica{Name: pod.Name, UID: pod.UID, Node: placement.NodeOf(pod), Revision: revisionOf(pod)})
		}
	}
	return story.NodeCensusOf(v.wanted.perNode, pods)
}

// podOnNodeCreated checks that the node is to have a pod, and one more, and that the update may begin there if that is what it is.
// were is how nodes were counted before.
func (m *machine) podOnNodeCreated(v *view, pod *corev1.Pod, were story.NodeCensus) {
	want, node := v.wanted.perNode, v.node(placement.NodeOf(pod))
	if !node.Runs {
		m.brokenf("pod %s is created for node %s, which is not to have one", pod.Name, placement.NodeOf(pod))
	}
	m.checkNodes(v, were)
	if want.PartitionedScaling && were.Empty(node) && were.Renewable(want) == 0 {
		m.brokenf("pod %s is created for node %s, which is to wait: the partition keeps %d without a new one", pod.Name, node.Name, want.Partition)
	}
	if were.OldOn(want, node) != nil {
		m.checkRenewal(v, node, were, pod.Name)
	}
}

// podOnNodeWritten checks what a change of a pod of a DaemonSet promises, which may take the pod away or update it.
func (m *machine) podOnNodeWritten(v *view, pod *replica.Replica, were story.NodeCensus, takes bool) {
	node := v.node(pod.Node)
	m.checkNodes(v, were)
	if old := were.OldOn(v.wanted.perNode, node); takes && old != nil && old.UID == pod.UID && pod.Active() {
		m.checkRenewal(v, node, were, pod.Name)
	}
}

func (m *machine) checkNodes(v *view, were story.NodeCensus) {
	if err := m.census(v).CheckAfter(were, v.wanted.perNode); err != nil {
		m.brokenf("%w", err)
	}
}

// checkRenewal checks that the only pod of a node may be replaced by a newer one.
func (m *machine) checkRenewal(v *view, node podset.Node, were story.NodeCensus, pod string) {
	want := v.wanted.perNode
	switch {
	case v.wanted.paused:
		m.brokenf("pod %s updates node %s, although the update is paused or OnDelete", pod, node.Name)
	case node.Excluded:
		m.brokenf("pod %s updates node %s, which the update leaves out", pod, node.Name)
	case were.Renewable(want) == 0:
		m.brokenf("pod %s updates node %s, the partition keeps %d", pod, node.Name, want.Partition)
	}
}

// node is what a reconcile knows of a node; the zero value if it knows nothing.
func (v *view) node(name string) podset.Node {
	for _, n := range v.wanted.perNode.Nodes {
		if n.Name == name {
			return n
		}
	}
	return podset.Node{}
}
