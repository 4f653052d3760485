package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
)

// Kind is the kind that the package works on.
const Kind = "NodePodProbe"

// The reasons of the events on pods.
const (
	reasonSucceeded = "KruiseProbeSucceeded"
	reasonFailed    = "KruiseProbeFailed"
)

// Options say where the package works.
type Options struct {
	// Node is the name of the node.
	Node string
	// Runtimes are the container runtimes of the node.
	Runtimes *cri.Node
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Watched says which objects the process needs to know: that of this node.
func (o Options) Watched() cache.ByObject {
	return cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", o.Node)}
}

// Setup adds the controller to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o Options) error {
	objects, err := index.For(ctx, mgr.GetCache(), &v1alpha1.NodePodProbe{})
	if err != nil {
		return err
	}
	found := make(chan event.GenericEvent, 1)
	c := newController(o, clock.RealClock{}, found)
	if err := mgr.Add(c); err != nil {
		return fmt.Errorf("set up the probes: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("nodepodprobe").
		For(&v1alpha1.NodePodProbe{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WatchesRawSource(source.Channel(found, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1, RateLimiter: loop.RateLimiter()}).
		Complete(c.over(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("kruise-daemon-probe"), objects))
	if err != nil {
		return fmt.Errorf("set up the controller of NodePodProbes: %w", err)
	}
	return nil
}

// Controller works on the object of its node.
type Controller struct {
	node    string
	workers *workers
	clock   clock.WithTicker
	base    context.Context // of the probes; they begin once it is there
	started chan struct{}
	objects interface {
		Get(key types.NamespacedName) (*v1alpha1.NodePodProbe, bool)
	}
	loop reconcile.Reconciler
}

func newController(o Options, now clock.WithTicker, found chan<- event.GenericEvent) *Controller {
	c := &Controller{node: o.Node, clock: now, started: make(chan struct{})}
	c.workers = newWorkers(o.Runtimes, now, func() {
		object := &v1alpha1.NodePodProbe{}
		object.Name = o.Node
		select {
		case found <- event.GenericEvent{Object: object}:
		default: // one that waits already will do
		}
	})
	return c
}

// Start implements manager.Runnable: probes are made until the context ends.
func (c *Controller) Start(ctx context.Context) error {
	c.base = ctx
	close(c.started)
	<-ctx.Done()
	c.workers.running.Wait()
	return nil
}

// cachedObjects is the cache of the objects.
type cachedObjects interface {
	seen.Cache
	Get(key types.NamespacedName) (*v1alpha1.NodePodProbe, bool)
}

// over makes the reconciler.
func (c *Controller) over(api client.Client, live client.Reader, recorder events.EventRecorder, objects cachedObjects) reconcile.Reconciler {
	c.objects = objects
	c.loop = &loop.Loop[*v1alpha1.NodePodProbe]{
		Kind: Kind, Client: api, Live: live, Recorder: recorder, Writes: seen.New(map[string]seen.Cache{Kind: objects}), Clock: c.clock,
		New: func() *v1alpha1.NodePodProbe { return &v1alpha1.NodePodProbe{} },
		Begin: func(o *v1alpha1.NodePodProbe) loop.Work[*v1alpha1.NodePodProbe] {
			return &work{Controller: c, object: o}
		},
	}
	return c
}

// Reconcile implements reconcile.Reconciler. Where there is no object, nothing is probed.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	select {
	case <-c.started:
	case <-ctx.Done():
		return reconcile.Result{}, nil
	}
	if object, ok := c.objects.Get(req.NamespacedName); !ok || object.DeletionTimestamp != nil {
		c.workers.keep(c.base, nil, nil)
	}
	return c.loop.Reconcile(ctx, req)
}

// work is one reconcile.
type work struct {
	*Controller
	object *v1alpha1.NodePodProbe
	status v1alpha1.NodePodProbeStatus
	events []loop.Event
}

// Observe implements loop.Work: what probes find, they find by themselves.
func (w *work) Observe(context.Context) error { return nil }

// Decide implements loop.Work: the status says what was found last, by this process or by the one before it.
func (w *work) Decide(time.Time) error {
	before := reported(&w.object.Status)
	for i := range w.object.Spec.PodProbes {
		pod := &w.object.Spec.PodProbes[i]
		status := v1alpha1.PodProbeStatus{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
		for _, p := range pod.Probes {
			k := key{pod.UID, p.Name}
			state, known := before[k]
			if found, ok := w.workers.of(k); ok && (!known || state.State != found.state) {
				at := metav1.NewTime(found.at).Rfc3339Copy()
				state = v1alpha1.ContainerProbeState{Name: p.Name, State: found.state, Message: found.message, LastProbeTime: at, LastTransitionTime: at}
				known = true
				if w.workers.untold(k) {
					w.tell(pod, &p, found)
				}
			}
			if known {
				status.ProbeStates = append(status.ProbeStates, state)
			}
		}
		if len(status.ProbeStates) > 0 {
			w.status.PodProbeStatuses = append(w.status.PodProbeStatuses, status)
		}
	}
	return nil
}

// tell tells of a probe that found something else than before.
func (w *work) tell(pod *v1alpha1.PodProbe, p *v1alpha1.ContainerProbe, found finding) {
	e := loop.Event{Reason: reasonSucceeded, Action: "Probe", About: &corev1.ObjectReference{
		APIVersion: "v1", Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name, UID: types.UID(pod.UID),
	}}
	e.Note = fmt.Sprintf("%s of container %s succeeded", p.Name, p.ContainerName)
	switch found.state {
	case v1alpha1.ProbeFailed:
		e.Reason, e.Note = reasonFailed, fmt.Sprintf("%s of container %s failed: %s", p.Name, p.ContainerName, found.message)
	case v1alpha1.ProbeUnknown:
		return // what becomes of a container that does not run is told by kubelet
	}
	e.Note = e.Note[:min(len(e.Note), 900)] // the API server refuses more than 1,024 bytes
	w.events = append(w.events, e)
}

// Act implements loop.Work.
func (w *work) Act(context.Context) error {
	before := reported(&w.object.Status)
	w.workers.keep(w.base, w.object.Spec.PodProbes, func(k key) v1alpha1.ProbeState { return before[k].State })
	return nil
}

// Report implements loop.Work.
func (w *work) Report(time.Time, error) loop.Report[*v1alpha1.NodePodProbe] {
	object := w.object.DeepCopy()
	object.Status = w.status
	return loop.Report[*v1alpha1.NodePodProbe]{Object: object, Events: w.events, Items: len(w.object.Spec.PodProbes)}
}

// reported is what a status says.
func reported(status *v1alpha1.NodePodProbeStatus) map[key]v1alpha1.ContainerProbeState {
	out := map[key]v1alpha1.ContainerProbeState{}
	for i := range status.PodProbeStatuses {
		pod := &status.PodProbeStatuses[i]
		for _, state := range pod.ProbeStates {
			out[key{pod.UID, state.Name}] = state
		}
	}
	return out
}
