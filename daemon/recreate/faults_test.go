package recreate

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri/fake"
)

// chaos is a node on which anything may fail, and what has been asked of it.
type chaos struct {
	*node
	draw    *rand.Rand
	release chan struct{} // lets the calls go that are held
	down    bool
	running map[string]string // the container of each name
	ids     []string          // all containers that there were
	asked   []string          // all requests
	ended   map[string]*v1beta1.ContainerRecreateRequest
}

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		node: newNode(t), draw: rand.New(rand.NewPCG(seed, 0)), release: make(chan struct{}), //nolint:gosec // a seed is what is wanted
		running: map[string]string{}, ended: map[string]*v1beta1.ContainerRecreateRequest{},
	}
	for _, name := range []string{"app", "log"} {
		c.run(name)
	}
	return c
}

func (c *chaos) pick(words ...string) string { return words[c.draw.IntN(len(words))] }

func (c *chaos) run(name string) {
	c.running[name] = c.runs(name)
	c.ids = append(c.ids, c.running[name])
}

// step does one thing to the node, or lets the daemon look.
func (c *chaos) step() {
	switch do := c.pick("look", "look", "look", "ask", "call", "call", "runtime", "answers", "kill", "kubelet", "manager", "exit"); do {
	case "look":
		c.look()
	case "ask":
		if len(c.asked) < 4 {
			c.want(fmt.Sprintf("r%d", len(c.asked)))
		}
	case "call":
		fault := fake.Fault{Times: 1 + c.draw.IntN(2), After: c.draw.IntN(2) == 0, Message: "a fault"}
		fault.Code = []codes.Code{codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Canceled}[c.draw.IntN(4)]
		method := c.pick("StopContainer", "StopContainer", "ExecSync", "ListContainers")
		if method != "ListContainers" && c.draw.IntN(3) == 0 {
			fault = fake.Fault{Times: 1, Hold: c.release}
		}
		c.runtime.Break(method, fault)
	case "runtime":
		c.serve(c.down)
	case "answers":
		c.write = map[string]func(func() error) error{
			"away": func(func() error) error { return errLost },
			"lost": func(carryOut func() error) error { return errors.Join(carryOut(), errLost) },
		}[c.pick("away", "lost", "heard", "heard")]
	case "kill":
		c.kill()
	case "kubelet":
		c.restart()
	case "manager":
		c.tidy()
	case "exit":
		if c.draw.IntN(3) == 0 {
			c.runtime.Exit(c.running[c.pick("app", "log")])
		}
	}
}

// want asks for the containers that run now, each with a hook that names the request.
func (c *chaos) want(name string) {
	names := [][]string{{"app"}, {"log"}, {"app", "log"}}[c.draw.IntN(3)]
	var ids []string
	for _, n := range names {
		ids = append(ids, c.running[n])
	}
	c.ask(name, func(r *v1beta1.ContainerRecreateRequest) {
		r.CreationTimestamp = metav1.NewTime(r.CreationTimestamp.Add(time.Duration(len(c.asked)) * time.Hour))
		r.Spec.Strategy.OrderedRecreate = c.draw.IntN(2) == 0
		for i := range r.Spec.Containers {
			r.Spec.Containers[i].PreStop.Exec.Command = []string{"drain", name}
		}
	}, ids...)
	c.asked = append(c.asked, name)
}

// serve takes the runtime down, or up again.
func (c *chaos) serve(up bool) {
	if up == c.down {
		if c.down = !up; up {
			c.runtime.Up()
		} else {
			c.runtime.Down()
		}
	}
}

// all are the requests that were not tidied up after.
func (c *chaos) all() []v1beta1.ContainerRecreateRequest {
	c.Helper()
	list := &v1beta1.ContainerRecreateRequestList{}
	if err := c.api.List(c.Context(), list); err != nil {
		c.Fatal(err)
	}
	return list.Items
}

// restart starts containers that have exited, as kubelet does, and says which run, as the manager does.
func (c *chaos) restart() {
	c.Helper()
	for name, id := range c.running {
		if c.runtime.Container(id).Exited() {
			c.run(name)
		}
	}
	all := c.all()
	for i := range all {
		r := &all[i]
		r.Status.ContainerStatusSnapshot = nil
		for _, container := range r.Spec.Containers {
			r.Status.ContainerStatusSnapshot = append(r.Status.ContainerStatusSnapshot, v1beta1.ContainerStatusSnapshot{
				Name: container.Name, Ready: true, ContainerID: "containerd://" + c.running[container.Name],
			})
		}
		if r.Status.Phase == "" {
			r.Status.Phase = v1beta1.ContainerRecreateRequestPending
		}
		if err := c.api.Status().Update(c.Context(), r); err != nil {
			c.Fatal(err)
		}
	}
}

// tidy removes the requests that have ended, so that the next ones begin.
func (c *chaos) tidy() {
	c.Helper()
	all := c.all()
	for i := range all {
		r := &all[i]
		if r.Status.Phase != v1beta1.ContainerRecreateRequestCompleted {
			continue
		}
		c.ended[r.Name] = r
		if err := c.api.Delete(c.Context(), r); err != nil {
			c.Fatal(err)
		}
		c.process.controller.stopper.Forget(r.UID)
	}
}

// check checks what is promised at any time.
func (c *chaos) check() {
	c.Helper()
	written := map[string]bool{} // the containers whose stop is written down, by request
	asked := map[string]bool{}
	requests := c.all()
	for _, r := range c.ended {
		requests = append(requests, *r)
	}
	for i := range requests {
		for _, container := range requests[i].Spec.Containers {
			asked[strings.TrimPrefix(container.StatusContext.ContainerID, "containerd://")] = true
		}
		for _, s := range requests[i].Status.ContainerRecreateStates {
			if s.StopTime != nil {
				id := strings.TrimPrefix(s.ContainerID, "containerd://")
				written[requests[i].Name+" "+id], written[id] = true, true
			}
		}
	}
	for _, id := range c.ids {
		container := c.runtime.Container(id)
		if len(container.Stops) > 0 && (!asked[id] || !written[id]) {
			c.Errorf("container %s was stopped; somebody asked for it: %t; it was written down: %t", id, asked[id], written[id])
		}
		var hooks []string
		for _, command := range container.Commands {
			hooks = append(hooks, command[1])
			if !written[command[1]+" "+id] {
				c.Errorf("the hook of container %s ran for request %s before it was written down", id, command[1])
			}
		}
		if slices.Sort(hooks); len(slices.Compact(slices.Clone(hooks))) != len(hooks) {
			c.Errorf("the hooks of container %s ran for the requests %q", id, hooks)
		}
	}
}

func TestWhateverFailsNoHookRunsTwiceNothingElseIsStoppedAndEveryRequestEnds(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			c.want("r0")
			for range 60 {
				c.step()
				if c.check(); t.Failed() {
					t.FailNow()
				}
			}
			// From now on the world is fair.
			c.write = nil
			for _, method := range []string{"StopContainer", "ExecSync", "ListContainers"} {
				c.runtime.Mend(method)
			}
			close(c.release)
			c.serve(true)
			for len(c.ended) < len(c.asked) {
				c.look()
				c.restart()
				c.tidy()
				c.check()
			}
			for name, r := range c.ended {
				for _, s := range r.Status.ContainerRecreateStates {
					if s.Phase != v1beta1.ContainerRecreateRequestSucceeded && !strings.Contains(s.Message, "a fault") {
						t.Errorf("container %s of request %s is %s: %s", s.Name, name, s.Phase, s.Message)
					}
				}
			}
			if all := c.all(); len(all) > 0 {
				t.Errorf("left are %v", all)
			}
		})
	}
}
