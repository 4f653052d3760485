package affinity

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/kruise/api/apps/v1beta1"
)

// heaviest is the greatest weight that a preference of a pod may have.
const heaviest = 100

// Inject has a new pod run again where a pod of its name did. It leaves out what its author said otherwise.
func Inject(pod *corev1.Pod, state *v1beta1.PersistentPodState) {
	remembered, ok := state.Status.PodStates[pod.Name]
	if !ok {
		return
	}
	changed := false
	for key, value := range required(&state.Spec, remembered) {
		if _, said := pod.Spec.NodeSelector[key]; said {
			continue
		}
		if pod.Spec.NodeSelector == nil {
			pod.Spec.NodeSelector = map[string]string{}
		}
		pod.Spec.NodeSelector[key] = value
		changed = true
	}
	for _, term := range preferred(&state.Spec, remembered) {
		changed = prefer(pod, term) || changed
	}
	if changed {
		if pod.Annotations == nil {
			pod.Annotations = map[string]string{}
		}
		pod.Annotations[v1beta1.InjectedPersistentPodStateKey] = state.Name
	}
}

// preferred are the terms of node affinity that follow from what is remembered of a pod.
func preferred(spec *v1beta1.PersistentPodStateSpec, state v1beta1.PodState) []corev1.PreferredSchedulingTerm {
	var out []corev1.PreferredSchedulingTerm
	for _, p := range spec.PreferredPersistentTopology {
		term := corev1.PreferredSchedulingTerm{Weight: min(p.Weight, heaviest)}
		for _, key := range p.Preference.NodeTopologyKeys {
			if value, ok := state.NodeTopologyLabels[key]; ok {
				term.Preference.MatchExpressions = append(term.Preference.MatchExpressions, corev1.NodeSelectorRequirement{
					Key: key, Operator: corev1.NodeSelectorOpIn, Values: []string{value},
				})
			}
		}
		if term.Weight > 0 && len(term.Preference.MatchExpressions) > 0 {
			out = append(out, term)
		}
	}
	return out
}

// prefer adds a term to the node affinity of a pod, if it is not there. It says whether it was added.
func prefer(pod *corev1.Pod, term corev1.PreferredSchedulingTerm) bool {
	if pod.Spec.Affinity == nil {
		pod.Spec.Affinity = &corev1.Affinity{}
	}
	if pod.Spec.Affinity.NodeAffinity == nil {
		pod.Spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	terms := &pod.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if slices.ContainsFunc(*terms, func(is corev1.PreferredSchedulingTerm) bool { return equality.Semantic.DeepEqual(is, term) }) {
		return false
	}
	*terms = append(*terms, term)
	return true
}
