package recreate

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/cri/fake"
	agentfake "kruise.io/kruise/kit/agent/fake"
	"kruise.io/kruise/kit/store"
	"kruise.io/kruise/kit/turn"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a node with a runtime, an API server, and a daemon that can end and be started again.
type node struct {
	*testing.T
	runtime *fake.Runtime
	api     client.WithWatch
	// write, if set, stands between the daemon and the status of its requests.
	write func(carryOut func() error) error

	process *process
	mu      sync.Mutex
	events  []string
}

// process is one life of the daemon.
type process struct {
	controller *Controller
	loop       *turn.Loop[*v1beta1.ContainerRecreateRequest]
	clock      *clocktesting.FakeClock // of the loop
	stopping   *clocktesting.FakeClock // of the stops
	end        func()
}

func newNode(t *testing.T) *node {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, runtime: fake.New(t)}
	n.api = fakeclient.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1beta1.ContainerRecreateRequest{}).
		WithInterceptorFuncs(interceptor.Funcs{
			SubResourcePatch: func(ctx context.Context, c client.Client, sub string, obj client.Object, patch client.Patch, o ...client.SubResourcePatchOption) error {
				carryOut := func() error { return c.SubResource(sub).Patch(ctx, obj, patch, o...) }
				if n.write != nil {
					return n.write(carryOut)
				}
				return carryOut()
			},
		}).Build()
	n.begin()
	return n
}

// Begin starts the daemon.
func (n *node) begin() {
	n.Helper()
	runtimes := cri.NewNode([]string{n.runtime.Socket()}, cri.Options{Timeout: time.Second, ReconnectWithin: 5 * time.Millisecond})
	requests := agentfake.Cache[*v1beta1.ContainerRecreateRequest]{
		Context: n.Context(), Client: n.api,
		New:  func() *v1beta1.ContainerRecreateRequest { return &v1beta1.ContainerRecreateRequest{} },
		List: func() client.ObjectList { return &v1beta1.ContainerRecreateRequestList{} },
	}
	p := &process{
		clock: clocktesting.NewFakeClock(time.Unix(1_900_000_000, 0)), stopping: clocktesting.NewFakeClock(time.Unix(1_900_000_000, 0)),
		controller: &Controller{requests: requests, runtimes: runtimes, stopper: NewStopper(Options{Runtimes: runtimes}, func(types.NamespacedName) {})},
	}
	p.controller.clock, p.controller.stopper.clock = p.clock, p.stopping
	p.controller.stopper.pauses = wait.Backoff{Duration: time.Millisecond, Steps: 1000}
	p.loop = p.controller.loop(agentfake.API{Client: n.api}, n)
	ctx, cancel := context.WithCancel(n.Context())
	done := make(chan struct{})
	// As if it had been started; but the stops of a process that is killed end with it.
	p.controller.stopper.base = ctx
	close(p.controller.stopper.started)
	p.end = sync.OnceFunc(func() {
		cancel()
		p.controller.stopper.running.Wait()
		if err := runtimes.Close(); err != nil {
			n.Error(err)
		}
		close(done)
	})
	n.process = p
	n.Cleanup(p.end)
}

// kill ends the daemon at once, and starts it again.
func (n *node) kill() {
	n.Helper()
	n.process.end()
	n.begin()
}

// Eventf takes an event on a pod.
func (n *node) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	pod, ok := regarding.(*corev1.Pod)
	if !ok {
		n.Errorf("an event on %T", regarding)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, fmt.Sprintf("%s %s: %s", pod.Name, reason, fmt.Sprintf(note, args...)))
}

// runs starts the container of a pod, and returns its ID.
func (n *node) runs(name string) string {
	return n.runtime.Run(fake.Container{PodUID: "1", Name: name})
}

// ask makes a request for containers that run, as its admission does.
func (n *node) ask(name string, change func(*v1beta1.ContainerRecreateRequest), containers ...string) {
	n.Helper()
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, UID: types.UID(name), CreationTimestamp: metav1.Now(),
		Labels: map[string]string{
			v1beta1.ContainerRecreateRequestPodUIDKey: "1", v1beta1.ContainerRecreateRequestNodeNameKey: "node", v1beta1.ContainerRecreateRequestActiveKey: "true",
		},
	}}
	r.Spec.PodName = "web"
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{TerminationGracePeriodSeconds: ptr.To[int64](20)}
	for _, id := range containers {
		c := n.runtime.Container(id)
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{
			Name: c.Name, RestartPolicy: corev1.ContainerRestartPolicyAlways,
			PreStop:       &v1beta1.ContainerPreStop{Exec: &corev1.ExecAction{Command: []string{"drain"}}},
			StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://" + id},
		})
	}
	if change != nil {
		change(r)
	}
	if err := n.api.Create(n.Context(), r); err != nil {
		n.Fatal(err)
	}
}

func (n *node) request(name string) *v1beta1.ContainerRecreateRequest {
	n.Helper()
	r := &v1beta1.ContainerRecreateRequest{}
	if err := n.api.Get(n.Context(), types.NamespacedName{Namespace: "shop", Name: name}, r); err != nil {
		n.Fatal(err)
	}
	return r
}

// state is the state of the first container of a request.
func (n *node) state(name string) v1beta1.ContainerRecreateState {
	n.Helper()
	if states := n.request(name).Status.ContainerRecreateStates; len(states) > 0 {
		return states[0]
	}
	return v1beta1.ContainerRecreateState{}
}

// look lets the daemon look at every request once.
func (n *node) look() {
	n.Helper()
	all := &v1beta1.ContainerRecreateRequestList{}
	if err := n.api.List(n.Context(), all); err != nil {
		n.Fatal(err)
	}
	n.process.clock.Step(time.Minute) // no pause of the loop holds
	for i := range all.Items {
		_, err := n.process.loop.Take(n.Context(), store.Key(&all.Items[i]))
		if err != nil && n.write == nil {
			n.Fatal(err)
		}
	}
}

// until lets the daemon look until something is so.
func (n *node) until(what string, so func() bool) {
	n.Helper()
	for !so() {
		if n.Context().Err() != nil {
			n.Fatalf("waiting until %s", what)
		}
		n.look()
	}
}

// kubelet starts the container of the pod again, and says that it is ready.
func (n *node) kubelet(name string) string {
	n.Helper()
	id := n.runs(name)
	all := &v1beta1.ContainerRecreateRequestList{}
	if err := n.api.List(n.Context(), all); err != nil {
		n.Fatal(err)
	}
	for i := range all.Items {
		r := &all.Items[i]
		r.Status.ContainerStatusSnapshot = append(r.Status.ContainerStatusSnapshot,
			v1beta1.ContainerStatusSnapshot{Name: name, Ready: true, ContainerID: "containerd://" + id})
		if r.Status.Phase == "" {
			r.Status.Phase = v1beta1.ContainerRecreateRequestPending
		}
		if err := n.api.Status().Update(n.Context(), r); err != nil {
			n.Fatal(err)
		}
	}
	return id
}

func (n *node) completed(name string) func() bool {
	return func() bool { return n.request(name).Status.Phase == v1beta1.ContainerRecreateRequestCompleted }
}

// once checks that the hook of a container ran so often, and that it was stopped once, with a grace period.
func (n *node) once(id string, hooks int, grace int64) {
	n.Helper()
	c := n.runtime.Container(id)
	if len(c.Commands) != hooks || !slices.Equal(c.Stops, []int64{grace}) {
		n.Errorf("container %s ran %q and was stopped with %d s, want %d hooks and one stop with %d s", id, c.Commands, c.Stops, hooks, grace)
	}
}

// stopped says whether a container was stopped.
func (n *node) stopped(id string) func() bool {
	return func() bool { return n.runtime.Container(id).Exited() }
}
