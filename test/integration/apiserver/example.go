package apiserver

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// Example is a manifest of one of our kinds, as YAML. Tests make objects out of it that differ in little.
type Example struct {
	// Kind and Resource name the kind. Group is its group; empty is apps.kruise.io.
	Kind, Resource, Group string
	// Cluster says that objects of the kind are in no namespace.
	Cluster bool
	// Text is the manifest.
	Text string
}

// Object makes an object of a version in a namespace: the example, changed by a merge patch that is YAML, too. Fields of the
// patch are set, those that are null are removed.
func (e Example) Object(t *testing.T, version, namespace, patch string) *unstructured.Unstructured {
	t.Helper()
	object := e.With(t, patch)
	object.SetGroupVersionKind(schema.GroupVersionKind{Group: e.group(), Version: version, Kind: e.Kind})
	if !e.Cluster {
		object.SetNamespace(namespace)
	}
	return object
}

func (e Example) group() string { return cmp.Or(e.Group, "apps.kruise.io") }

// With is the example, changed by a merge patch.
func (e Example) With(t *testing.T, patch string) *unstructured.Unstructured {
	t.Helper()
	object, change := map[string]any{}, map[string]any{}
	for text, into := range map[string]*map[string]any{e.Text: &object, patch: &change} {
		if err := json.Unmarshal(ToJSON(t, text), into); err != nil {
			t.Fatal(err)
		}
	}
	Merge(object, change)
	return &unstructured.Unstructured{Object: object}
}

// Merge applies a merge patch.
func Merge(into, patch map[string]any) {
	for key, value := range patch {
		child, isMap := value.(map[string]any)
		target, hasMap := into[key].(map[string]any)
		switch {
		case value == nil:
			delete(into, key)
		case isMap && hasMap:
			Merge(target, child)
		default:
			into[key] = value
		}
	}
}

// ToJSON makes JSON of YAML.
func ToJSON(t *testing.T, text string) []byte {
	t.Helper()
	b, err := yaml.YAMLToJSON([]byte(text))
	if err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	return b
}

// Refusal is an object that is not let in, and what its user reads.
type Refusal struct {
	Version string
	// Old, if set, changes the example into an object that exists and that Set then replaces.
	Old string
	// Set changes the example into what is refused.
	Set string
	// Want is the message after the name of the object.
	Want string
}

// Unchecked is what the API server says where a schema that does not hold keeps it from looking at the rules.
const Unchecked = `, <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]`

// Refuses checks that objects made of an example are refused with the words that are wanted. Those that are in no namespace are
// tried one after the other, so that none sees another.
func (s *Server) Refuses(t *testing.T, e Example, lists ...map[string]Refusal) {
	t.Helper()
	all, entries := map[string]Refusal{}, 0
	for _, list := range lists {
		maps.Copy(all, list)
		entries += len(list)
	}
	if len(all) != entries {
		t.Fatalf("%d entries have only %d names", entries, len(all))
	}
	namespace := s.Namespace(t)
	for name, tc := range all {
		t.Run(name, func(t *testing.T) {
			if !e.Cluster {
				t.Parallel()
			}
			object := e.Object(t, tc.Version, namespace, tc.Set)
			var err error
			if tc.Old == "" {
				err = s.Client.Create(t.Context(), object)
			} else {
				existing := e.Object(t, tc.Version, s.Namespace(t), tc.Old)
				if err := s.Client.Create(t.Context(), existing); err != nil {
					t.Fatalf("the object to be changed was refused: %v", err)
				}
				defer func() {
					if err := s.Client.Delete(context.WithoutCancel(t.Context()), existing); err != nil {
						t.Error(err)
					}
				}()
				object.SetNamespace(existing.GetNamespace())
				err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { // a controller may write its status
					if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(existing), existing); err != nil {
						return err
					}
					object.SetResourceVersion(existing.GetResourceVersion())
					return s.Client.Update(t.Context(), object)
				})
			}
			if err == nil {
				t.Fatal("it was let in")
			}
			got := err.Error()
			for _, prefix := range []string{
				`admission webhook "v` + strings.ToLower(e.Kind) + `.kb.io" denied the request: `,
				e.Kind + `.` + e.group() + ` "` + object.GetName() + `" is invalid: `,
			} {
				got = strings.TrimPrefix(got, prefix)
			}
			if got != tc.Want {
				t.Errorf("message\n%s\nwant\n%s", got, tc.Want)
			}
		})
	}
}

// AcceptsChange creates an object and checks that another one may take its place.
func (s *Server) AcceptsChange(t *testing.T, existing, changed *unstructured.Unstructured) {
	t.Helper()
	if err := s.Client.Create(t.Context(), existing); err != nil {
		t.Fatal(err)
	}
	changed.SetResourceVersion(existing.GetResourceVersion())
	if err := s.Client.Update(t.Context(), changed); err != nil {
		t.Errorf("it was refused: %v", err)
	}
}

// Read reads an object back in a version.
func (s *Server) Read(t *testing.T, object *unstructured.Unstructured, version string) map[string]any {
	t.Helper()
	got := &unstructured.Unstructured{}
	kind := object.GroupVersionKind()
	kind.Version = version
	got.SetGroupVersionKind(kind)
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(object), got); err != nil {
		t.Fatalf("reading %s as %s: %v", object.GetName(), version, err)
	}
	return got.Object
}

// Printed is what kubectl get prints of the only object of a kind in a namespace (empty for one that is in none), as it asks the API server for it: names and
// values of the columns, first those of the usual table, then those of -o wide. An age is shown as ?.
func (s *Server) Printed(t *testing.T, resource, version, namespace string) (usual, wide string) {
	t.Helper()
	httpClient, err := rest.HTTPClientFor(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := discovery.NewDiscoveryClientForConfigAndClient(s.Config, httpClient)
	if err != nil {
		t.Fatal(err)
	}
	path := resource
	if namespace != "" {
		path = "namespaces/" + namespace + "/" + resource
	}
	text, err := raw.RESTClient().Get().AbsPath("/apis/apps.kruise.io", version, path).
		SetHeader("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	table := &metav1.Table{}
	if err := json.Unmarshal(text, table); err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 1 {
		t.Fatalf("%d rows, want 1", len(table.Rows))
	}
	var all, few []string
	for i, column := range table.ColumnDefinitions {
		cell, err := json.Marshal(table.Rows[0].Cells[i])
		if err != nil {
			t.Fatal(err)
		}
		if column.Name == "AGE" {
			cell = []byte("?")
		}
		text := strings.ToUpper(column.Name) + "=" + strings.Trim(string(cell), `"`)
		all = append(all, text)
		if column.Priority == 0 {
			few = append(few, text)
		}
	}
	return strings.Join(few, " "), strings.Join(all, " ")
}
