package images

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	crifake "kruise.io/kruise/daemon/cri/fake"
	"kruise.io/kruise/plan/images"
)

// chaos is a node on which anything may fail, and what has been seen on it.
type chaos struct {
	*node
	draw    *rand.Rand
	release chan struct{} // lets the calls go that are held
	down    bool
	rounds  map[string]int64 // the newest round of each task
	ended   map[string]v1beta1.ImagePullPhase
	heard   map[string]int // events
}

// The images of the node: some it does not have yet, one is there, and one is nowhere.
const (
	remote  = "new-1 new-2 new-3"
	present = "old"
	nowhere = "none"
)

func newChaos(t *testing.T, seed uint64) *chaos {
	t.Helper()
	c := &chaos{
		node: newNode(t, func(o *Options) { o.Workers = 2 }), draw: rand.New(rand.NewPCG(seed, 0)), release: make(chan struct{}), //nolint:gosec // a seed is what is wanted
		rounds: map[string]int64{}, ended: map[string]v1beta1.ImagePullPhase{}, heard: map[string]int{},
	}
	c.there(false, present+":1")
	for _, name := range strings.Fields(remote) {
		c.there(true, name+":1")
	}
	return c
}

func (c *chaos) pick(words ...string) string { return words[c.draw.IntN(len(words))] }

// step does one thing to the node, or lets the daemon look.
func (c *chaos) step() {
	switch do := c.pick("look", "look", "look", "want", "want", "round", "back", "call", "call", "runtime", "answers", "restart"); do {
	case "look":
		c.look()
	case "want":
		name := c.pick(strings.Fields(remote + " " + present + " " + nowhere)...)
		if _, wanted := c.image().Spec.Images[name]; !wanted {
			c.begin(name)
		}
	case "round", "back":
		if names := slices.Sorted(maps.Keys(c.image().Spec.Images)); len(names) > 0 {
			name := c.pick(names...)
			c.back(name)
			if do == "round" {
				c.begin(name)
			}
		}
	case "call":
		fault := crifake.Fault{Times: 1 + c.draw.IntN(2), After: c.draw.IntN(2) == 0, Message: "a fault"}
		fault.Code = []codes.Code{codes.Unavailable, codes.Unknown, codes.DeadlineExceeded, codes.Canceled}[c.draw.IntN(4)]
		method := c.pick("PullImage", "PullImage", "ImageStatus")
		if method == "PullImage" && c.draw.IntN(3) == 0 {
			fault = crifake.Fault{Times: 1, Hold: c.release}
		}
		c.runtime.Break(method, fault)
	case "runtime":
		c.serve(c.down)
	case "answers":
		c.away, c.lost = c.draw.IntN(3) == 0, c.draw.IntN(3) == 0
	case "restart":
		c.hear()
		c.stop()
		c.start()
	}
}

// begin gives the node a task, in the round after the one that it had.
func (c *chaos) begin(name string) {
	c.rounds[name]++
	c.want(name+":1", func(s *v1beta1.ImageSpec) { s.Tags[0].Version = c.rounds[name] })
}

// back takes a task back. A pull of it that is under way has ended then.
func (c *chaos) back(name string) {
	pulling := c.c.pulls[images.Ref{Name: name, Tag: "1"}]
	c.tell(func(all map[string]v1beta1.ImageSpec) { delete(all, name) })
	c.look()
	if pulling != nil {
		<-pulling.done
	}
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

// look lets the daemon look once.
func (c *chaos) look() {
	c.Helper()
	_, err := c.c.Take(c.Context(), types.NamespacedName{Name: "node-1"})
	if err != nil && !errors.Is(err, errAway) {
		c.Fatal(err)
	}
	c.hear()
}

// hear notes the events.
func (c *chaos) hear() {
	for _, event := range c.told() {
		c.heard[event]++
	}
}

// check checks what is promised at any time, and says which tasks have not ended.
func (c *chaos) check() (open []string) {
	c.Helper()
	image := c.image()
	for name, spec := range image.Spec.Images {
		version := spec.Tags[0].Version
		round := fmt.Sprintf("%s v%d", name, version)
		s := said(image, images.Ref{Name: name, Tag: "1"})
		if s == nil || s.Version != version || s.CompletionTime == nil {
			open = append(open, round)
			if before := c.ended[round]; before != "" {
				c.Errorf("%s had %s, and now is %+v", round, before, s)
			}
			continue
		}
		if before := c.ended[round]; before != "" && before != s.Phase {
			c.Errorf("%s had %s, and now has %s", round, before, s.Phase)
		}
		c.ended[round] = s.Phase
		switch there := c.runtime.Image("sha256:" + name + ":1"); {
		case s.Phase == v1beta1.ImagePhaseSucceeded && (there.ID == "" || there.Remote):
			c.Errorf("%s is said to be on the node", round)
		case s.Phase == v1beta1.ImagePhaseFailed && name != nowhere && !strings.Contains(s.Message, "a fault"):
			c.Errorf("%s failed of itself: %s", round, s.Message)
		}
	}
	for _, name := range strings.Fields(remote + " " + present) {
		// None of them asks the registry for what the node has.
		if most := map[bool]int{true: 0, false: 1}[name == present]; c.pulls(name+":1") > most {
			c.Errorf("%s was pulled %d times", name, c.pulls(name+":1"))
		}
	}
	for name, rounds := range c.rounds {
		if times := c.heard["Normal PullImageSucceed "+name+":1 is on the node"]; times > int(rounds) {
			c.Errorf("in %d rounds of %s, %d times was told that it is there", rounds, name, times)
		}
	}
	return open
}

func TestWhateverFailsEachImageIsPulledOnceWhatEndedStaysEndedAndEveryTaskEnds(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			c := newChaos(t, seed)
			for range 40 {
				c.step()
				if c.check(); t.Failed() {
					t.FailNow()
				}
			}
			// From now on the world is fair.
			c.away, c.lost = false, false
			c.runtime.Mend("PullImage")
			c.runtime.Mend("ImageStatus")
			close(c.release)
			c.serve(true)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			for c.look(); len(c.check()) > 0; c.look() {
				select {
				case <-c.woken:
				case <-ctx.Done():
					t.Fatalf("these have not ended: %q; the node says %+v", c.check(), c.image().Status.ImageStatuses)
				}
			}
		})
	}
}
