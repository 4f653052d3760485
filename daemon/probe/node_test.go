package probe

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	fakeclient "sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/cri/fake"
	agentfake "kruise.io/kruise/kit/agent/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nodeName = "n1"

// node is a node with a runtime, an API server, and a daemon that can end and be started again.
type node struct {
	*testing.T
	runtime *fake.Runtime
	api     client.WithWatch

	controller *Controller
	clock      *clocktesting.FakeClock
	end        func()

	mu     sync.Mutex
	events []string
}

func newNode(t *testing.T) *node {
	t.Helper()
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	n := &node{T: t, runtime: fake.New(t)}
	n.api = fakeclient.NewClientBuilder().WithScheme(scheme).WithStatusSubresource(&v1alpha1.NodePodProbe{}).Build()
	n.begin()
	return n
}

// begin starts the daemon.
func (n *node) begin() {
	n.Helper()
	// Limits count real time, in which a busy machine may do little: none is ever reached but by what hangs.
	runtimes := cri.NewNode([]string{n.runtime.Socket()}, cri.Options{Timeout: time.Minute, Slack: 50 * time.Millisecond, ReconnectWithin: 5 * time.Millisecond})
	n.clock = clocktesting.NewFakeClock(time.Unix(1_900_000_000, 0))
	objects := agentfake.Cache[*v1alpha1.NodePodProbe]{Context: n.Context(), Client: n.api, New: func() *v1alpha1.NodePodProbe { return &v1alpha1.NodePodProbe{} }}
	n.controller = newController(Options{Node: nodeName, Runtimes: runtimes}, objects, agentfake.API{Client: n.api}, n, n.clock)
	ctx, cancel := context.WithCancel(n.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.controller.Start(ctx); err != nil {
			n.Error(err)
		}
	}()
	n.end = sync.OnceFunc(func() {
		cancel()
		<-done
		if err := runtimes.Close(); err != nil {
			n.Error(err)
		}
	})
	n.Cleanup(n.end)
}

// restart ends the daemon and starts it again.
func (n *node) restart() {
	n.Helper()
	n.end()
	n.begin()
}

// Eventf takes an event on a pod.
func (n *node) Eventf(regarding, _ runtime.Object, _, reason, _, note string, args ...any) {
	pod, ok := regarding.(*corev1.ObjectReference)
	if !ok {
		n.Errorf("an event on %T", regarding)
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, fmt.Sprintf("%s %s: %s", pod.Name, reason, fmt.Sprintf(note, args...)))
}

// hand hands the node the probes of the pod a.
func (n *node) hand(probes ...v1alpha1.ContainerProbe) {
	n.Helper()
	object := &v1alpha1.NodePodProbe{}
	err := n.api.Get(n.Context(), types.NamespacedName{Name: nodeName}, object)
	object.Spec.PodProbes = []v1alpha1.PodProbe{{Namespace: "shop", Name: "a", UID: "1", IP: "127.0.0.1", Probes: probes}}
	if err != nil {
		object.Name = nodeName
		err = n.api.Create(n.Context(), object)
	} else {
		err = n.api.Update(n.Context(), object)
	}
	if err != nil {
		n.Fatal(err)
	}
	n.look()
}

// look lets the daemon look at its object once.
func (n *node) look() {
	n.Helper()
	if _, err := n.controller.Take(n.Context(), types.NamespacedName{Name: nodeName}); err != nil {
		n.Fatal(err)
	}
}

// object is the object of the node.
func (n *node) object() *v1alpha1.NodePodProbe {
	n.Helper()
	object := &v1alpha1.NodePodProbe{}
	if err := n.api.Get(n.Context(), types.NamespacedName{Name: nodeName}, object); err != nil {
		n.Fatal(err)
	}
	return object
}

// state is what the status says of a probe: its state and message.
func (n *node) state(name string) string {
	n.Helper()
	state := reported(&n.object().Status)[key{"1", name}]
	if state.State == "" {
		return ""
	}
	return string(state.State) + " " + state.Message
}

// until lets time pass until something is so.
func (n *node) until(what string, so func() bool) {
	n.Helper()
	for !so() {
		if n.Context().Err() != nil {
			n.Fatalf("waiting until %s", what)
		}
		if n.clock.HasWaiters() {
			n.clock.Step(time.Second)
		}
		n.look()
	}
}

// found waits until the status says something of a probe.
func (n *node) found(name, state string) {
	n.Helper()
	n.until(fmt.Sprintf("%s is %q", name, state), func() bool { return n.state(name) == state })
}

// commands is how many commands ran in a container.
func (n *node) commands(id string) int { return len(n.runtime.Container(id).Commands) }

// attempts lets time pass until so many more commands have run in a container.
func (n *node) attempts(id string, more int) {
	n.Helper()
	enough := n.commands(id) + more
	n.until("the probe is made", func() bool { return n.commands(id) >= enough })
}

// exec is a probe by a command.
func exec(name string, change ...func(*v1alpha1.ContainerProbeSpec)) v1alpha1.ContainerProbe {
	p := v1alpha1.ContainerProbe{Name: "m#" + name, ContainerName: "main"}
	p.Probe.TimeoutSeconds = 60
	p.Probe.Exec = &corev1.ExecAction{Command: []string{name}}
	for _, c := range change {
		c(&p.Probe)
	}
	return p
}

// answers is a container whose commands answer by a map of words that can be changed: a word with ! before it fails.
type answers struct {
	mu    sync.Mutex
	words map[string]string
}

func (a *answers) set(command, word string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.words[command] = word
}

func (a *answers) say(command []string) (string, int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	word := a.words[command[0]]
	if word != "" && word[0] == '!' {
		return word[1:], 1
	}
	return word, 0
}

// runs starts the container main of the pod a.
func (n *node) runs(a *answers) string {
	return n.runtime.Run(fake.Container{PodUID: "1", Name: "main", Says: a.say})
}
