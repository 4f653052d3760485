package podmeta

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/cri/fake"
	"kruise.io/kruise/daemon/recreate"
	agentfake "kruise.io/kruise/kit/agent/fake"
	"kruise.io/kruise/plan/inplace"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a node with a pod whose container app takes the label tier into its environment.
type node struct {
	*testing.T
	runtime    *fake.Runtime
	api        client.Client
	clock      *clocktesting.FakePassiveClock
	controller *Controller
}

func newNode(t *testing.T) *node {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web", UID: "1", Labels: map[string]string{"tier": "silver"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web", Controller: ptr.To(true)}},
	}}
	pod.Spec.Containers = []corev1.Container{
		{
			Name:      "app",
			Env:       []corev1.EnvVar{{Name: "TIER", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['tier']"}}}},
			Lifecycle: &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"drain"}}}},
		},
		{Name: "other"},
	}
	pod.Status.Phase = corev1.PodRunning
	n := &node{T: t, runtime: fake.New(t), clock: clocktesting.NewFakePassiveClock(time.Unix(1_900_000_000, 0))}
	n.api = fakeclient.NewClientBuilder().WithScheme(scheme).WithObjects(pod).WithInterceptorFuncs(interceptor.Funcs{
		// Unlike the client's own, the endpoint of an API server takes annotations, too.
		SubResourcePatch: func(ctx context.Context, c client.Client, _ string, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
			return c.Patch(ctx, obj, patch)
		},
	}).Build()
	n.begin()
	n.start("app", "silver")
	n.start("other", "")
	return n
}

// begin starts a daemon.
func (n *node) begin() {
	n.Helper()
	runtimes := cri.NewNode([]string{n.runtime.Socket()}, cri.Options{})
	pods := agentfake.Cache[*corev1.Pod]{Context: n.Context(), Client: n.api, New: func() *corev1.Pod { return &corev1.Pod{} }}
	n.controller = newController(pods, agentfake.API{Client: n.api}, runtimes, n.clock)
	n.controller.stopper = recreate.NewStopper(recreate.Options{Runtimes: runtimes}, func(types.NamespacedName) {})
	ctx, cancel := context.WithCancel(n.Context())
	ended := make(chan error)
	go func() { ended <- n.controller.stopper.Start(ctx) }()
	n.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			n.Error(err)
		}
		if err := runtimes.Close(); err != nil {
			n.Error(err)
		}
	})
}

// start starts a container as kubelet does, with the value of the label in its environment, and says so.
func (n *node) start(name, tier string) string {
	n.Helper()
	id := n.runtime.Run(fake.Container{PodUID: "1", Name: name, Env: []string{"PATH=/bin", "TIER=" + tier}})
	n.change(func(pod *corev1.Pod) {
		pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: name, ContainerID: "containerd://" + id}}
	})
	return id
}

func (n *node) pod() *corev1.Pod {
	n.Helper()
	pod := &corev1.Pod{}
	if err := n.api.Get(n.Context(), types.NamespacedName{Namespace: "shop", Name: "web"}, pod); err != nil {
		n.Fatal(err)
	}
	return pod
}

// change changes the status of the pod.
func (n *node) change(change func(*corev1.Pod)) {
	n.Helper()
	pod := n.pod()
	change(pod)
	if err := n.api.Status().Update(n.Context(), pod); err != nil {
		n.Fatal(err)
	}
}

// label gives the label another value, in or out of service.
func (n *node) label(tier string, ready corev1.ConditionStatus) {
	n.Helper()
	n.change(func(pod *corev1.Pod) {
		pod.Status.Conditions = []corev1.PodCondition{{Type: v1beta1.InPlaceUpdateReady, Status: ready}}
	})
	pod := n.pod()
	pod.Labels["tier"] = tier
	if err := n.api.Update(n.Context(), pod); err != nil {
		n.Fatal(err)
	}
}

func (n *node) look() time.Duration {
	n.Helper()
	wait, err := n.controller.Take(n.Context(), types.NamespacedName{Namespace: "shop", Name: "web"})
	if err != nil {
		n.Fatal(err)
	}
	return wait
}

// until looks once a second until something is so.
func (n *node) until(what string, so func() bool) {
	n.Helper()
	for !so() {
		if n.Context().Err() != nil {
			n.Fatalf("waiting until %s", what)
		}
		n.clock.SetTime(n.clock.Now().Add(time.Second))
		n.look()
	}
}

// reported is what the annotation says of the container app.
func (n *node) reported() v1beta1.RuntimeContainerMeta {
	n.Helper()
	set := inplace.RuntimeMetaOf(n.pod())
	if len(set.Containers) != 1 || set.Containers[0].Name != "app" {
		n.Fatalf("%+v", set)
	}
	return set.Containers[0]
}

// current says that the container's environment is what the pod's label says.
func (n *node) current() bool {
	n.Helper()
	pod := n.pod()
	wanted, _ := inplace.EnvHash(&pod.Spec.Containers[0], &pod.ObjectMeta)
	return n.reported().Hashes.ExtractedEnvFromMetadataHash == wanted
}

func TestWhatIsInTheEnvironmentIsReportedOnce(t *testing.T) {
	n := newNode(t)
	n.look()
	if !n.current() || n.reported().StopTime != nil {
		t.Errorf("%+v", n.reported())
	}
	version := n.pod().ResourceVersion
	if n.look(); n.pod().ResourceVersion != version {
		t.Error("it is reported again")
	}
}

func TestAContainerIsRestartedForItsEnvironmentWhileThePodIsOutOfServiceAndAsOftenAsThatIsWanted(t *testing.T) {
	n := newNode(t)
	id := "1-app-0"
	n.look()
	n.label("gold", corev1.ConditionTrue)
	n.look()
	if n.look(); n.current() || n.reported().StopTime != nil {
		t.Errorf("a pod in service: %+v", n.reported())
	}
	for i, tier := range []string{"gold", "platinum"} {
		n.label(tier, corev1.ConditionFalse)
		wait := n.look()
		for range 3 {
			n.look()
		}
		if c := n.runtime.Container(id); n.reported().StopTime == nil || c.Exited() || wait < 2*time.Second {
			t.Fatalf("update %d: %+v, looked at again after %v, stopped before its time: %t", i, n.reported(), wait, c.Exited())
		}
		n.until("the container is stopped", func() bool { return n.runtime.Container(id).Exited() })
		if c := n.runtime.Container(id); len(c.Commands) != 1 || len(c.Stops) != 1 {
			t.Errorf("update %d: hooks %q, stops %d", i, c.Commands, c.Stops)
		}
		id = n.start("app", tier)
		n.until("the new environment is reported", n.current)
		if r := n.reported(); r.StopTime != nil || r.ContainerID != "containerd://"+id || r.RestartCount != int32(i+1) {
			t.Errorf("update %d: %+v", i, r)
		}
	}
	if n.runtime.Container("1-other-0").Exited() {
		t.Error("its neighbour was stopped")
	}
}

func TestADaemonThatDidNotWriteTheStopDownStopsWithoutTheHook(t *testing.T) {
	n := newNode(t)
	n.label("gold", corev1.ConditionFalse)
	n.until("the stop is written down", func() bool { return n.look() >= 0 && n.reported().StopTime != nil })
	n.begin()
	n.until("the container is stopped", func() bool { return n.runtime.Container("1-app-0").Exited() })
	if c := n.runtime.Container("1-app-0"); len(c.Commands) > 0 || len(c.Stops) != 1 {
		t.Errorf("hooks %q, stops %d", c.Commands, c.Stops)
	}
}

func TestPodsOfOthersAndPodsThatTakeNothingInAreLeftAlone(t *testing.T) {
	n := newNode(t)
	ours, others, plain, injected := n.pod(), n.pod(), n.pod(), n.pod()
	others.OwnerReferences[0].APIVersion = "apps/v1"
	plain.Spec.Containers = plain.Spec.Containers[1:]
	injected.OwnerReferences, injected.Annotations = nil, map[string]string{v1beta1.SidecarSetInjectedListKey: "log"}
	for name, tc := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{"of ours": {ours, true}, "of others": {others, false}, "without such containers": {plain, false}, "with sidecars": {injected, true}} {
		if got := takesIn(tc.pod); got != tc.want {
			t.Errorf("a pod %s: %t", name, got)
		}
		kept := Watched("node").Trim(tc.pod)
		if kept.UID != tc.pod.UID || kept.Name != tc.pod.Name || kept.ResourceVersion != tc.pod.ResourceVersion || (len(kept.Spec.Containers) > 0) != tc.want {
			t.Errorf("of a pod %s is kept %+v", name, kept)
		}
	}
}
