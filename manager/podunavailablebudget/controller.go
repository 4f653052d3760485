package podunavailablebudget

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
)

// The kinds that are written, as their caches are named for own writes.
const (
	kindBudget = "PodUnavailableBudget"
	kindPod    = "Pod"
)

// Options tune the kind.
type Options struct {
	// Workers is how many budgets are worked on at a time.
	Workers int
	// Permits is where permission is asked for.
	Permits *permits.Desk
	// Reserved are the namespaces about whose pods the API server never asks.
	Reserved []string
}

// on says whether budgets protect anything.
func (o Options) on() bool {
	return o.Permits.Options().Deletions || o.Permits.Options().Changes
}

// +kubebuilder:rbac:groups=policy.kruise.io,resources=podunavailablebudgets,verbs=get;list;watch
// +kubebuilder:rbac:groups=policy.kruise.io,resources=podunavailablebudgets/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Controller keeps the status of budgets, and ties pods to them.
type Controller struct {
	client    client.Client
	live      client.Reader
	budgets   *index.Store[*v1beta1.PodUnavailableBudget]
	pods      *index.Store[*corev1.Pod]
	writes    *seen.Writes
	workloads *workloads
	loop      *loop.Loop[*v1beta1.PodUnavailableBudget]
}

// byWorkload finds pods by the workload that they belong to.
func byWorkload() index.Index[*corev1.Pod] {
	return index.Index[*corev1.Pod]{Name: "kruise/workload", Values: func(pod *corev1.Pod) []string {
		if w, ok := disruption.WorkloadOf(pod); ok {
			return []string{workloadKey(pod.Namespace, w)}
		}
		return nil
	}}
}

func workloadKey(namespace string, w disruption.Workload) string {
	return namespace + "/" + w.Group + "/" + w.Kind + "/" + w.Name
}

// Open opens the desk where permission is asked for, in every replica.
func (o Options) Open(ctx context.Context, mgr ctrl.Manager) error {
	if !o.on() {
		return nil
	}
	return o.Permits.Open(ctx, mgr, clock.RealClock{})
}

// SetupController adds the controller to a manager.
func (o Options) SetupController(ctx context.Context, mgr ctrl.Manager) error {
	if !o.on() {
		return nil
	}
	c, err := newController(ctx, mgr, clock.RealClock{})
	if err != nil {
		return fmt.Errorf("set up the PodUnavailableBudget controller: %w", err)
	}
	built, err := ctrl.NewControllerManagedBy(mgr).
		Named("podunavailablebudget").
		For(&v1beta1.PodUnavailableBudget{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, recorded()))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(c.budgetsOf), builder.WithPredicates(counted())).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(o.Workers, 1), RateLimiter: loop.RateLimiter()}).
		Build(c)
	if err != nil {
		return fmt.Errorf("set up the PodUnavailableBudget controller: %w", err)
	}
	c.workloads.watch = built.Watch
	return nil
}

func newController(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (*Controller, error) {
	c := &Controller{client: mgr.GetClient(), live: mgr.GetAPIReader()}
	var err error
	if c.budgets, err = index.For(ctx, mgr.GetCache(), &v1beta1.PodUnavailableBudget{}); err != nil {
		return nil, err
	}
	if c.pods, err = index.With(ctx, mgr.GetCache(), &corev1.Pod{}, byWorkload()); err != nil {
		return nil, err
	}
	c.workloads = newWorkloads(mgr, now, c.inNamespaceOf)
	c.writes = seen.New(map[string]seen.Cache{kindBudget: c.budgets, kindPod: c.pods})
	c.loop = &loop.Loop[*v1beta1.PodUnavailableBudget]{
		Kind: kindBudget, Client: c.client, Live: c.live, Recorder: mgr.GetEventRecorder("podunavailablebudget-controller"),
		Writes: c.writes, Clock: now, SharedStatus: true,
		New: func() *v1beta1.PodUnavailableBudget { return &v1beta1.PodUnavailableBudget{} },
		Begin: func(b *v1beta1.PodUnavailableBudget) loop.Work[*v1beta1.PodUnavailableBudget] {
			return &work{Controller: c, budget: b}
		},
	}
	return c, nil
}

// Reconcile implements reconcile.Reconciler.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	return c.loop.Reconcile(ctx, req)
}

// recorded lets through that a permission was given, of which nothing may come.
func recorded() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, was := e.ObjectOld.(*v1beta1.PodUnavailableBudget)
		after, is := e.ObjectNew.(*v1beta1.PodUnavailableBudget)
		return was && is && !(maps.Equal(before.Status.DisruptedPods, after.Status.DisruptedPods) &&
			maps.Equal(before.Status.UnavailablePods, after.Status.UnavailablePods))
	}}
}

// counted lets through what a budget may turn on.
func counted() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, wasPod := e.ObjectOld.(*corev1.Pod)
		after, isPod := e.ObjectNew.(*corev1.Pod)
		if !wasPod || !isPod {
			return false
		}
		was, owned := disruption.WorkloadOf(before)
		is, owns := disruption.WorkloadOf(after)
		return before.UID != after.UID || was != is || owned != owns ||
			disruption.Active(before) != disruption.Active(after) || disruption.Available(before) != disruption.Available(after) ||
			disruption.Ready(before) != disruption.Ready(after) ||
			!maps.Equal(before.Labels, after.Labels) || !maps.Equal(before.Annotations, after.Annotations)
	}}
}

// budgetsOf are the budgets that may count a pod, or that it remembers.
func (c *Controller) budgetsOf(_ context.Context, o client.Object) []reconcile.Request {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	budgets, err := c.budgets.InNamespace(pod.Namespace)
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, b := range budgets {
		target, named := disruption.Target(b)
		if b.Name == disruption.Remembered(pod) || disruption.Selects(b, pod) || named && !target.Direct() {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(b)})
		}
	}
	return out
}

// inNamespaceOf are the budgets that may count the pods of a workload.
func (c *Controller) inNamespaceOf(_ context.Context, o client.Object) []reconcile.Request {
	budgets, err := c.budgets.InNamespace(o.GetNamespace())
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, b := range budgets {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: b.Namespace, Name: b.Name}})
	}
	return out
}

// podMetadata names a pod for a request whose answer is decoded as metadata alone.
func podMetadata(pod *corev1.Pod) *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name}}
	meta.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kindPod))
	return meta
}
