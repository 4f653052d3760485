package world

import (
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"

	"kruise.io/kruise/plan/placement"
)

// Node returns the node of a name, nil if there is none.
func (w *World) Node(name string) *corev1.Node {
	i := slices.IndexFunc(w.Nodes, func(n *corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return nil
	}
	return w.Nodes[i]
}

// AddNode adds a node that is ready.
func (w *World) AddNode(name string) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelHostname: name}}}
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	w.Nodes = append(w.Nodes, node)
}

// SetNodes has so many nodes take pods: node-0, node-1, and so on. What runs on others goes on running.
func (w *World) SetNodes(n int) {
	w.Nodes = slices.Clone(w.Nodes[:min(n, len(w.Nodes))])
	for i := len(w.Nodes); i < n; i++ {
		w.AddNode(fmt.Sprintf("node-%d", i))
	}
}

// RemoveNode takes a node away, with the pods that ran there. Those that wait for it stay.
func (w *World) RemoveNode(name string) {
	w.Nodes = slices.DeleteFunc(slices.Clone(w.Nodes), func(n *corev1.Node) bool { return n.Name == name })
	for _, pod := range slices.Clone(w.Pods) {
		if pod.Spec.NodeName == name {
			w.remove(pod)
		}
	}
}

// ChangeNode changes a node. Who read it before has it as it was.
func (w *World) ChangeNode(name string, change func(*corev1.Node)) error {
	i := slices.IndexFunc(w.Nodes, func(n *corev1.Node) bool { return n.Name == name })
	if i < 0 {
		return fmt.Errorf("there is no node %q", name)
	}
	w.Nodes = slices.Clone(w.Nodes)
	w.Nodes[i] = w.Nodes[i].DeepCopy()
	change(w.Nodes[i])
	return nil
}

// Taint gives a node a taint, or takes it away.
func (w *World) Taint(name string, taint corev1.Taint, there bool) error {
	return w.ChangeNode(name, func(n *corev1.Node) { setTaint(n, taint, there) })
}

func setTaint(n *corev1.Node, taint corev1.Taint, there bool) {
	n.Spec.Taints = slices.DeleteFunc(n.Spec.Taints, func(t corev1.Taint) bool { return t.MatchTaint(&taint) })
	if there {
		n.Spec.Taints = append(n.Spec.Taints, taint)
	}
}

// Cordon marks a node as one that takes no new pods, or ends that.
func (w *World) Cordon(name string, cordoned bool) error {
	return w.ChangeNode(name, func(n *corev1.Node) {
		n.Spec.Unschedulable = cordoned
		setTaint(n, corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}, cordoned)
	})
}

// LoseNode makes the kubelet of a node silent, or lets it speak again: while it is silent, its pods are not ready, do not change
// and do not end.
func (w *World) LoseNode(name string, silent bool) error {
	return w.ChangeNode(name, func(n *corev1.Node) {
		n.Status.Conditions[0].Status = corev1.ConditionTrue
		if silent {
			n.Status.Conditions[0].Status = corev1.ConditionUnknown
		}
		for _, effect := range []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectNoExecute} {
			setTaint(n, corev1.Taint{Key: corev1.TaintNodeUnreachable, Effect: effect}, silent)
		}
	})
}

// lost says whether the kubelet of a node is silent. One that the world does not know, as of a pod that was taken over, is not.
func (w *World) lost(name string) bool {
	node := w.Node(name)
	return node != nil && placement.Lost(node)
}

// schedule puts a pod on a node that it may run on.
func (w *World) schedule(pod *corev1.Pod) {
	var nodes []string
	for _, node := range w.Nodes {
		if w.takes(node, pod) {
			nodes = append(nodes, node.Name)
		}
	}
	if len(nodes) == 0 {
		w.condition(pod, corev1.PodScheduled, false, corev1.PodReasonUnschedulable)
	} else {
		w.serial++
		pod.Spec.NodeName = nodes[w.serial%len(nodes)]
		w.condition(pod, corev1.PodScheduled, true, "")
	}
	w.replace(pod)
}

func (w *World) takes(node *corev1.Node, pod *corev1.Pod) bool {
	if w.AnyNode {
		return true
	}
	_, repelled := schedulingv1.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, pod.Spec.Tolerations, func(t *corev1.Taint) bool {
		return t.Effect != corev1.TaintEffectPreferNoSchedule
	}, true)
	fits, err := nodeaffinity.GetRequiredNodeAffinity(pod).Match(node)
	return fits && err == nil && !repelled && !w.Full[node.Name]
}
