package persistentpodstate

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
)

const kindState = "PersistentPodState"

// Conversion is the conversion between v1alpha1 and v1beta1, the version of storage. Nothing that has a meaning is lost in
// either direction: nodeTopologyKeys is keys, and an empty retention policy comes back as none.
func Conversion() convert.Kind {
	return convert.Kind{
		GroupKind: v1beta1.GroupVersion.WithKind(kindState).GroupKind(),
		Resource:  "persistentpodstates",
		Versions:  []string{v1alpha1.GroupVersion.Version, v1beta1.GroupVersion.Version},
		Convert: func(state *unstructured.Unstructured, version string) error {
			const older, newer, policy = "nodeTopologyKeys", "keys", "persistentPodStateRetentionPolicy"
			switch version {
			case v1beta1.GroupVersion.Version:
				renameKeys(state.Object, older, newer)
				convert.Edit(state.Object, func(spec map[string]any) {
					if spec[policy] == "" {
						delete(spec, policy)
					}
				}, "spec")
			case v1alpha1.GroupVersion.Version:
				renameKeys(state.Object, newer, older)
			default:
				return fmt.Errorf("there is no version %q", version)
			}
			return nil
		},
	}
}

// renameKeys gives the keys of every topology another name.
func renameKeys(state map[string]any, from, to string) {
	spec, _ := state["spec"].(map[string]any)
	terms := []any{spec["requiredPersistentTopology"]}
	preferred, _ := spec["preferredPersistentTopology"].([]any)
	for _, item := range preferred {
		if item, ok := item.(map[string]any); ok {
			terms = append(terms, item["preference"])
		}
	}
	for _, term := range terms {
		if term, ok := term.(map[string]any); ok {
			convert.Rename(term, from, to)
		}
	}
}
