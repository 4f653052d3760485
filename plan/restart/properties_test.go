package restart

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

// node is a pod on a node, the requests for it, and the two who work on them.
type node struct {
	*rapid.T
	now        time.Time
	pod        *corev1.Pod
	containers map[string]Container
	requests   []*Request

	// The agent's process, all of which is gone when it ends.
	mine     map[string]string // by request and container
	attempts map[string]Attempt
	jobs     []*job

	// hooks are the hooks that ran, stops the containers that were stopped, each by request and container.
	hooks, stops map[string][]string
}

// job is a stop that the agent carries out.
type job struct {
	key, name string
	Stop
}

func newNode(t *rapid.T) *node {
	n := &node{T: t, now: start, pod: web(), containers: map[string]Container{}, hooks: map[string][]string{}, stops: map[string][]string{}}
	n.pod.Status.ContainerStatuses = nil
	for _, name := range []string{"app", "log"} {
		n.pod.Spec.Containers = append(n.pod.Spec.Containers, corev1.Container{Name: name})
		n.containers[name] = Container{ID: id(name, 0), Running: true, Started: n.now}
		n.pod.Status.ContainerStatuses = append(n.pod.Status.ContainerStatuses, corev1.ContainerStatus{Name: name})
	}
	n.kubelet()
	n.endProcess()
	return n
}

func (n *node) endProcess() {
	n.mine, n.attempts, n.jobs = map[string]string{}, map[string]Attempt{}, nil
}

// ask makes a request, as its admission does.
func (n *node) ask() {
	names := rapid.SampledFrom([][]string{{"app"}, {"log"}, {"app", "log"}, {"log", "app"}}).Draw(n.T, "containers")
	r := request(fmt.Sprintf("r%d", len(n.requests)), v1beta1.ContainerRecreateRequestStrategy{
		ForceRecreate:   rapid.Bool().Draw(n.T, "force"),
		OrderedRecreate: rapid.Bool().Draw(n.T, "ordered"),
	}, names...)
	if rapid.Bool().Draw(n.T, "unready") {
		r.Spec.Strategy.UnreadyGracePeriodSeconds = ptr.To(int64(rapid.IntRange(0, 3).Draw(n.T, "grace")))
	}
	r.UID, r.CreationTimestamp = types.UID(r.Name), metav1.NewTime(n.now)
	for i := range r.Spec.Containers {
		r.Spec.Containers[i].StatusContext.ContainerID = StatusOf(n.pod, r.Spec.Containers[i].Name).ContainerID
	}
	n.requests = append(n.requests, r)
}

// queue are the requests that the agent sees.
func (n *node) queue() []*Request {
	var out []*Request
	for _, r := range n.requests {
		if _, active := r.Labels[v1beta1.ContainerRecreateRequestActiveKey]; active {
			out = append(out, r)
		}
	}
	return out
}

// agent decides about one request, writes what it decided, and begins to stop. written is false when the API server refuses
// the write, answered when the agent never learns that it did not.
func (n *node) agent(r *Request, answers, written bool) {
	f := Facts{Now: n.now, Request: r, Queue: n.queue(), Attempts: map[string]Attempt{}, Mine: map[string]string{}}
	if answers {
		f.Runtime = maps.Clone(n.containers)
	}
	for _, c := range r.Spec.Containers {
		key := r.Name + "/" + c.Name
		if a, ok := n.attempts[key]; ok {
			f.Attempts[c.Name] = a
		}
		if id, ok := n.mine[key]; ok {
			f.Mine[c.Name] = id
		}
	}
	p := Act(f)
	for i, s := range p.Status.ContainerRecreateStates {
		if before := states(r)[i]; s.StopTime != nil && before.StopTime == nil {
			n.mine[r.Name+"/"+s.Name] = s.ContainerID
		}
	}
	if p.Stop != nil {
		key := r.Name + "/" + p.Stop.Name
		n.attempts[key] = Attempt{Running: true}
		n.jobs = append(n.jobs, &job{key, p.Stop.Name, *p.Stop})
	}
	if written {
		r.Status = p.Status
	}
}

// work carries one job on: its hook, or else its stop.
func (n *node) work(j *job) {
	c := n.containers[j.name]
	if j.Hook {
		j.Hook = false
		n.hooks[j.key] = append(n.hooks[j.key], j.ID)
		if seen := n.hooks[j.key]; len(seen) > 1 {
			n.Fatalf("the hooks of %s ran in %q", j.key, seen)
		}
		return
	}
	if c.ID == j.ID && c.Running {
		c.Running = false
		n.containers[j.name] = c
		n.stops[j.key] = append(n.stops[j.key], j.ID)
	}
	n.attempts[j.key] = Attempt{Done: true}
	n.jobs = slices.DeleteFunc(n.jobs, func(other *job) bool { return other == j })
}

// kubelet starts what does not run, and says how the containers are.
func (n *node) kubelet() {
	for i := range n.pod.Status.ContainerStatuses {
		s := &n.pod.Status.ContainerStatuses[i]
		c := n.containers[s.Name]
		if !c.Running {
			s.RestartCount++
			c = Container{ID: id(s.Name, int(s.RestartCount)), Running: true, Started: n.now}
			n.containers[s.Name] = c
		}
		s.ContainerID, s.Ready, s.State.Running = c.ID, true, &corev1.ContainerStateRunning{}
	}
}

// manager works on one request.
func (n *node) manager(r *Request) {
	p := Manage(r, n.pod, n.now)
	if p.Guard {
		r.Finalizers = []string{v1beta1.ContainerRecreateRequestUnreadyAcquiredKey}
	}
	r.Status = p.Status
	if p.Tidy {
		delete(r.Labels, v1beta1.ContainerRecreateRequestActiveKey)
		r.Finalizers = nil
	}
}

// check checks what is promised of each request and container.
func (n *node) check() {
	busy := map[string]bool{}
	for _, j := range n.jobs {
		busy[j.key[:2]] = true
	}
	if len(n.jobs) > 1 || len(busy) > 1 {
		n.Fatalf("%d stops at a time: %v", len(n.jobs), busy)
	}
	for _, r := range n.requests {
		for _, c := range r.Spec.Containers {
			stopped := n.stops[r.Name+"/"+c.Name]
			if len(stopped) > 1 {
				n.Fatalf("request %s stopped containers %q", r.Name, stopped)
			}
			if len(stopped) == 1 && !r.Spec.Strategy.ForceRecreate && stopped[0] != c.StatusContext.ContainerID {
				n.Fatalf("request %s was made for %s and stopped %s", r.Name, c.StatusContext.ContainerID, stopped[0])
			}
		}
	}
}

func (n *node) step() {
	switch do := rapid.SampledFrom([]string{"agent", "agent", "work", "work", "kubelet", "manager", "manager", "ask", "crash", "end", "wait"}).Draw(n.T, "step"); do {
	case "agent":
		if q := n.queue(); len(q) > 0 {
			n.agent(rapid.SampledFrom(q).Draw(n.T, "request"), rapid.IntRange(0, 4).Draw(n.T, "runtime") > 0, rapid.IntRange(0, 4).Draw(n.T, "written") > 0)
		}
	case "work":
		if len(n.jobs) > 0 {
			n.work(rapid.SampledFrom(n.jobs).Draw(n.T, "job"))
		}
	case "kubelet":
		n.kubelet()
	case "manager":
		if len(n.requests) > 0 {
			n.manager(rapid.SampledFrom(n.requests).Draw(n.T, "request"))
		}
	case "ask":
		if len(n.requests) < 3 {
			n.ask()
		}
	case "crash":
		name := rapid.SampledFrom([]string{"app", "log"}).Draw(n.T, "container")
		c := n.containers[name]
		c.Running = false
		n.containers[name] = c
	case "end":
		n.endProcess()
	case "wait":
		n.now = n.now.Add(time.Second)
	}
}

func TestWhateverHappensNoHookRunsTwiceNoOtherContainerIsStoppedAndEveryRequestEnds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := newNode(t)
		n.ask()
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			n.step()
			n.check()
		}
		// From now on the world is fair.
		for range 60 {
			n.now = n.now.Add(time.Second)
			for _, r := range n.queue() {
				n.agent(r, true, true)
				n.check()
			}
			for _, j := range slices.Clone(n.jobs) {
				n.work(j)
			}
			n.kubelet()
			for _, r := range n.requests {
				n.manager(r)
			}
		}
		for _, r := range n.requests {
			if !Completed(r) || len(n.queue()) > 0 {
				t.Errorf("request %s has not ended: %+v", r.Name, r.Status)
			}
			for _, s := range r.Status.ContainerRecreateStates {
				if s.Phase != v1beta1.ContainerRecreateRequestSucceeded && r.Status.Message != AgentSilent {
					t.Errorf("container %s of request %s is %s: %s", s.Name, r.Name, s.Phase, s.Message)
				}
			}
		}
	})
}
