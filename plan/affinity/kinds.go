package affinity

import (
	"encoding/json"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Kinds are kinds of workloads whose pods have names by ordinal, besides StatefulSets: those that the administrator of a cluster
// lists.
type Kinds []schema.GroupVersionKind

// ParseKinds reads such a list, as JSON: {"workloads": [{"group": …, "version": …, "kind": …}]}. No text lists none, and
// StatefulSets, which are known without, are left out. The error says what is wrong with which entry.
func ParseKinds(text string) (Kinds, error) {
	if text == "" {
		return nil, nil
	}
	var list struct {
		Workloads []struct{ Group, Version, Kind string } `json:"workloads"`
	}
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, fmt.Errorf("decode the list of workloads: %w", err)
	}
	var out Kinds
	for i, w := range list.Workloads {
		gvk := schema.GroupVersionKind{Group: w.Group, Version: w.Version, Kind: w.Kind}
		switch {
		case w.Version == "" || w.Kind == "":
			return nil, fmt.Errorf("workloads[%d]: it names no version or no kind: %+v", i, w)
		case Known(gvk.GroupKind()) || out.Has(gvk.GroupKind()):
		default:
			out = append(out, gvk)
		}
	}
	return out, nil
}

// Has says whether a kind is in the list, in whatever version.
func (k Kinds) Has(kind schema.GroupKind) bool {
	return slices.ContainsFunc(k, func(listed schema.GroupVersionKind) bool { return listed.GroupKind() == kind })
}

// Knows says whether pods of the kind may be remembered: it is a StatefulSet, or listed.
func (k Kinds) Knows(kind schema.GroupKind) bool { return Known(kind) || k.Has(kind) }

// Blank is an object of a kind, without content.
func Blank(kind schema.GroupVersionKind) *unstructured.Unstructured {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(kind)
	return object
}

// Like reads of a workload what it says in the words of a StatefulSet: spec.replicas, spec.ordinals, spec.reserveOrdinals and
// spec.selector, of which it need not have any. The error names the workload.
func Like(workload *unstructured.Unstructured) (*v1beta1.StatefulSet, error) {
	set := &v1beta1.StatefulSet{}
	said := map[string]any{}
	for _, field := range []string{"replicas", "ordinals", "reserveOrdinals", "selector"} {
		value, there, err := unstructured.NestedFieldNoCopy(workload.Object, "spec", field)
		if err != nil {
			return nil, fmt.Errorf("%s %s/%s: %w", workload.GetKind(), workload.GetNamespace(), workload.GetName(), err)
		}
		if there {
			said[field] = value
		}
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(said, &set.Spec); err != nil {
		return nil, fmt.Errorf("%s %s/%s: spec: %w", workload.GetKind(), workload.GetNamespace(), workload.GetName(), err)
	}
	set.ObjectMeta = metav1.ObjectMeta{
		Namespace: workload.GetNamespace(), Name: workload.GetName(), UID: workload.GetUID(), DeletionTimestamp: workload.GetDeletionTimestamp(),
	}
	return set, nil
}
