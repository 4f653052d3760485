// Package stepped runs reconcilers on a real API server step by step: the test calls them, and plays scheduler, kubelet and
// the controllers of Kubernetes itself.
//
// It promises that nothing happens that the test did not ask for, that a reconciler is called only once its caches show
// what is stored (or just not that, where the test holds them back), and that no test waits for time to pass: the clock is
// the test's.
package stepped

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

const (
	lookAgain = 5 * time.Millisecond
	giveUp    = 30 * time.Second
	mostSteps = 200
)

// Setup makes the reconciler under test.
type Setup func(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error)

// World is a namespace with one reconciler and a cluster that the test plays.
type World struct {
	*testing.T
	// Namespace is the world's own.
	Namespace string
	// API reads and writes as an administrator.
	API client.WithWatch
	// Clock is what the reconciler takes for the time.
	Clock *clocktesting.FakePassiveClock
	// BrokenImages are images that cannot be pulled.
	BrokenImages map[string]bool
	// AfterEachStep, if set, is called after each step of the reconciler or of the cluster.
	AfterEachStep func()

	server *apiserver.Server
	scheme *runtime.Scheme
	setup  Setup
	kinds  []client.ObjectList

	reconciler reconcile.Reconciler
	cache      cache.Cache
	transport  *transport
	stop       func()
}

// New makes a world in a new namespace whose reconciler reads the kinds of the lists from its caches, and starts it.
func New(t *testing.T, server *apiserver.Server, setup Setup, kinds ...client.ObjectList) *World {
	t.Helper()
	return In(t, server, server.Namespace(t), setup, kinds...)
}

// In is New in a namespace that exists.
func In(t *testing.T, server *apiserver.Server, namespace string, setup Setup, kinds ...client.ObjectList) *World {
	t.Helper()
	w := &World{
		T: t, Namespace: namespace, API: server.Client, Clock: clocktesting.NewFakePassiveClock(time.Now()),
		BrokenImages: map[string]bool{}, server: server, scheme: server.Client.Scheme(), setup: setup, kinds: kinds,
	}
	w.Restart()
	t.Cleanup(func() { w.stop() })
	return w
}

// Restart stops the reconciler, if one runs, and starts another that knows nothing: as after a crash.
func (w *World) Restart() {
	w.Helper()
	if w.stop != nil {
		w.stop()
	}
	ctx, cancel := context.WithCancel(log.IntoContext(w.Context(), logr.Discard()))
	w.transport = &transport{thawed: map[string]chan struct{}{}}
	config := rest.CopyConfig(w.server.Config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		w.transport.next = next
		return w.transport
	})
	mgr, err := manager.New(config, manager.Options{
		Scheme: w.scheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			DefaultFieldSelector: fields.OneTermEqualSelector("metadata.namespace", w.Namespace),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Node{}: {Field: fields.Everything()}, &v1beta1.SidecarSet{}: {Field: fields.Everything()}, namespaces(): {Field: fields.Everything()},
			},
		},
	})
	if err != nil {
		w.Fatalf("making a manager: %v", err)
	}
	if w.reconciler, err = w.setup(ctx, mgr, w.Clock); err != nil {
		w.Fatalf("making the reconciler: %v", err)
	}
	w.cache = mgr.GetCache()
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.Errorf("the manager stopped: %v", err)
		}
	}
}

// namespaces is the metadata of namespaces.
func namespaces() client.Object {
	kind := &metav1.PartialObjectMetadata{}
	kind.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return kind
}

// Pass lets time pass on the reconciler's clock.
func (w *World) Pass(d time.Duration) { w.Clock.SetTime(w.Clock.Now().Add(d)) }

// Freeze holds back what the caches hear of a resource, like pods. Thaw lets them hear it.
func (w *World) Freeze(resource string) { w.transport.freeze(resource) }

// Thaw ends Freeze.
func (w *World) Thaw(resource string) { w.transport.thaw(resource) }

// LoseAnswers has the next n answers to the creation of a pod lost: the pod is made, and the reconciler hears of a timeout.
func (w *World) LoseAnswers(n int) {
	w.transport.mu.Lock()
	defer w.transport.mu.Unlock()
	w.transport.lose = n
}

// Writes are the writes of the reconciler since the last call.
func (w *World) Writes() []Write {
	w.transport.mu.Lock()
	defer w.transport.mu.Unlock()
	defer func() { w.transport.writes = nil }()
	return slices.Clone(w.transport.writes)
}

// written is how many writes the reconciler has made since Writes was called.
func (w *World) written() int {
	w.transport.mu.Lock()
	defer w.transport.mu.Unlock()
	return len(w.transport.writes)
}

// Reconcile waits until the caches show what is stored, lets more time pass than the loop leaves between two reconciles,
// and reconciles once.
func (w *World) Reconcile(key types.NamespacedName) error {
	w.Helper()
	w.Settle()
	w.Pass(2 * time.Second)
	_, err := w.reconciler.Reconcile(log.IntoContext(w.Context(), logr.Discard()), reconcile.Request{NamespacedName: key})
	if w.AfterEachStep != nil {
		w.AfterEachStep()
	}
	return err
}

// Rest lets reconciler and cluster take turns until neither has anything left to do. A reconciler that fails or finds no
// rest fails the test.
func (w *World) Rest(key types.NamespacedName) {
	w.Helper()
	for range mostSteps {
		before := w.written()
		if err := w.Reconcile(key); err != nil {
			w.Fatalf("reconcile: %v", err)
		}
		moved := w.Cluster()
		if !moved && w.written() == before {
			return
		}
	}
	w.Fatalf("no rest after %d steps; the last writes: %v", mostSteps, w.Writes())
}

// Settle waits until the caches show what is stored, but for those that are held back.
func (w *World) Settle() {
	w.Helper()
	for _, kind := range w.kinds {
		if w.transport.frozen(w.resourceOf(kind)) {
			continue
		}
		var diff string
		err := wait.PollUntilContextTimeout(w.Context(), lookAgain, giveUp, true, func(ctx context.Context) (bool, error) {
			stored, err := w.versions(ctx, w.API, kind)
			if err != nil {
				return false, err
			}
			cached, err := w.versions(ctx, w.cache, kind)
			diff = cmp.Diff(stored, cached)
			return diff == "", err
		})
		if err != nil {
			w.Fatalf("waiting until the cache shows every %T: %v (-stored +cached):\n%s", kind, err, diff)
		}
	}
}

func (w *World) resourceOf(kind client.ObjectList) string {
	w.Helper()
	gvk, err := w.API.GroupVersionKindFor(kind)
	if err != nil {
		w.Fatal(err)
	}
	gvk.Kind = strings.TrimSuffix(gvk.Kind, "List")
	resource, _ := meta.UnsafeGuessKindToResource(gvk)
	return resource.Resource
}

// versions lists what a reader knows of a kind: the resource version of each object.
func (w *World) versions(ctx context.Context, reader client.Reader, kind client.ObjectList) (map[string]string, error) {
	list, ok := kind.DeepCopyObject().(client.ObjectList)
	if !ok {
		return nil, fmt.Errorf("%T is no list", kind)
	}
	var where []client.ListOption
	namespaced, err := w.API.IsObjectNamespaced(list)
	if err != nil {
		return nil, err
	}
	if namespaced { // what is in no namespace is named after its world
		where = append(where, client.InNamespace(w.Namespace))
	}
	if err := reader.List(ctx, list, where...); err != nil {
		return nil, err
	}
	out := map[string]string{}
	err = meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err == nil && (namespaced || strings.HasPrefix(object.GetName(), w.Namespace+"-")) {
			out[object.GetName()+" "+string(object.GetUID())] = object.GetResourceVersion()
		}
		return err
	})
	return out, err
}
