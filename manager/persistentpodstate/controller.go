package persistentpodstate

import (
	"context"
	"fmt"
	"maps"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/plan/affinity"
	"kruise.io/kruise/plan/workload"
)

// Options tune the controllers.
type Options struct {
	// Workers is how many objects are worked on at a time. At least 1.
	Workers int
	// Others are the kinds of workloads besides StatefulSets whose pods are remembered.
	Others affinity.Kinds
	// Reserved are the namespaces whose new pods are sent back nowhere.
	Reserved []string
	// Options are what the user of the whole cluster decides about workloads.
	workload.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=persistentpodstates,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=persistentpodstates/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods;nodes,verbs=get;list;watch

// Controller keeps the status of PersistentPodStates.
type Controller struct {
	targets
	states *index.Store[*v1beta1.PersistentPodState]
	nodes  *index.Store[*corev1.Node]
}

// SetupController adds the controllers to a manager: one keeps the status, and one for each kind of workload makes the
// objects that annotations ask for.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	advanced := v1beta1.GroupVersion.WithKind("StatefulSet")
	served, err := serve.IsServed(mgr, advanced)
	if err != nil {
		return err
	}
	c := &Controller{}
	if c.targets, err = newTargets(ctx, mgr.GetCache(), served, o); err != nil {
		return err
	}
	if c.states, err = index.With(ctx, mgr.GetCache(), &v1beta1.PersistentPodState{}, byTarget()); err != nil {
		return err
	}
	if c.nodes, err = index.For(ctx, mgr.GetCache(), &corev1.Node{}); err != nil {
		return err
	}
	if err := c.setup(mgr, o, served); err != nil {
		return fmt.Errorf("set up the PersistentPodState controller: %w", err)
	}
	for _, kind := range o.Others {
		if err := setupGenerator(mgr, c.others[kind.GroupKind()], affinity.Blank(kind), c.states, kind); err != nil {
			return err
		}
	}
	if err := setupGenerator(mgr, c.native, &appsv1.StatefulSet{}, c.states, appsv1.SchemeGroupVersion.WithKind("StatefulSet")); err != nil || !served {
		return err
	}
	return setupGenerator(mgr, c.advanced, &v1beta1.StatefulSet{}, c.states, advanced)
}

func (c *Controller) setup(mgr ctrl.Manager, o Options, advanced bool) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("persistentpodstate").
		For(&v1beta1.PersistentPodState{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(c.ofPod), builder.WithPredicates(predicate.Funcs{UpdateFunc: matters})).
		Watches(&appsv1.StatefulSet{}, handler.EnqueueRequestsFromMapFunc(c.ofSet), builder.WithPredicates(predicate.Funcs{UpdateFunc: isScaled}))
	if advanced {
		b = b.Watches(&v1beta1.StatefulSet{}, handler.EnqueueRequestsFromMapFunc(c.ofSet), builder.WithPredicates(predicate.Funcs{UpdateFunc: isScaled}))
	}
	for _, kind := range o.Others {
		b = b.Watches(affinity.Blank(kind), handler.EnqueueRequestsFromMapFunc(c.ofSet), builder.WithPredicates(predicate.Funcs{UpdateFunc: isScaled}))
	}
	return b.WithOptions(controller.Options{MaxConcurrentReconciles: max(o.Workers, 1), RateLimiter: loop.RateLimiter()}).
		Complete(&loop.Loop[*v1beta1.PersistentPodState]{
			Kind: kindState, Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("persistentpodstate-controller"),
			Writes: seen.New(map[string]seen.Cache{kindState: c.states}), Clock: clock.RealClock{},
			SharedStatus: true, // so that patches name the pods that are forgotten
			New:          func() *v1beta1.PersistentPodState { return &v1beta1.PersistentPodState{} },
			Begin: func(state *v1beta1.PersistentPodState) loop.Work[*v1beta1.PersistentPodState] {
				return &work{Controller: c, state: state}
			},
		})
}

// matters says whether a change of a pod may change what is remembered of it, or where it waits to run.
func matters(e event.UpdateEvent) bool {
	before, wasPod := e.ObjectOld.(*corev1.Pod)
	after, isPod := e.ObjectNew.(*corev1.Pod)
	return wasPod && isPod && (affinity.Standing(before) != affinity.Standing(after) || !maps.Equal(before.Annotations, after.Annotations))
}

// isScaled says whether other pods may be wanted of a workload than before.
func isScaled(e event.UpdateEvent) bool {
	return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() || (e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
}

// ofPod are the objects that remember a pod.
func (c *Controller) ofPod(_ context.Context, o client.Object) []reconcile.Request {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	owner, ok := affinity.Owner(pod)
	if !ok {
		return nil
	}
	return c.about(pod.Namespace, owner)
}

// ofSet are the objects that remember the pods of a StatefulSet.
func (c *Controller) ofSet(_ context.Context, o client.Object) []reconcile.Request {
	return c.about(o.GetNamespace(), targetOf(o))
}

func (c *Controller) about(namespace string, target affinity.Target) []reconcile.Request {
	states, err := c.states.By(byTarget(), target.Key(namespace))
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, s := range states {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: s.Namespace, Name: s.Name}})
	}
	return out
}

// work is one reconcile of one object.
type work struct {
	*Controller
	state    *v1beta1.PersistentPodState
	workload *affinity.Workload
	states   map[string]v1beta1.PodState
	waiting  []affinity.Astray
	missed   []affinity.Astray
	// again is when to look again, because a node is not known yet.
	again time.Time
}

// unknownNode is when to look again for a node that a pod runs on and that the cache does not show.
const unknownNode = 5 * time.Second

// Observe implements loop.Work.
func (w *work) Observe(context.Context) (err error) {
	if target, ok := affinity.Of(w.state); ok && w.knows(target.GroupKind) {
		w.workload, err = w.of(w.state.Namespace, target)
	}
	return err
}

// Decide implements loop.Work.
func (w *work) Decide(now time.Time) error {
	w.states = affinity.Remember(w.state, w.workload, func(name string) (*corev1.Node, bool) {
		node, ok := w.nodes.Get(types.NamespacedName{Name: name})
		if !ok {
			w.again = now.Add(unknownNode)
		}
		return node, ok
	})
	if w.workload != nil {
		w.waiting = affinity.Waiting(w.state, w.workload.Pods)
		w.missed = affinity.Missed(w.state, w.workload.Pods)
	}
	return nil
}

// Act implements loop.Work. Pods are sent back when they are created.
func (w *work) Act(context.Context) error { return nil }

// Report implements loop.Work.
func (w *work) Report(_ time.Time, failure error) loop.Report[*v1beta1.PersistentPodState] {
	report := loop.Report[*v1beta1.PersistentPodState]{Wake: w.again}
	if failure != nil {
		return report
	}
	if w.workload != nil {
		report.Items = len(w.workload.Pods)
	}
	report.Object = w.state.DeepCopy()
	report.Object.Status = v1beta1.PersistentPodStateStatus{ObservedGeneration: w.state.Generation, PodStates: w.states}
	for _, pod := range w.waiting {
		report.Events = append(report.Events, loop.Event{
			Warning: true, Reason: "PodFindsNoRoom", Action: "Schedule", Note: pod.Note, Once: pod.Pod + " finds no room",
		})
	}
	for _, pod := range w.missed {
		report.Events = append(report.Events, loop.Event{
			Warning: true, Reason: "PodNotSentBack", Action: "SendBack", Note: pod.Note, Once: pod.Pod + " was not sent back",
		})
	}
	return report
}
