// Package images proves, on a real API server, what users see of pulling images ahead: which objects are refused and with
// which words, which defaults are filled in, what is printed, and how jobs fare while the test plays the nodes.
package images

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/images"
	"kruise.io/kruise/test/integration/apiserver"
)

const configNamespace = images.DefaultConfigNamespace

var server *apiserver.Server

func TestMain(m *testing.M) { os.Exit(run(m)) }

// user is who the manager is: it may do what the chart lets it, and no more.
const user = "system:serviceaccount:kruise-system:kruise-manager"

// run starts a server with a manager that runs what pulls images ahead, and nothing else.
func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if server, err = apiserver.Start(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code, err := runOn(ctx, m)
	if err := errors.Join(err, server.Stop()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func runOn(ctx context.Context, m *testing.M) (int, error) {
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: configNamespace}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "kruise-system", Name: "kruise-webhook-certs"}},
	} {
		if err := server.Client.Create(ctx, object); err != nil {
			return 1, err
		}
	}
	if err := server.Grant(ctx, user); err != nil {
		return 1, err
	}
	replica, err := server.As(user).RunWebhooks(ctx, func(m *manager.Options, o *serve.Options) {
		m.WebhooksOnly, m.Kinds = false, []string{"NodeImage", "ImagePullJob", "ImageListPullJob"}
		m.Images = images.Options{Enabled: true, NodeWorkers: 3, JobWorkers: 3, ListWorkers: 3, Keep: 300, ConfigNamespace: configNamespace}
	})
	if err != nil {
		return 1, err
	}
	return m.Run(), replica.Stop()
}

// object reads an object from YAML.
func object(t *testing.T, kind, version, namespace, name, spec string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(spec), &o.Object); err != nil {
		t.Fatalf("not YAML: %v\n%s", err, spec)
	}
	o.Object = map[string]any{"spec": o.Object}
	o.SetAPIVersion("apps.kruise.io/" + version)
	o.SetKind(kind)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

func create(t *testing.T, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := server.Client.Create(t.Context(), o); err != nil {
			t.Fatalf("create %s: %v", o.GetName(), err)
		}
	}
}

// await waits for a state of the world.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return is(), nil })
	if err != nil {
		t.Fatalf("it did not come to this: %s", what)
	}
}

func get(t *testing.T, o client.Object) {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}
