package main

import (
	"fmt"
	"reflect"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const (
	namespace = "kruise-system"
	service   = "kruise-webhook-service"
)

// finishCRD gives a CRD what the Go markers do not say: that helm uninstall keeps it and thereby every object of the
// kind, and how its versions are converted.
//
// Versions with the same schema need no conversion, so no outage can make their objects unreadable. Only a kind whose
// versions differ is converted by the manager's webhook.
func finishCRD(crd map[string]any) error {
	if err := unstructured.SetNestedField(crd, "keep", "metadata", "annotations", "helm.sh/resource-policy"); err != nil {
		return fmt.Errorf("CRD %s: %w", crdName(crd), err)
	}
	same, err := sameSchemas(crd)
	if err != nil || same {
		return err
	}
	conversion := map[string]any{
		"strategy": "Webhook",
		"webhook": map[string]any{
			"clientConfig": map[string]any{
				"service": map[string]any{"namespace": namespace, "name": service, "path": "/convert", "port": int64(443)},
			},
			"conversionReviewVersions": []any{"v1"},
		},
	}
	if err := unstructured.SetNestedField(crd, conversion, "spec", "conversion"); err != nil {
		return fmt.Errorf("CRD %s: %w", crdName(crd), err)
	}
	return nil
}

func crdName(crd map[string]any) string {
	name, _, _ := unstructured.NestedString(crd, "metadata", "name")
	return name
}

func crdFile(crd map[string]any) string {
	group, _, _ := unstructured.NestedString(crd, "spec", "group")
	plural, _, _ := unstructured.NestedString(crd, "spec", "names", "plural")
	return group + "_" + plural + ".yaml"
}

// sameSchemas tells whether all versions accept and store the same fields. Descriptions may differ.
func sameSchemas(crd map[string]any) (bool, error) {
	versions, err := versionsOf(crd)
	if err != nil {
		return false, err
	}
	for _, version := range versions[1:] {
		if !reflect.DeepEqual(withoutDescriptions(versions[0].schema), withoutDescriptions(version.schema)) {
			return false, nil
		}
	}
	return true, nil
}

// version is one version of a kind.
type version struct {
	name            string
	storage, served bool
	schema          map[string]any
}

func versionsOf(crd map[string]any) ([]version, error) {
	list, _, err := unstructured.NestedSlice(crd, "spec", "versions")
	if err != nil || len(list) == 0 {
		return nil, fmt.Errorf("CRD %s: no versions: %w", crdName(crd), err)
	}
	var found []version
	for _, item := range list {
		item, ok := item.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("CRD %s: a version is no object", crdName(crd))
		}
		schema, ok, err := unstructured.NestedMap(item, "schema", "openAPIV3Schema")
		if err != nil || !ok {
			return nil, fmt.Errorf("CRD %s: version %v has no schema", crdName(crd), item["name"])
		}
		name, _, _ := unstructured.NestedString(item, "name")
		storage, _, _ := unstructured.NestedBool(item, "storage")
		served, _, _ := unstructured.NestedBool(item, "served")
		found = append(found, version{name: name, storage: storage, served: served, schema: schema})
	}
	return found, nil
}

func withoutDescriptions(value any) any {
	switch value := value.(type) {
	case map[string]any:
		cleaned := map[string]any{}
		for key, child := range value {
			if _, text := child.(string); key == "description" && text {
				continue
			}
			cleaned[key] = withoutDescriptions(child)
		}
		return cleaned
	case []any:
		cleaned := make([]any, len(value))
		for i, child := range value {
			cleaned[i] = withoutDescriptions(child)
		}
		return cleaned
	}
	return value
}
