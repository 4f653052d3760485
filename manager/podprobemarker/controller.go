package podprobemarker

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
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

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/probe"
)

const kindMarker = "PodProbeMarker"

// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch

// Options tune the controller and the webhook.
type Options struct {
	// Workers is how many markers are worked on at a time. At least 1.
	Workers int
	// Off refuses new markers and counts no pods: nobody probes. Markers that there are can still be deleted.
	Off bool
}

// Controller keeps the status of markers.
type Controller struct {
	client  client.Client
	markers *index.Store[*v1alpha1.PodProbeMarker]
	pods    *index.Store[*corev1.Pod]
	loop    reconcile.Reconciler
}

// SetupController adds the controller to a manager.
func (o Options) SetupController(ctx context.Context, mgr ctrl.Manager) error {
	c := &Controller{client: mgr.GetClient()}
	var err error
	if c.markers, err = index.For(ctx, mgr.GetCache(), &v1alpha1.PodProbeMarker{}); err != nil {
		return err
	}
	if o.Off {
		return o.releases(mgr, c)
	}
	if c.pods, err = index.For(ctx, mgr.GetCache(), &corev1.Pod{}); err != nil {
		return err
	}
	c.loop = &loop.Loop[*v1alpha1.PodProbeMarker]{
		Kind: kindMarker, Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("podprobemarker-controller"),
		Writes: seen.New(map[string]seen.Cache{kindMarker: c.markers}), Clock: clock.RealClock{},
		New: func() *v1alpha1.PodProbeMarker { return &v1alpha1.PodProbeMarker{} },
		Begin: func(m *v1alpha1.PodProbeMarker) loop.Work[*v1alpha1.PodProbeMarker] {
			return &work{Controller: c, marker: m}
		},
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("podprobemarker").
		For(&v1alpha1.PodProbeMarker{}, builder.WithPredicates(predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectNew.GetDeletionTimestamp() != nil },
		}))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(c.markersOf), builder.WithPredicates(predicate.Funcs{
			UpdateFunc: func(e event.UpdateEvent) bool {
				before, wasPod := e.ObjectOld.(*corev1.Pod)
				after, isPod := e.ObjectNew.(*corev1.Pod)
				return wasPod && isPod && (probe.Probed(before) != probe.Probed(after) || !labels.Equals(before.Labels, after.Labels))
			},
		})).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(o.Workers, 1), RateLimiter: loop.RateLimiter()}).
		Complete(c)
	if err != nil {
		return fmt.Errorf("set up the PodProbeMarker controller: %w", err)
	}
	return nil
}

// releases adds to a manager what is left to do where nobody probes: markers that are being deleted are let go.
func (o Options) releases(mgr ctrl.Manager, c *Controller) error {
	c.loop = reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil })
	err := ctrl.NewControllerManagedBy(mgr).
		Named("podprobemarker").
		For(&v1alpha1.PodProbeMarker{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			return o.GetDeletionTimestamp() != nil
		}))).
		WithOptions(controller.Options{MaxConcurrentReconciles: max(o.Workers, 1), RateLimiter: loop.RateLimiter()}).
		Complete(c)
	if err != nil {
		return fmt.Errorf("set up the PodProbeMarker controller: %w", err)
	}
	return nil
}

// markersOf are the markers that a pod is counted by.
func (c *Controller) markersOf(_ context.Context, o client.Object) []reconcile.Request {
	pod, ok := o.(*corev1.Pod)
	if !ok {
		return nil
	}
	markers, err := c.markers.InNamespace(pod.Namespace)
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	for _, m := range markers {
		if probe.Matches(m, pod) {
			out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(m)})
		}
	}
	return out
}

// Reconcile implements reconcile.Reconciler. A marker that is being deleted waits for nobody.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	if m, ok := c.markers.Get(req.NamespacedName); ok && m.DeletionTimestamp != nil {
		return reconcile.Result{}, c.release(ctx, m)
	}
	return c.loop.Reconcile(ctx, req)
}

// release takes off the finalizer by which other releases hold a marker.
func (c *Controller) release(ctx context.Context, m *v1alpha1.PodProbeMarker) error {
	if !slices.Contains(m.Finalizers, v1alpha1.PodProbeMarkerFinalizer) {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(m.Finalizers), func(f string) bool { return f == v1alpha1.PodProbeMarkerFinalizer })
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": m.UID, "resourceVersion": m.ResourceVersion, "finalizers": kept}})
	if err == nil {
		err = client.IgnoreNotFound(c.client.Patch(ctx, m.DeepCopy(), client.RawPatch(types.MergePatchType, patch)))
	}
	if err != nil {
		return fmt.Errorf("take the finalizer off PodProbeMarker %s: %w", client.ObjectKeyFromObject(m), err)
	}
	return nil
}

// work is one reconcile of one marker.
type work struct {
	*Controller
	marker  *v1alpha1.PodProbeMarker
	pods    []*corev1.Pod
	matched int64
}

// Observe implements loop.Work.
func (w *work) Observe(context.Context) (err error) {
	w.pods, err = w.Controller.pods.InNamespace(w.marker.Namespace)
	return err
}

// Decide implements loop.Work.
func (w *work) Decide(time.Time) error {
	selector := probe.Selector(w.marker)
	for _, pod := range w.pods {
		if probe.Probed(pod) && selector.Matches(labels.Set(pod.Labels)) {
			w.matched++
		}
	}
	return nil
}

// Act implements loop.Work. What a marker asks for is carried out by node.
func (w *work) Act(context.Context) error { return nil }

// Report implements loop.Work.
func (w *work) Report(_ time.Time, failure error) loop.Report[*v1alpha1.PodProbeMarker] {
	report := loop.Report[*v1alpha1.PodProbeMarker]{Items: len(w.pods)}
	if failure == nil {
		report.Object = w.marker.DeepCopy()
		report.Object.Status = v1alpha1.PodProbeMarkerStatus{ObservedGeneration: w.marker.Generation, MatchedPods: w.matched}
	}
	return report
}
