// Package images proves, on a real API server, what users see of pulling images ahead: which objects are refused and with
// which words, which defaults are filled in, what is printed, and how jobs fare while the test plays the nodes.
package images

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/images"
	"kruise.io/kruise/test/integration/apiserver"
)

const configNamespace = images.DefaultConfigNamespace

var (
	server  *apiserver.Server
	replica *apiserver.Replica
)

// user is who the manager is: it may do what the chart lets it, and no more.
const user = "system:serviceaccount:kruise-system:kruise-manager"

// The tests run beside one manager with its controllers.
func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Installed(user), func(ctx context.Context, s *apiserver.Server) error {
		if err := pulling(ctx, true); err != nil {
			return err
		}
		s.AtEnd(func() error { return replica.Stop() })
		return nil
	})
}

// pulling starts the manager, in place of the one before, with the gates of pulling on or off. It runs what pulls images ahead, and
// nothing else.
func pulling(ctx context.Context, on bool) error {
	if replica != nil {
		if err := replica.Stop(); err != nil {
			return err
		}
	}
	next, err := server.As(user).RunWebhooks(ctx, func(m *manager.Options, _ *serve.Options) {
		m.WebhooksOnly, m.Kinds = false, []string{"ImageListPullJob"}
		m.Images = images.Options{Enabled: on, NodeWorkers: 3, JobWorkers: 3, ListWorkers: 3, Keep: 300, ConfigNamespace: configNamespace}
	})
	if err == nil {
		replica = next
	}
	return err
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

func get(t *testing.T, o client.Object) {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(o), o); err != nil {
		t.Fatal(err)
	}
}
