// Package affinity decides where the pods of a StatefulSet, or of a workload that names its pods alike, are to run again: what to remember of a pod, for how long, and
// what that means for the pod that is created in its place.
//
// It promises: what is remembered of a pod is what was true when it was last ready, and changes with nothing else; a pod that had to return
// and was created without being told to does not make that forgotten; a pod that
// is there is never forgotten, nor one that the workload still wants; with the policy WhenDeleted none is before the workload
// goes; what the author of a pod wrote is never changed, and injecting twice changes nothing; a pod of which nothing is
// remembered is left as it is.
package affinity

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Target names a workload in a namespace, whatever the version of its kind.
type Target struct {
	schema.GroupKind
	Name string
}

// TargetOf is the workload of a reference. ok is false when its apiVersion is none.
func TargetOf(apiVersion, kind, name string) (target Target, ok bool) {
	gv, err := schema.ParseGroupVersion(apiVersion)
	return Target{GroupKind: schema.GroupKind{Group: gv.Group, Kind: kind}, Name: name}, err == nil
}

// Of is the workload that an object remembers. ok is false when its apiVersion is none.
func Of(state *v1beta1.PersistentPodState) (target Target, ok bool) {
	ref := state.Spec.TargetReference
	return TargetOf(ref.APIVersion, ref.Kind, ref.Name)
}

// Owner is the workload that a pod belongs to. ok is false for a pod that belongs to none.
func Owner(pod *corev1.Pod) (target Target, ok bool) {
	ref := metav1.GetControllerOfNoCopy(pod)
	if ref == nil {
		return Target{}, false
	}
	return TargetOf(ref.APIVersion, ref.Kind, ref.Name)
}

// Known says whether pods of the kind have names by ordinal, and so come back under the same name.
func Known(kind schema.GroupKind) bool {
	return kind.Kind == "StatefulSet" && (kind.Group == "apps" || kind.Group == v1beta1.GroupName)
}

// Workload is what the decision needs to know of a workload that is there and is not being deleted.
type Workload struct {
	Name string
	// Ordinals are those of the pods that it is to have, the lowest first. Where AnyOrdinal is true that is not known: none
	// is forgotten while the workload is there.
	Ordinals   []int
	AnyOrdinal bool
	// Pods are the pods that it owns.
	Pods []*corev1.Pod
}

// Remember returns what is to be remembered of the pods of a workload. workload is nil when it is gone, or going. node finds a
// node by its name.
func Remember(state *v1beta1.PersistentPodState, workload *Workload, node func(name string) (*corev1.Node, bool)) map[string]v1beta1.PodState {
	if workload == nil {
		return nil
	}
	states := maps.Clone(state.Status.PodStates)
	if states == nil {
		states = map[string]v1beta1.PodState{}
	}
	there := map[string]bool{}
	for _, pod := range workload.Pods {
		there[pod.Name] = true
		if pod.DeletionTimestamp != nil || !ready(pod) || missed(state, pod) == mustReturn {
			continue
		}
		if n, ok := node(pod.Spec.NodeName); ok { // a node that is not known says nothing yet
			states[pod.Name] = stateOf(&state.Spec, pod, n)
		}
	}
	if state.Spec.PersistentPodStateRetentionPolicy != v1beta1.PersistentPodStateRetentionPolicyWhenDeleted && !workload.AnyOrdinal {
		maps.DeleteFunc(states, func(name string, _ v1beta1.PodState) bool { return !there[name] && !workload.wants(name) })
	}
	return states
}

// stateOf is what a pod on a node is remembered by. A label or annotation that is not there is not remembered.
func stateOf(spec *v1beta1.PersistentPodStateSpec, pod *corev1.Pod, node *corev1.Node) v1beta1.PodState {
	state := v1beta1.PodState{NodeName: node.Name, NodeTopologyLabels: pick(node.Labels, topologyKeys(spec))}
	var keys []string
	for _, a := range spec.PersistentPodAnnotations {
		keys = append(keys, a.Key)
	}
	state.Annotations = pick(pod.Annotations, keys)
	return state
}

// topologyKeys are all keys of labels that a spec names.
func topologyKeys(spec *v1beta1.PersistentPodStateSpec) []string {
	var keys []string
	if spec.RequiredPersistentTopology != nil {
		keys = append(keys, spec.RequiredPersistentTopology.NodeTopologyKeys...)
	}
	for i := range spec.PreferredPersistentTopology {
		keys = append(keys, spec.PreferredPersistentTopology[i].Preference.NodeTopologyKeys...)
	}
	return keys
}

// pick is what a map has under certain keys; nil for nothing.
func pick(from map[string]string, keys []string) map[string]string {
	var out map[string]string
	for _, key := range keys {
		if value, ok := from[key]; ok {
			if out == nil {
				out = map[string]string{}
			}
			out[key] = value
		}
	}
	return out
}

// wants says whether a name is that of a pod which the workload is to have.
func (w *Workload) wants(name string) bool {
	text, ok := strings.CutPrefix(name, w.Name+"-")
	ordinal, err := strconv.Atoi(text)
	if !ok || err != nil || strconv.Itoa(ordinal) != text { // web-01 is not web-1
		return false
	}
	_, found := slices.BinarySearch(w.Ordinals, ordinal)
	return found
}

func ready(pod *corev1.Pod) bool {
	return conditionOf(pod, corev1.PodReady).Status == corev1.ConditionTrue
}

func conditionOf(pod *corev1.Pod, kind corev1.PodConditionType) corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return pod.Status.Conditions[i]
		}
	}
	return corev1.PodCondition{}
}

// Astray is a pod that does not run where it is to run again.
type Astray struct {
	Pod string
	// Note says where it is to run, why it does not, and what to do.
	Note string
}

// miss is what a pod missed at its creation.
type miss uint8

const (
	// missedNothing is a pod that runs where one of its name did, or was told to.
	missedNothing miss = iota
	// mightReturn and mustReturn are pods that run elsewhere and were not told to return: to what is preferred, and what is required.
	mightReturn
	mustReturn
)

// missed says what a pod missed that was created while nobody answered for its webhook.
func missed(state *v1beta1.PersistentPodState, pod *corev1.Pod) miss {
	remembered, ok := state.Status.PodStates[pod.Name]
	if !ok || pod.Spec.NodeName == "" || pod.Spec.NodeName == remembered.NodeName || pod.Annotations[v1beta1.InjectedPersistentPodStateKey] != "" {
		return missedNothing
	}
	for key := range required(&state.Spec, remembered) {
		if _, said := pod.Spec.NodeSelector[key]; !said {
			return mustReturn
		}
	}
	if len(preferred(&state.Spec, remembered)) > 0 {
		return mightReturn
	}
	return missedNothing
}

// Missed lists the pods of a workload that were created without being told to return, and run elsewhere, in the order of their names.
func Missed(state *v1beta1.PersistentPodState, pods []*corev1.Pod) []Astray {
	var out []Astray
	for _, pod := range pods {
		what := missed(state, pod)
		if what == missedNothing || pod.DeletionTimestamp != nil {
			continue
		}
		remembered := state.Status.PodStates[pod.Name]
		note := fmt.Sprintf("Pod %s was created while no manager answered for its webhook, so it was not sent back to node %s and runs on %s",
			pod.Name, remembered.NodeName, pod.Spec.NodeName)
		if what == mustReturn {
			note += fmt.Sprintf(". Where it must run, %s, is still remembered: delete the pod to have it return. "+
				"To let it stay, take the topology out of spec.requiredPersistentTopology", spell(required(&state.Spec, remembered)))
		} else {
			note += ", which is remembered from now on once it is ready"
		}
		out = append(out, Astray{Pod: pod.Name, Note: note})
	}
	slices.SortFunc(out, func(a, b Astray) int { return strings.Compare(a.Pod, b.Pod) })
	return out
}

// Waiting lists the pods of a workload that must return to a topology and find no room there, in the order of their names.
func Waiting(state *v1beta1.PersistentPodState, pods []*corev1.Pod) []Astray {
	var out []Astray
	for _, pod := range pods {
		scheduled := conditionOf(pod, corev1.PodScheduled)
		if pod.Annotations[v1beta1.InjectedPersistentPodStateKey] != state.Name || pod.DeletionTimestamp != nil ||
			scheduled.Status != corev1.ConditionFalse || scheduled.Reason != corev1.PodReasonUnschedulable {
			continue
		}
		where := required(&state.Spec, state.Status.PodStates[pod.Name])
		if len(where) == 0 {
			continue
		}
		out = append(out, Astray{Pod: pod.Name, Note: fmt.Sprintf(
			"Pod %s waits to run again on a node with %s: %s. To let it run elsewhere, take the topology out of spec.requiredPersistentTopology and delete the pod",
			pod.Name, spell(where), strings.TrimSuffix(scheduled.Message, "."))})
	}
	slices.SortFunc(out, func(a, b Astray) int { return strings.Compare(a.Pod, b.Pod) })
	return out
}

// required are the labels that a node must have for a pod, by what is remembered of the pod.
func required(spec *v1beta1.PersistentPodStateSpec, state v1beta1.PodState) map[string]string {
	if spec.RequiredPersistentTopology == nil {
		return nil
	}
	return pick(state.NodeTopologyLabels, spec.RequiredPersistentTopology.NodeTopologyKeys)
}

// spell writes labels out, in the order of their keys.
func spell(labels map[string]string) string {
	var parts []string
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		parts = append(parts, key+"="+labels[key])
	}
	return strings.Join(parts, ", ")
}

// Key names a workload in a namespace, for indexes.
func (t Target) Key(namespace string) string {
	return namespace + "/" + t.Group + "/" + t.Kind + "/" + t.Name
}

// ByTarget is the name of the index of objects by their workloads, whose values are Keys.
const ByTarget = "kruise/target"

// Keys is the key of the workload that an object is about; none where its apiVersion is none.
func Keys(state *v1beta1.PersistentPodState) []string {
	target, ok := Of(state)
	if !ok {
		return nil
	}
	return []string{target.Key(state.Namespace)}
}

// Standing sums up what of the state of a pod matters here, to be compared: whether it can be remembered as it is, whether it
// is going, and where it stands with the scheduler.
func Standing(pod *corev1.Pod) string {
	scheduled := conditionOf(pod, corev1.PodScheduled)
	return fmt.Sprint(ready(pod), pod.DeletionTimestamp != nil, scheduled.Status, scheduled.Reason, pod.Spec.NodeName)
}
