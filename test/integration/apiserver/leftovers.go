package apiserver

import (
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Leave writes the objects of a file into a namespace, and their status, as somebody else left them. Owners are found by
// kind and name; they stand before what they own. WORLD stands for the namespace in the names of what is in none.
func (s *Server) Leave(t *testing.T, file, namespace string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(strings.ReplaceAll(string(text), "WORLD", namespace)), 4096)
	uids := map[string]types.UID{}
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object.SetNamespace(namespace)
		owners := object.GetOwnerReferences()
		for i := range owners {
			owners[i].UID = uids[owners[i].Kind+"/"+owners[i].Name]
		}
		object.SetOwnerReferences(owners)
		status := object.Object["status"]
		if err := s.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("%s: create %s %s: %v", file, object.GetKind(), object.GetName(), err)
		}
		if status != nil {
			object.Object["status"] = status
			if err := s.Client.Status().Update(t.Context(), object); err != nil {
				t.Fatalf("%s: status of %s %s: %v", file, object.GetKind(), object.GetName(), err)
			}
		}
		uids[object.GetKind()+"/"+object.GetName()] = object.GetUID()
	}
}
