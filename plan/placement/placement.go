// Package placement decides on which nodes a pod of a template is to run, for workloads with a pod for each node.
//
// It promises the rules of the DaemonSets of Kubernetes
// (https://kubernetes.io/docs/concepts/workloads/controllers/daemonset/#how-daemon-pods-are-scheduled): the node selector and
// the required node affinity of the template decide where pods belong, taints of the effects NoSchedule and NoExecute keep
// new pods away unless they are tolerated, and only NoExecute drives running ones out. Pods tolerate by themselves what
// befalls every node at some time, a cordon among it. Capacity is no concern here: where a pod does not fit, it waits.
// Virtual nodes are left alone.
package placement

import (
	"fmt"
	"slices"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
	"k8s.io/component-helpers/scheduling/corev1/nodeaffinity"
)

// Verdict is what a node means for the pods of a template.
type Verdict struct {
	// Runs is true where a pod is to run, and may be created.
	Runs bool
	// Keeps is true where a pod that runs there already goes on.
	Keeps bool
}

// Rule tells nodes apart for one template. It may be used by several at a time.
type Rule struct {
	nodeName    string
	affinity    nodeaffinity.RequiredNodeAffinity
	tolerations []corev1.Toleration
}

// RuleOf reads the rule of a template.
func RuleOf(template *corev1.PodTemplateSpec) *Rule {
	return &Rule{
		nodeName:    template.Spec.NodeName,
		affinity:    nodeaffinity.NewRequiredNodeAffinity(template.Spec.NodeSelector, template.Spec.Affinity),
		tolerations: Tolerations(&template.Spec),
	}
}

// On says what a node means for the pods. An affinity that cannot be read is an error, unless another of its terms matches.
func (r *Rule) On(node *corev1.Node) (Verdict, error) {
	if Virtual(node) {
		return Verdict{Keeps: true}, nil
	}
	if r.nodeName != "" && r.nodeName != node.Name {
		return Verdict{}, nil
	}
	matches, err := r.affinity.Match(node)
	if err != nil {
		return Verdict{}, fmt.Errorf("spec.template.spec.affinity.nodeAffinity: %w", err)
	}
	if !matches {
		return Verdict{}, nil
	}
	return Verdict{
		Runs:  !r.repelled(node, corev1.TaintEffectNoExecute, corev1.TaintEffectNoSchedule),
		Keeps: !r.repelled(node, corev1.TaintEffectNoExecute),
	}, nil
}

// repelled says whether a node has a taint of one of the effects that the pods do not tolerate.
func (r *Rule) repelled(node *corev1.Node, effects ...corev1.TaintEffect) bool {
	if len(node.Spec.Taints) == 0 { // nearly always
		return false
	}
	_, found := schedulingv1.FindMatchingUntoleratedTaint(logr.Discard(), node.Spec.Taints, r.tolerations, func(t *corev1.Taint) bool {
		return slices.Contains(effects, t.Effect)
	}, true)
	return found
}

// Virtual says whether a node stands for something that is no machine, whose provider sees to what runs there.
func Virtual(node *corev1.Node) bool { return node.Labels["type"] == "virtual-kubelet" }

// Lost says whether nobody has heard of the kubelet of a node for some time: what is asked of its pods is not done. A node
// that is not ready but reports is not lost: its pods, on which it may wait, can be changed.
func Lost(node *corev1.Node) bool {
	for i := range node.Status.Conditions {
		if c := &node.Status.Conditions[i]; c.Type == corev1.NodeReady {
			return c.Status == corev1.ConditionUnknown
		}
	}
	return false
}

// Tolerations are those of a pod with the ones that every pod of a DaemonSet has: it stays on nodes that are not ready or out
// of reach, and is created on nodes that are cordoned or short of disk, memory or processes; on the network of the node, also
// where the network is not there yet.
func Tolerations(spec *corev1.PodSpec) []corev1.Toleration {
	out := slices.Clone(spec.Tolerations)
	tolerate := func(key string, effect corev1.TaintEffect) {
		t := corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect}
		if !slices.ContainsFunc(out, func(other corev1.Toleration) bool { return other.MatchToleration(&t) }) {
			out = append(out, t)
		}
	}
	tolerate(corev1.TaintNodeNotReady, corev1.TaintEffectNoExecute)
	tolerate(corev1.TaintNodeUnreachable, corev1.TaintEffectNoExecute)
	tolerate(corev1.TaintNodeDiskPressure, corev1.TaintEffectNoSchedule)
	tolerate(corev1.TaintNodeMemoryPressure, corev1.TaintEffectNoSchedule)
	tolerate(corev1.TaintNodePIDPressure, corev1.TaintEffectNoSchedule)
	tolerate(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	if spec.HostNetwork {
		tolerate(corev1.TaintNodeNetworkUnavailable, corev1.TaintEffectNoSchedule)
	}
	return out
}

// nameField is the field of a node by which a pod is bound to it.
const nameField = "metadata.name"

// Pin has the scheduler put a pod on a node and nowhere else. What else the pod requires of its node was looked at already; what
// it prefers stays.
func Pin(spec *corev1.PodSpec, node string) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchFields: []corev1.NodeSelectorRequirement{{Key: nameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node}}},
		}},
	}
}

// NodeOf is the node that a pod runs on or is pinned to; empty for none.
func NodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" {
		return pod.Spec.NodeName
	}
	a := pod.Spec.Affinity
	if a == nil || a.NodeAffinity == nil || a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil {
		return ""
	}
	for _, term := range a.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution.NodeSelectorTerms {
		for _, field := range term.MatchFields {
			if field.Key == nameField && field.Operator == corev1.NodeSelectorOpIn && len(field.Values) == 1 {
				return field.Values[0]
			}
		}
	}
	return ""
}
