// Package persistentpodstate proves on a real API server what is let in of PersistentPodStates, what is remembered of pods,
// which pods are sent back, and what annotations of a StatefulSet ask for. The manager has the rights of the chart alone.
package persistentpodstate

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

const user = "system:serviceaccount:kruise-system:kruise-manager"

func TestMain(m *testing.M) { apiserver.Main(m, &server, apiserver.Installed(user)) }

// managed runs a manager with its controllers, and returns what stops it; it stops with the test at the latest.
func managed(t *testing.T) (stop func()) {
	t.Helper()
	return server.As(user).Managed(t, func(m *manager.Options, _ *serve.Options) { m.WebhooksOnly = false })
}

// eventually waits for a state of the world.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	apiserver.Eventually(t, what, holds)
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := server.Client.Create(t.Context(), object); err != nil {
		t.Fatalf("create %T: %v", object, err)
	}
}

// read reads an object anew; it says whether it is there.
func read(t *testing.T, object client.Object) bool {
	t.Helper()
	err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	return err == nil
}

// change merges a patch into an object.
func change(t *testing.T, object client.Object, patch string) {
	t.Helper()
	if err := server.Client.Patch(t.Context(), object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatalf("change %T %s: %v", object, object.GetName(), err)
	}
}

func remove(t *testing.T, object client.Object) {
	t.Helper()
	if err := server.Client.Delete(t.Context(), object, client.GracePeriodSeconds(0)); err != nil {
		t.Fatalf("delete %T %s: %v", object, object.GetName(), err)
	}
}
