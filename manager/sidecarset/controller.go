package sidecarset

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/sidecar"
)

// Options tune the controller and the admission.
type Options struct {
	// Workers is how many SidecarSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// Namespace is the manager's own, where the revisions of SidecarSets are kept.
	Namespace string
	// Only is the one namespace that the manager looks at; empty is all. A manager that sees one namespace alone works on no
	// SidecarSet: it would count, and upgrade, a part of the pods as if they were all.
	Only string
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
	// AnyAnnotation lets sets write any annotation on pods. Otherwise the cluster's configuration lists those that they may write.
	AnyAnnotation bool
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch

// Controller works on SidecarSets.
type Controller struct {
	*podops.Base
	namespace  string
	namespaces *index.Store[*metav1.PartialObjectMetadata]
	missed     *missed
}

// injected finds pods by the SidecarSets that were injected into them.
var injected = index.Index[*corev1.Pod]{Name: "kruise/sidecarset", Values: sidecar.InjectedSets}

// SetupController adds the controller to a manager.
func (o Options) SetupController(ctx context.Context, mgr ctrl.Manager) error {
	if o.Only != "" {
		log.FromContext(ctx).Info("WARNING: no SidecarSet is worked on: the pods of SidecarSets may be anywhere, and --namespace limits this manager", "namespace", o.Only)
		return nil
	}
	c, err := o.newController(ctx, mgr, clock.RealClock{})
	if err == nil {
		err = c.watch(mgr, o.Workers)
	}
	if err == nil {
		err = c.missed.watch(mgr)
	}
	if err != nil {
		return fmt.Errorf("set up the SidecarSet controller: %w", err)
	}
	return nil
}

// NewReconciler makes the reconciler of SidecarSets over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	c, err := o.newController(ctx, mgr, now)
	if err != nil {
		return nil, err
	}
	return c.loop(mgr), nil
}

func (o Options) newController(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (*Controller, error) {
	informers := mgr.GetCache()
	sets, err := index.For(ctx, informers, &v1beta1.SidecarSet{})
	if err != nil {
		return nil, err
	}
	b := &podops.Base{}
	if b.Pods, err = index.With(ctx, informers, &corev1.Pod{}, injected); err != nil {
		return nil, err
	}
	if b.Revisions, err = index.For(ctx, informers, &appsv1.ControllerRevision{}); err != nil {
		return nil, err
	}
	b.Executor = podops.Executor{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Clock: now, Permits: o.Permits,
		Writes: seen.New(map[string]seen.Cache{kindSidecarSet: sets, podops.KindPod: b.Pods, podops.KindRevision: b.Revisions}),
	}
	c := &Controller{Base: b, namespace: o.Namespace}
	if c.namespaces, err = index.For(ctx, informers, namespaceKind()); err != nil {
		return nil, err
	}
	c.missed, err = newMissed(ctx, informers, c)
	return c, err
}

func namespaceKind() *metav1.PartialObjectMetadata {
	kind := &metav1.PartialObjectMetadata{}
	kind.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return kind
}

// namespaceLabels are the labels of a namespace; nil for one that is not known.
func (c *Controller) namespaceLabels(name string) map[string]string {
	if namespace, ok := c.namespaces.Get(types.NamespacedName{Name: name}); ok {
		return namespace.Labels
	}
	return nil
}

func (c *Controller) loop(mgr ctrl.Manager) reconcile.Reconciler {
	return &loop.Loop[*v1beta1.SidecarSet]{
		Kind: kindSidecarSet, Client: c.Client, Live: c.Live, Recorder: mgr.GetEventRecorder("sidecarset-controller"),
		Writes: c.Writes, Clock: c.Clock, New: func() *v1beta1.SidecarSet { return &v1beta1.SidecarSet{} },
		Begin: func(set *v1beta1.SidecarSet) loop.Work[*v1beta1.SidecarSet] { return &work{Controller: c, set: set} },
	}
}

// watch has a set looked at when anything but its status changes, and when a pod that it was injected into does, a namespace
// of such a pod, or a revision of it.
func (c *Controller) watch(mgr ctrl.Manager, workers int) error {
	if workers == 0 {
		workers = podops.DefaultWorkers
	}
	changed := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	return ctrl.NewControllerManagedBy(mgr).
		Named("sidecarset").
		For(&v1beta1.SidecarSet{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Owns(&appsv1.ControllerRevision{}, changed).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request { return setsOf(o) }), changed).
		WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(c.setsIn), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		WatchesRawSource(source.Channel(c.missed.wakes, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: loop.RateLimiter()}).
		Complete(c.loop(mgr))
}

// setsOf are the sets that were injected into a pod.
func setsOf(object client.Object) []reconcile.Request {
	pod, ok := object.(*corev1.Pod)
	if !ok {
		return nil
	}
	var out []reconcile.Request
	for _, name := range sidecar.InjectedSets(pod) {
		out = append(out, reconcile.Request{NamespacedName: types.NamespacedName{Name: name}})
	}
	return out
}

// setsIn are the sets that were injected into pods of a namespace.
func (c *Controller) setsIn(_ context.Context, namespace client.Object) []reconcile.Request {
	pods, err := c.Pods.InNamespace(namespace.GetName())
	if err != nil {
		return nil
	}
	var out []reconcile.Request
	known := map[reconcile.Request]bool{}
	for _, pod := range pods {
		for _, request := range setsOf(pod) {
			if !known[request] {
				known[request] = true
				out = append(out, request)
			}
		}
	}
	return out
}
