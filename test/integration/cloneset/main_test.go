// Package cloneset proves, on a real API server, what users of CloneSet see before any controller runs: which objects are
// refused and with which words, which defaults are filled in, how the versions convert, what is printed.
package cloneset

import (
	"encoding/json"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(apiserver.Main(m, func(s *apiserver.Server) { server = s }))
}

const v1alpha1, v1beta1 = "v1alpha1", "v1beta1"

// demo is the smallest CloneSet that is let in.
const demo = `
kind: CloneSet
metadata: {name: demo}
spec:
  replicas: 5
  selector: {matchLabels: {app: guestbook}}
  template:
    metadata: {labels: {app: guestbook}}
    spec:
      containers:
      - {name: main, image: demo:1}
`

// demoWith is demo with a merge patch: fields of the patch are set, those that are null are removed.
func demoWith(t *testing.T, patch string) map[string]any {
	t.Helper()
	set, change := map[string]any{}, map[string]any{}
	for text, into := range map[string]*map[string]any{demo: &set, patch: &change} {
		if err := json.Unmarshal(toJSON(t, text), into); err != nil {
			t.Fatal(err)
		}
	}
	merge(set, change)
	return set
}

func merge(into, patch map[string]any) {
	for key, value := range patch {
		child, isMap := value.(map[string]any)
		target, hasMap := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && hasMap:
			merge(target, child)
		default:
			into[key] = value
		}
	}
}

func toJSON(t *testing.T, text string) []byte {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	return b
}

// object makes a CloneSet of a version in a namespace: demo, changed by a patch.
func object(t *testing.T, version, namespace, patch string) *unstructured.Unstructured {
	t.Helper()
	set := &unstructured.Unstructured{Object: demoWith(t, patch)}
	set.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps.kruise.io", Version: version, Kind: "CloneSet"})
	set.SetNamespace(namespace)
	return set
}
