// Package protection proves on a real API server what the label policy.kruise.io/delete-protection promises: what may be
// deleted and what not, in which words, and that nothing without the label ever waits for a manager.
package protection

import (
	"context"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/protection"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server)
}

// managed runs a manager that protects as the options say, as a user if one is named, and returns what stops it; it stops
// with the test at the latest.
func managed(t *testing.T, s *apiserver.Server, o protection.Options) (stop func()) {
	t.Helper()
	return s.Managed(t, func(m *manager.Options, _ *serve.Options) { m.Protection = o })
}

// everything protects all that can be.
func everything() protection.Options { return protection.Options{Enabled: true, Definitions: true} }

// create makes an object from its text, in a namespace unless it is of a kind that is in none.
func create(t *testing.T, namespace, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, text)
	}
	o.SetNamespace(namespace)
	var problem error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		problem = server.Client.Create(ctx, o) // the kind may have to come to be served
		return problem == nil, nil
	})
	if err != nil {
		t.Fatalf("creating %s %s: %v", o.GetKind(), o.GetName(), problem)
	}
	return o
}

// change merges a patch into an object, or into its status.
func change(t *testing.T, o *unstructured.Unstructured, patch string, subresource bool) {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte(patch))
	if err != nil {
		t.Fatal(err)
	}
	merge := client.RawPatch(types.MergePatchType, text)
	if subresource {
		err = server.Client.Status().Patch(t.Context(), o, merge)
	} else {
		err = server.Client.Patch(t.Context(), o, merge)
	}
	if err != nil {
		t.Fatalf("changing %s %s: %v", o.GetKind(), o.GetName(), err)
	}
}

const unlabel = `{metadata: {labels: {policy.kruise.io/delete-protection: null}}}`

// deleted deletes an object and returns what is said against it.
func deleted(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	if err := server.Client.Delete(t.Context(), o); err != nil {
		return err.Error()
	}
	return ""
}
