// Package convert serves the conversion webhook of CustomResourceDefinitions.
//
// It promises that an object comes out as it went in but for what its kind's function changes: objects are never
// decoded into Go types, so that no field is lost that this build does not know, nothing opaque (a pod template) is
// written otherwise than its user did, and an object of the wrong shape is left to the schema to refuse, in words that
// name the field.
package convert

import (
	"context"
	"fmt"
	"net/http"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"
)

// Path is where the API server finds the webhook, for all kinds.
const Path = "/convert"

// Kind is a kind that converts.
type Kind struct {
	schema.GroupKind
	// Resource is the plural by which URLs name the kind.
	Resource string
	// Versions are all versions of the kind.
	Versions []string
	// Convert makes an object of any version one of a certain version, in place. It sees to everything but apiVersion,
	// and changes nothing in metadata but labels and annotations. An error makes every request fail that meets the object,
	// lists included.
	Convert func(object *unstructured.Unstructured, version string) error
}

// CRD is the name of the kind's CustomResourceDefinition.
func (k Kind) CRD() string { return k.Resource + "." + k.Group }

// Handler serves the conversion of kinds.
func Handler(kinds ...Kind) (http.Handler, error) {
	scheme, registry := runtime.NewScheme(), conversion.NewRegistry()
	for _, kind := range kinds {
		for _, version := range kind.Versions {
			// To this scheme alone, every kind is a map.
			scheme.AddKnownTypeWithName(kind.WithVersion(version), &unstructured.Unstructured{})
		}
		if err := registry.RegisterConverter(kind.GroupKind, converter{kind}); err != nil {
			return nil, fmt.Errorf("converting %s: %w", kind.GroupKind, err)
		}
	}
	return conversion.NewWebhookHandler(scheme, registry), nil
}

// converter is a Kind as controller-runtime knows it.
type converter struct{ kind Kind }

// ConvertObject implements conversion.Converter.
func (c converter) ConvertObject(_ context.Context, from, to runtime.Object) error {
	source, ok := from.(*unstructured.Unstructured)
	target, alsoOK := to.(*unstructured.Unstructured)
	if !ok || !alsoOK {
		return fmt.Errorf("converting %T to %T: expected maps", from, to)
	}
	wanted := target.GroupVersionKind()
	target.Object = source.Object // decoded for this request alone
	if err := c.kind.Convert(target, wanted.Version); err != nil {
		return fmt.Errorf("converting %s %s/%s to %s: %w", wanted.Kind, target.GetNamespace(), target.GetName(), wanted.Version, err)
	}
	target.SetGroupVersionKind(wanted)
	return nil
}

// Edit changes the object at a path of fields; an absent one is empty, and one that is empty afterwards is left out. Anything
// but an object is left for the schema to refuse.
func Edit(object map[string]any, edit func(map[string]any), path ...string) {
	if len(path) == 0 {
		edit(object)
		return
	}
	child, isObject := object[path[0]].(map[string]any)
	if object[path[0]] != nil && !isObject {
		return
	}
	if child == nil {
		child = map[string]any{}
	}
	Edit(child, edit, path[1:]...)
	if len(child) > 0 {
		object[path[0]] = child
	} else {
		delete(object, path[0])
	}
}

// Rename gives a field another name.
func Rename(object map[string]any, from, to string) {
	if value, given := object[from]; given {
		delete(object, from)
		object[to] = value
	}
}
