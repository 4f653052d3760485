package probe

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1alpha1"
)

// Mark makes the patch that writes on a pod what its probes found: a strategic merge patch for the status of the pod, which
// takes labels and annotations, too, guarded by the pod's UID. It is nil when all stands there. markers are those about the
// pod, the oldest first; states are the results by the name of the probe.
//
// A condition is True when the probe succeeded, and False when it failed or nothing is known. Labels and annotations are
// those of the state that was found; what the policy of the other state alone writes is removed. While nothing is known
// they stay. What a probe may write in any state belongs to it, and later probes and younger markers leave it alone.
func Mark(pod *corev1.Pod, markers []*v1alpha1.PodProbeMarker, states map[string]v1alpha1.ContainerProbeState, now time.Time) []byte {
	m := marks{pod: pod, labels: map[string]*string{}, annotations: map[string]*string{}, taken: map[string]bool{}}
	for _, marker := range markers {
		for i := range marker.Spec.Probes {
			p := &marker.Spec.Probes[i]
			state, found := states[Name(marker.Name, p.Name)]
			if found && p.PodConditionType != "" && m.take("condition", p.PodConditionType) {
				m.condition(corev1.PodConditionType(p.PodConditionType), &state, now)
			}
			m.metadata(p, state.State)
		}
	}
	return m.patch()
}

// marks is what is to be written on one pod.
type marks struct {
	pod                 *corev1.Pod
	conditions          []condition
	labels, annotations map[string]*string
	taken               map[string]bool
}

// condition says the whole of a condition: what a patch leaves out stays as it is.
type condition struct {
	corev1.PodCondition
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// take says whether nobody has a thing of the pod yet, and takes it.
func (m *marks) take(kind, name string) bool {
	key := kind + separator + name
	if m.taken[key] {
		return false
	}
	m.taken[key] = true
	return true
}

func (m *marks) condition(kind corev1.PodConditionType, state *v1alpha1.ContainerProbeState, now time.Time) {
	status := corev1.ConditionFalse
	if state.State == v1alpha1.ProbeSucceeded {
		status = corev1.ConditionTrue
	}
	for i := range m.pod.Status.Conditions {
		if c := &m.pod.Status.Conditions[i]; c.Type == kind && c.Status == status {
			return
		}
	}
	at := state.LastTransitionTime
	if at.IsZero() {
		at = metav1.NewTime(now)
	}
	c := corev1.PodCondition{Type: kind, Status: status, LastProbeTime: state.LastProbeTime, LastTransitionTime: at}
	m.conditions = append(m.conditions, condition{c, string(state.State), state.Message})
}

// metadata writes the policy of a state and removes what only that of the other writes.
func (m *marks) metadata(p *v1alpha1.PodContainerProbe, state v1alpha1.ProbeState) {
	known := state == v1alpha1.ProbeSucceeded || state == v1alpha1.ProbeFailed
	wanted, possible := map[string]string{}, map[string]string{}
	wantedNotes, possibleNotes := map[string]string{}, map[string]string{}
	for _, policy := range p.MarkerPolicy {
		maps.Copy(possible, policy.Labels)
		maps.Copy(possibleNotes, policy.Annotations)
		if policy.State == state {
			wanted, wantedNotes = policy.Labels, policy.Annotations
		}
	}
	m.change("label", m.pod.Labels, m.labels, wanted, possible, known)
	m.change("annotation", m.pod.Annotations, m.annotations, wantedNotes, possibleNotes, known)
}

func (m *marks) change(kind string, is map[string]string, patch map[string]*string, wanted, possible map[string]string, known bool) {
	for _, key := range slices.Sorted(maps.Keys(possible)) {
		if !m.take(kind, key) || !known {
			continue
		}
		value, want := wanted[key]
		now, there := is[key]
		switch {
		case want && (!there || now != value):
			patch[key] = &value
		case !want && there:
			patch[key] = nil
		}
	}
}

func (m *marks) patch() []byte {
	if len(m.conditions) == 0 && len(m.labels) == 0 && len(m.annotations) == 0 {
		return nil
	}
	meta := map[string]any{"uid": m.pod.UID}
	if len(m.labels) > 0 {
		meta["labels"] = m.labels
	}
	if len(m.annotations) > 0 {
		meta["annotations"] = m.annotations
	}
	out := map[string]any{"metadata": meta}
	if len(m.conditions) > 0 {
		out["status"] = map[string]any{"conditions": m.conditions}
	}
	text, err := json.Marshal(out)
	if err != nil { // maps of strings and API types always have a JSON form
		return nil
	}
	return text
}

// States are the results of the probes of one pod on a node, by the name of the probe.
func States(status *v1alpha1.NodePodProbeStatus, pod *corev1.Pod) map[string]v1alpha1.ContainerProbeState {
	for i := range status.PodProbeStatuses {
		s := &status.PodProbeStatuses[i]
		if s.UID != string(pod.UID) {
			continue
		}
		out := make(map[string]v1alpha1.ContainerProbeState, len(s.ProbeStates))
		for _, state := range s.ProbeStates {
			out[state.Name] = state
		}
		return out
	}
	return nil
}

// Reported are the results that a virtual kubelet reported of a pod, as conditions.
func Reported(pod *corev1.Pod, markers []*v1alpha1.PodProbeMarker) map[string]v1alpha1.ContainerProbeState {
	found := map[corev1.PodConditionType]v1alpha1.ProbeState{}
	for _, c := range pod.Status.Conditions {
		switch c.Status {
		case corev1.ConditionTrue:
			found[c.Type] = v1alpha1.ProbeSucceeded
		case corev1.ConditionFalse:
			found[c.Type] = v1alpha1.ProbeFailed
		}
	}
	out := map[string]v1alpha1.ContainerProbeState{}
	for _, m := range markers {
		for i := range m.Spec.Probes {
			p := &m.Spec.Probes[i]
			if state, ok := found[corev1.PodConditionType(p.PodConditionType)]; ok && p.PodConditionType != "" {
				out[Name(m.Name, p.Name)] = v1alpha1.ContainerProbeState{Name: Name(m.Name, p.Name), State: state}
			}
		}
	}
	return out
}

// Annotate asks a virtual kubelet, on a pod that is about to be created, for the probes of the markers about it: probes that
// have a condition, since that is what a virtual kubelet reports.
func Annotate(pod *corev1.Pod, markers []*v1alpha1.PodProbeMarker) {
	var probes []v1alpha1.ServerlessProbe
	var names []string
	for _, m := range markers {
		before := len(probes)
		for _, p := range m.Spec.Probes {
			if p.PodConditionType != "" && containerOf(pod, p.ContainerName) != nil {
				probes = append(probes, v1alpha1.ServerlessProbe{
					Name: p.Name, ContainerName: p.ContainerName, Probe: p.Probe, PodConditionType: p.PodConditionType, PodProbeMarkerName: m.Name,
				})
			}
		}
		if len(probes) > before {
			names = append(names, m.Name)
		}
	}
	text, err := json.Marshal(probes)
	if len(probes) == 0 || err != nil { // API types always have a JSON form
		return
	}
	if pod.Annotations == nil {
		pod.Annotations = map[string]string{}
	}
	pod.Annotations[v1alpha1.PodProbeMarkerProbesKey] = string(text)
	pod.Annotations[v1alpha1.PodProbeMarkerListKey] = strings.Join(names, ",")
}
