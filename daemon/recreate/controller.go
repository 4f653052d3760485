package recreate

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/agent"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/store"
	"kruise.io/kruise/kit/turn"
	"kruise.io/kruise/plan/restart"
)

// Kind is the kind that the package works on.
const Kind = "ContainerRecreateRequest"

const (
	// workers is how many requests are decided upon at a time. A runtime that hangs holds one for as long as a call may take.
	workers = 8
	// stops is how many containers are stopped at a time, at most.
	stops = 32
	// Failed reconciles are repeated with growing pauses between these.
	shortestBackoff = 500 * time.Millisecond
	longestBackoff  = 50 * time.Second
)

// Options say where the package works.
type Options struct {
	// Node is the name of the node.
	Node string
	// Address is the address of the node, at which pods in its network are reached.
	Address string
	// Runtimes are the container runtimes of the node.
	Runtimes *cri.Node
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Watched says which requests the process needs to know: those of this node that have not been tidied up after.
func (o Options) Watched() agent.Selection[*v1beta1.ContainerRecreateRequest] {
	return agent.Selection[*v1beta1.ContainerRecreateRequest]{Label: labels.SelectorFromSet(labels.Set{
		v1beta1.ContainerRecreateRequestNodeNameKey: o.Node,
		v1beta1.ContainerRecreateRequestActiveKey:   "true",
	})}
}

// Setup adds the controller to a runner, over the requests of the node.
func Setup(r *agent.Runner, requests *agent.Informer[*v1beta1.ContainerRecreateRequest], recorder turn.Recorder, o Options) error {
	c := &Controller{requests: requests, runtimes: o.Runtimes, clock: clock.RealClock{}}
	controller := agent.NewController(agent.Options{
		Name: "containerrecreaterequest", Workers: workers, First: shortestBackoff, Last: longestBackoff,
		Take: c.loop(r.API, recorder).Take,
	})
	c.stopper = NewStopper(o, controller.Wake)
	err := requests.Handle(func(before, after *v1beta1.ContainerRecreateRequest) {
		if after == nil {
			c.stopper.Forget(before.UID)
			after = before
		}
		if err := c.wakePod(after, controller.Wake); err != nil { // the cache of this very kind always answers
			log.Log.Error(err, "Looking for other requests")
		}
	})
	if err != nil {
		return fmt.Errorf("set up the controller of ContainerRecreateRequests: %w", err)
	}
	r.Add(c.stopper.Start)
	r.Add(controller.Run)
	return nil
}

// Controller works on the requests of its node.
type Controller struct {
	requests agent.Cache[*v1beta1.ContainerRecreateRequest]
	runtimes *cri.Node
	clock    clock.PassiveClock
	stopper  *Stopper
}

// loop makes what works on a request.
func (c *Controller) loop(api agent.API, recorder turn.Recorder) *turn.Loop[*v1beta1.ContainerRecreateRequest] {
	return &turn.Loop[*v1beta1.ContainerRecreateRequest]{
		Kind: Kind, API: agent.Turn[*v1beta1.ContainerRecreateRequest]{Kind: Kind, Cache: c.requests, API: api}, Recorder: recorder,
		Writes: seen.New(map[string]seen.Cache{Kind: c.requests}), Clock: c.clock, SharedStatus: true,
		Begin: func(r *v1beta1.ContainerRecreateRequest) turn.Work[*v1beta1.ContainerRecreateRequest] {
			return &work{Controller: c, request: r}
		},
	}
}

// wakePod brings back every request for the pod of one: which of them comes first may have changed.
func (c *Controller) wakePod(r *v1beta1.ContainerRecreateRequest, wake func(types.NamespacedName)) error {
	queue, err := c.queueOf(r)
	for _, other := range queue {
		wake(store.Key(other))
	}
	return err
}

// queueOf are the requests for the pod of one, in no order.
func (c *Controller) queueOf(r *v1beta1.ContainerRecreateRequest) ([]*v1beta1.ContainerRecreateRequest, error) {
	all, err := c.requests.InNamespace(r.Namespace)
	if err != nil {
		return nil, fmt.Errorf("list the requests of namespace %s: %w", r.Namespace, err)
	}
	return slices.DeleteFunc(all, func(other *v1beta1.ContainerRecreateRequest) bool { return podOf(other) != podOf(r) }), nil
}

// podOf is the UID of the pod that a request is for.
func podOf(r *v1beta1.ContainerRecreateRequest) types.UID { return restart.PodUID(r) }
