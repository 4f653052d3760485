// Package persistentpodstate proves on a real API server what is let in of PersistentPodStates, what is remembered of pods,
// which pods are sent back, and what annotations of a StatefulSet ask for. The manager has the rights of the chart alone.
package persistentpodstate

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

const user = "system:serviceaccount:kruise-system:kruise-manager"

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests on a server that grants the manager what the chart does.
func run(m *testing.M) (code int) {
	ctx := context.Background()
	failed := func(err error) bool {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
		return err != nil
	}
	var err error
	if server, err = apiserver.Start(ctx); failed(err) {
		return code
	}
	defer func() { failed(server.Stop()) }()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}}
	for _, object := range []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "kruise-daemon-config"}}, secret} {
		if failed(server.Client.Create(ctx, object)) {
			return code
		}
	}
	if failed(server.Grant(ctx, user)) {
		return code
	}
	return m.Run()
}

// managed runs a manager with its controllers, and returns what stops it; it stops with the test at the latest.
func managed(t *testing.T) (stop func()) {
	t.Helper()
	replica, err := server.As(user).RunWebhooks(context.WithoutCancel(t.Context()), func(m *manager.Options, _ *serve.Options) { m.WebhooksOnly = false })
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := replica.Stop(); err != nil {
			t.Errorf("the manager did not stop as it should: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// eventually waits for a state of the world.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, 30*time.Second, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		t.Fatalf("not seen within half a minute: %s", what)
	}
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
