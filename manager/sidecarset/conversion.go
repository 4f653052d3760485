package sidecarset

import (
	"fmt"
	"reflect"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
)

const kindSidecarSet = "SidecarSet"

// Conversion is the conversion between v1alpha1 and v1beta1, the version of storage.
//
// Nothing that has a meaning is lost in either direction, and containers are not looked at. A v1alpha1 namespace is a
// namespaceSelector with one expression on the label kubernetes.io/metadata.name, and the label of
// SidecarSetCustomVersionKey is spec.customVersion. Not kept, because one thing is said in two forms:
//
//   - a namespace beside a namespaceSelector: it comes back as an expression of that, unless the selector is the label of
//     that namespace already.
//   - the label on a v1beta1 object: the field, where set, takes its place; where the field is not set it stays, and speaks
//     once the object is written as v1alpha1.
func Conversion() convert.Kind {
	return convert.Kind{
		GroupKind: v1beta1.GroupVersion.WithKind(kindSidecarSet).GroupKind(),
		Resource:  "sidecarsets",
		Versions:  []string{v1alpha1.GroupVersion.Version, v1beta1.GroupVersion.Version},
		Convert: func(set *unstructured.Unstructured, version string) error {
			switch version {
			case v1beta1.GroupVersion.Version:
				toV1beta1(set.Object)
			case v1alpha1.GroupVersion.Version:
				toV1alpha1(set.Object)
			default:
				return fmt.Errorf("there is no version %q", version)
			}
			return nil
		},
	}
}

// The fields that differ between the versions, or stand for one that does.
const (
	fieldNamespace     = "namespace"
	fieldSelector      = "namespaceSelector"
	fieldExpressions   = "matchExpressions"
	fieldLabels        = "matchLabels"
	fieldCustomVersion = "customVersion"
)

func toV1beta1(set map[string]any) {
	convert.Edit(set, func(spec map[string]any) {
		name, ok := spec[fieldNamespace].(string)
		if !ok {
			return
		}
		delete(spec, fieldNamespace)
		if name == "" || reflect.DeepEqual(spec[fieldSelector], map[string]any{fieldLabels: map[string]any{corev1.LabelMetadataName: name}}) {
			return
		}
		convert.Edit(spec, func(selector map[string]any) {
			expressions, _ := selector[fieldExpressions].([]any)
			for _, e := range expressions {
				if reflect.DeepEqual(e, named(name)) {
					return
				}
			}
			selector[fieldExpressions] = append(expressions, named(name))
		}, fieldSelector)
	}, "spec")
	convert.Edit(set, func(labels map[string]any) {
		version, ok := labels[v1beta1.SidecarSetCustomVersionKey].(string)
		if !ok || version == "" {
			return
		}
		delete(labels, v1beta1.SidecarSetCustomVersionKey)
		convert.Edit(set, func(spec map[string]any) { spec[fieldCustomVersion] = version }, "spec")
	}, "metadata", "labels")
}

func toV1alpha1(set map[string]any) {
	convert.Edit(set, func(spec map[string]any) {
		if name, ok := onlyNamespace(spec[fieldSelector]); ok {
			delete(spec, fieldSelector)
			spec[fieldNamespace] = name
		}
		version, ok := spec[fieldCustomVersion].(string)
		if !ok {
			return
		}
		delete(spec, fieldCustomVersion)
		if version != "" {
			convert.Edit(set, func(labels map[string]any) { labels[v1beta1.SidecarSetCustomVersionKey] = version }, "metadata", "labels")
		}
	}, "spec")
}

// named is the expression that selects the namespace of a name. It is not the one that people write, who have matchLabels for
// it, so what they wrote comes back as they wrote it.
func named(name string) map[string]any {
	return map[string]any{"key": corev1.LabelMetadataName, "operator": "In", "values": []any{name}}
}

// onlyNamespace is the name of the namespace that a selector selects by such an expression and nothing else.
func onlyNamespace(selector any) (string, bool) {
	fields, _ := selector.(map[string]any)
	expressions, _ := fields[fieldExpressions].([]any)
	if len(fields) != 1 || len(expressions) != 1 {
		return "", false
	}
	expression, _ := expressions[0].(map[string]any)
	values, _ := expression["values"].([]any)
	if len(values) != 1 {
		return "", false
	}
	name, ok := values[0].(string)
	return name, ok && name != "" && reflect.DeepEqual(expression, named(name))
}
