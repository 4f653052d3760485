package cloneset

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/workload"
)

// The kinds that the controller writes, as their caches are named for own writes.
const (
	kindCloneSet = "CloneSet"
	kindRevision = "ControllerRevision"
	kindJob      = "ImagePullJob"
)

// Failed reconciles are repeated with growing pauses between these.
const (
	shortestBackoff = 50 * time.Millisecond
	longestBackoff  = 30 * time.Second
)

// Options tune the controller.
type Options struct {
	// Workers is how many CloneSets are worked on at a time. Default: 3.
	Workers int
	// PullAhead makes jobs that pull the images of a rollout ahead of it.
	PullAhead bool
	// Options are what the user of the whole cluster decides about CloneSets.
	workload.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/status;pods/resize,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Controller works on CloneSets.
type Controller struct {
	podops.Executor
	options   workload.Options
	jobs      *index.Store[*metav1.PartialObjectMetadata] // nil: no images are pulled ahead
	nodes     *index.Lazy[*metav1.PartialObjectMetadata]
	pods      *index.Store[*corev1.Pod]
	claims    *index.Store[*corev1.PersistentVolumeClaim]
	revisions *index.Store[*appsv1.ControllerRevision]
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err != nil {
		return err
	}
	if o.Workers == 0 {
		o.Workers = 3
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("cloneset").
		For(&v1beta1.CloneSet{}, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Owns(&corev1.Pod{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&corev1.PersistentVolumeClaim{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Owns(&appsv1.ControllerRevision{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestBackoff, longestBackoff),
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the CloneSet controller: %w", err)
	}
	return nil
}

// NewReconciler makes the reconciler of CloneSets over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	informers := mgr.GetCache()
	sets, err := index.For(ctx, informers, &v1beta1.CloneSet{})
	if err != nil {
		return nil, err
	}
	pods, err := index.For(ctx, informers, &corev1.Pod{})
	if err != nil {
		return nil, err
	}
	claims, err := index.For(ctx, informers, &corev1.PersistentVolumeClaim{})
	if err != nil {
		return nil, err
	}
	revisions, err := index.For(ctx, informers, &appsv1.ControllerRevision{})
	if err != nil {
		return nil, err
	}
	caches := map[string]seen.Cache{
		kindCloneSet: sets, podops.KindPod: pods, podops.KindClaim: claims, kindRevision: revisions,
	}
	var jobs *index.Store[*metav1.PartialObjectMetadata]
	if o.PullAhead {
		if jobs, err = index.For(ctx, informers, metadataOf(v1beta1.GroupVersion.WithKind(kindJob))); err != nil {
			return nil, err
		}
		caches[kindJob] = jobs
	}
	writes := seen.New(caches)
	c := &Controller{
		Executor: podops.Executor{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Writes: writes, Clock: now},
		options:  o.Options,
		jobs:     jobs,
		nodes:    &index.Lazy[*metav1.PartialObjectMetadata]{Informers: informers, Kind: metadataOf(corev1.SchemeGroupVersion.WithKind("Node"))},
		pods:     pods, claims: claims, revisions: revisions,
	}
	return &loop.Loop[*v1beta1.CloneSet]{
		Kind: kindCloneSet, Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("cloneset-controller"),
		Writes: writes, Clock: now,
		New:   func() *v1beta1.CloneSet { return &v1beta1.CloneSet{} },
		Begin: func(cs *v1beta1.CloneSet) loop.Work[*v1beta1.CloneSet] { return newWork(c, cs) },
	}, nil
}

func metadataOf(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(kind)
	return meta
}
