package recreate

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
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
func (o Options) Watched() cache.ByObject {
	return cache.ByObject{Label: labels.SelectorFromSet(labels.Set{
		v1beta1.ContainerRecreateRequestNodeNameKey: o.Node,
		v1beta1.ContainerRecreateRequestActiveKey:   "true",
	})}
}

// Setup adds the controller to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	requests, err := index.For(ctx, mgr.GetCache(), &v1beta1.ContainerRecreateRequest{})
	if err != nil {
		return err
	}
	ended := make(chan event.GenericEvent, stops)
	c := &Controller{
		client: mgr.GetClient(), runtimes: o.Runtimes, clock: clock.RealClock{}, stopper: NewStopper(o, ended),
	}
	if err := mgr.Add(c.stopper); err != nil {
		return fmt.Errorf("set up the stops of containers: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("containerrecreaterequest").
		Watches(&v1beta1.ContainerRecreateRequest{}, handler.Funcs{
			CreateFunc: func(ctx context.Context, e event.CreateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.wakePod(ctx, e.Object, q)
			},
			UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.wakePod(ctx, e.ObjectNew, q)
			},
			DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.stopper.Forget(e.Object.GetUID())
				c.wakePod(ctx, e.Object, q)
			},
		}).
		WatchesRawSource(source.Channel(ended, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestBackoff, longestBackoff),
		}).
		Complete(c.loop(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("kruise-daemon-crr"), requests))
	if err != nil {
		return fmt.Errorf("set up the controller of ContainerRecreateRequests: %w", err)
	}
	return nil
}

// Controller works on the requests of its node.
type Controller struct {
	client   client.Reader
	runtimes *cri.Node
	clock    clock.PassiveClock
	stopper  *Stopper
}

// loop makes the reconciler.
func (c *Controller) loop(api client.Client, live client.Reader, recorder events.EventRecorder, requests seen.Cache) *loop.Loop[*v1beta1.ContainerRecreateRequest] {
	return &loop.Loop[*v1beta1.ContainerRecreateRequest]{
		Kind: Kind, Client: api, Live: live, Recorder: recorder,
		Writes: seen.New(map[string]seen.Cache{Kind: requests}), Clock: c.clock, SharedStatus: true,
		New: func() *v1beta1.ContainerRecreateRequest { return &v1beta1.ContainerRecreateRequest{} },
		Begin: func(r *v1beta1.ContainerRecreateRequest) loop.Work[*v1beta1.ContainerRecreateRequest] {
			return &work{Controller: c, request: r}
		},
	}
}

// wakePod brings back every request for the pod of one: which of them comes first may have changed.
func (c *Controller) wakePod(ctx context.Context, obj client.Object, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	r, ok := obj.(*v1beta1.ContainerRecreateRequest)
	if !ok {
		return
	}
	queue, err := c.queueOf(ctx, r)
	if err != nil { // the cache of this very kind always answers
		log.FromContext(ctx).Error(err, "Looking for other requests")
	}
	for _, other := range queue {
		q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(other)})
	}
}

// queueOf are the requests for the pod of one, in no order.
func (c *Controller) queueOf(ctx context.Context, r *v1beta1.ContainerRecreateRequest) ([]*v1beta1.ContainerRecreateRequest, error) {
	all := &v1beta1.ContainerRecreateRequestList{}
	if err := c.client.List(ctx, all, client.InNamespace(r.Namespace)); err != nil {
		return nil, fmt.Errorf("list the requests of namespace %s: %w", r.Namespace, err)
	}
	var queue []*v1beta1.ContainerRecreateRequest
	for i := range all.Items {
		if other := &all.Items[i]; podOf(other) == podOf(r) {
			queue = append(queue, other)
		}
	}
	return queue, nil
}

// podOf is the UID of the pod that a request is for.
func podOf(r *v1beta1.ContainerRecreateRequest) types.UID { return restart.PodUID(r) }
