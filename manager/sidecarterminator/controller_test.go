package sidecarterminator

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// world is an API server with a node and the pod report, whose work is done and whose sidecar runs.
type world struct {
	*testing.T
	client.Client
	reconciler *reconciler
	events     *events.FakeRecorder
	writes     int
}

func newWorld(t *testing.T, change func(*corev1.Pod, *corev1.Node)) *world {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "report", UID: "1"}}
	pod.Spec.NodeName, pod.Spec.RestartPolicy = "node", corev1.RestartPolicyNever
	pod.Spec.Containers = []corev1.Container{{Name: "work", Image: "work"}, {Name: "side", Image: "side", Env: []corev1.EnvVar{
		{Name: v1beta1.TerminateSidecarEnv, Value: "true"}, {Name: v1beta1.TerminateSidecarWithImageEnv, Value: "true:1"},
	}}}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "work", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}},
		{Name: "side", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
	}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	change(pod, node)
	w := &world{T: t, events: events.NewFakeRecorder(10)}
	w.Client = fakeclient.NewClientBuilder().WithScheme(scheme).WithObjects(pod, node).WithStatusSubresource(pod).WithInterceptorFuncs(interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			w.writes++
			return c.Create(ctx, o, opts...)
		},
		Patch: func(ctx context.Context, c client.WithWatch, o client.Object, p client.Patch, opts ...client.PatchOption) error {
			w.writes++
			return c.Patch(ctx, o, p, opts...)
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			w.writes++
			return c.SubResource(sub).Patch(ctx, o, p, opts...)
		},
	}).Build()
	w.reconciler = &reconciler{client: w.Client, recorder: w.events, clock: clocktesting.NewFakePassiveClock(time.Unix(1_900_000_000, 0))}
	return w
}

// look reconciles the pod several times and returns it; so many things are done, each once, and told once.
func (w *world) look(done int) *corev1.Pod {
	w.Helper()
	key := types.NamespacedName{Namespace: "shop", Name: "report"}
	for range 3 {
		if _, err := w.reconciler.Reconcile(w.Context(), reconcile.Request{NamespacedName: key}); err != nil {
			w.Fatal(err)
		}
	}
	if w.writes != done || len(w.events.Events) != done {
		w.Errorf("%d writes and %d events", w.writes, len(w.events.Events))
	}
	pod := &corev1.Pod{}
	if err := w.Get(w.Context(), key, pod); err != nil {
		w.Fatal(err)
	}
	return pod
}

func TestASidecarIsStoppedByOneRequest(t *testing.T) {
	w := newWorld(t, func(*corev1.Pod, *corev1.Node) {})
	w.look(1)
	r := &v1beta1.ContainerRecreateRequest{}
	if err := w.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "sidecar-termination-1"}, r); err != nil {
		t.Fatal(err)
	}
	if len(r.Spec.Containers) != 1 || r.Spec.Containers[0].Name != "side" {
		t.Errorf("%+v", r.Spec)
	}
	if got := podOf(t.Context(), r); len(got) != 1 || got[0].Name != "report" {
		t.Errorf("an event of the request is about %v", got)
	}
	r.Name = "mine"
	if got := podOf(t.Context(), r); got != nil {
		t.Errorf("an event of somebody else's request is about %v", got)
	}
}

func TestAPodWhoseSidecarSaysNothingIsMarkedAsEndedAndThenTheSidecarIsStopped(t *testing.T) {
	w := newWorld(t, func(pod *corev1.Pod, _ *corev1.Node) {
		pod.Spec.Containers[1].Env = append(pod.Spec.Containers[1].Env, corev1.EnvVar{Name: v1beta1.IgnoreExitCodeEnv, Value: "true"})
	})
	if pod := w.look(2); pod.Status.Phase != corev1.PodSucceeded || len(pod.Status.Conditions) != 1 || len(pod.Status.ContainerStatuses) != 2 {
		t.Errorf("%+v", pod.Status)
	}
}

func TestTheImageIsChangedOnAVirtualKubelet(t *testing.T) {
	w := newWorld(t, func(_ *corev1.Pod, node *corev1.Node) {
		node.Labels = map[string]string{v1beta1.VirtualKubeletKey: v1beta1.VirtualKubeletValue}
	})
	if pod := w.look(1); pod.Spec.Containers[0].Image != "work" || pod.Spec.Containers[1].Image != "true:1" {
		t.Errorf("%+v", pod.Spec.Containers)
	}
}
