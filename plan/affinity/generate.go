package affinity

import (
	"fmt"
	"strings"

	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Generated is the spec of the PersistentPodState that the annotations of a workload ask for, without its target; nil when
// they ask for none. The error names the annotation that cannot be understood.
func Generated(annotations map[string]string) (*v1beta1.PersistentPodStateSpec, error) {
	if annotations[v1beta1.AutoGeneratePersistentPodStateKey] != "true" {
		return nil, nil
	}
	var errs field.ErrorList
	list := func(key string) (keys []string) {
		path := field.NewPath("metadata", "annotations").Key(key)
		for text := range strings.SplitSeq(annotations[key], ",") {
			if text = strings.TrimSpace(text); text != "" {
				errs = append(errs, metav1validation.ValidateLabelName(text, path)...)
				keys = append(keys, text)
			}
		}
		return keys
	}
	spec := &v1beta1.PersistentPodStateSpec{PersistentPodStateRetentionPolicy: v1beta1.PersistentPodStateRetentionPolicyWhenScaled}
	if keys := list(v1beta1.RequiredPersistentTopologyKey); len(keys) > 0 {
		spec.RequiredPersistentTopology = &v1beta1.NodeTopologyTerm{NodeTopologyKeys: keys}
	}
	if keys := list(v1beta1.PreferredPersistentTopologyKey); len(keys) > 0 {
		spec.PreferredPersistentTopology = []v1beta1.PreferredTopologyTerm{{Weight: heaviest, Preference: v1beta1.NodeTopologyTerm{NodeTopologyKeys: keys}}}
	}
	for _, key := range list(v1beta1.PersistentPodAnnotationsKey) {
		spec.PersistentPodAnnotations = append(spec.PersistentPodAnnotations, v1beta1.PersistentPodAnnotation{Key: key})
	}
	if len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if spec.RequiredPersistentTopology == nil && spec.PreferredPersistentTopology == nil {
		return nil, fmt.Errorf("the annotation %s asks for a PersistentPodState, and neither %s nor %s names the topology to which pods return",
			v1beta1.AutoGeneratePersistentPodStateKey, v1beta1.RequiredPersistentTopologyKey, v1beta1.PreferredPersistentTopologyKey)
	}
	return spec, nil
}
