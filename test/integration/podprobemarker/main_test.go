// Package podprobemarker proves on a real API server what users of PodProbeMarker see: which objects are refused and with
// which words, what each node is handed to probe, and what is written on pods for what the nodes found.
package podprobemarker

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

var (
	server  *apiserver.Server
	replica *apiserver.Replica
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run runs the tests beside one manager with its controllers.
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
	if failed(probing(ctx, true)) {
		return code
	}
	defer func() { failed(replica.Stop()) }()
	return m.Run()
}

// probing starts the manager, in place of the one before, with the gate of probes on or off.
func probing(ctx context.Context, on bool) error {
	if replica != nil {
		if err := replica.Stop(); err != nil {
			return err
		}
	}
	next, err := server.RunWebhooks(ctx, func(m *manager.Options, _ *serve.Options) {
		m.WebhooksOnly, m.Probes, m.Pod.Serverless = false, on, true
	})
	if err == nil {
		replica = next
	}
	return err
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

// node makes a node of the test's own.
func node(t *testing.T, labels map[string]string) *corev1.Node {
	t.Helper()
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "node-", Labels: labels}}
	create(t, n)
	return n
}

// running makes a pod that runs on a node and can be probed.
func running(t *testing.T, namespace, name, node string) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "game"}},
		Spec: corev1.PodSpec{NodeName: node, Containers: []corev1.Container{
			{Name: "main", Image: "demo:1", Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 8080}}},
		}},
	}
	create(t, p)
	p.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "10.0.0.1", PodIPs: []corev1.PodIP{{IP: "10.0.0.1"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}},
	}
	if err := server.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
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
