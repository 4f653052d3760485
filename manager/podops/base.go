package podops

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/workload"
)

// The kinds that are written, as their caches are named for own writes.
const (
	KindPod      = "Pod"
	KindClaim    = "PersistentVolumeClaim"
	KindRevision = "ControllerRevision"
	KindJob      = "ImagePullJob"
)

// DefaultWorkers is how many workloads of a kind are worked on at a time where nobody says.
const DefaultWorkers = 3

// Kind is what the controllers of workloads differ in where they are set up.
type Kind[O client.Object] struct {
	// Name is the name of the kind, as its cache is named for own writes. The controller and the source of its events are
	// named after it.
	Name string
	// New makes an empty object.
	New func() O
	// Claims says that workloads of the kind make claims for their pods.
	Claims bool
	// PullAhead makes jobs that pull the images of a rollout ahead of it.
	PullAhead bool
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
}

// Base is what the controllers of all workloads stand on: caches to observe, and hands to act.
type Base struct {
	Executor
	Pods      *index.Store[*corev1.Pod]
	Revisions *index.Store[*appsv1.ControllerRevision]
	Claims    *index.Store[*corev1.PersistentVolumeClaim] // nil: the kind makes none
	jobs      *index.Store[*metav1.PartialObjectMetadata] // nil: no images are pulled ahead
	refused   refusals
	nodes     *index.Lazy[*metav1.PartialObjectMetadata]
}

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=pods/status;pods/resize,verbs=patch
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// Base makes the base of a controller over a manager's caches and client, and a clock. It starts the informers that are
// needed and that nobody has started.
func (k Kind[O]) Base(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (*Base, error) {
	informers := mgr.GetCache()
	workloads, err := index.For(ctx, informers, k.New())
	if err != nil {
		return nil, err
	}
	b := &Base{nodes: &index.Lazy[*metav1.PartialObjectMetadata]{Informers: informers, Kind: metadataKind(corev1.SchemeGroupVersion.WithKind("Node"))}}
	if b.Pods, err = index.For(ctx, informers, &corev1.Pod{}); err != nil {
		return nil, err
	}
	if b.Revisions, err = index.For(ctx, informers, &appsv1.ControllerRevision{}); err != nil {
		return nil, err
	}
	caches := map[string]seen.Cache{k.Name: workloads, KindPod: b.Pods, KindRevision: b.Revisions}
	if k.Claims {
		if b.Claims, err = index.For(ctx, informers, &corev1.PersistentVolumeClaim{}); err != nil {
			return nil, err
		}
		caches[KindClaim] = b.Claims
	}
	if k.PullAhead {
		if b.jobs, err = index.For(ctx, informers, metadataKind(v1beta1.GroupVersion.WithKind(KindJob))); err != nil {
			return nil, err
		}
		caches[KindJob] = b.jobs
	}
	b.Executor = Executor{Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Writes: seen.New(caches), Clock: now, Permits: k.Permits}
	return b, nil
}

func metadataKind(kind schema.GroupVersionKind) *metav1.PartialObjectMetadata {
	meta := &metav1.PartialObjectMetadata{}
	meta.SetGroupVersionKind(kind)
	return meta
}

// Loop makes the reconciler of a kind. begin begins the work on one object.
func (k Kind[O]) Loop(b *Base, mgr ctrl.Manager, begin func(O) loop.Work[O]) *loop.Loop[O] {
	return &loop.Loop[O]{
		Kind: k.Name, Client: b.Client, Live: b.Live, Recorder: mgr.GetEventRecorder(strings.ToLower(k.Name) + "-controller"),
		Writes: b.Writes, Clock: b.Clock, New: k.New, Begin: begin,
	}
}

// Controller begins to build the controller of a kind: it looks at a workload when anything but its status changes, and when
// what it owns changes. workers is how many workloads are worked on at a time; 0 stands for DefaultWorkers. The caller adds
// what else the kind watches, and completes it with the reconciler.
func (k Kind[O]) Controller(mgr ctrl.Manager, workers int) *builder.Builder {
	if workers == 0 {
		workers = DefaultWorkers
	}
	changed := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	b := ctrl.NewControllerManagedBy(mgr).
		Named(strings.ToLower(k.Name)).
		For(k.New(), builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, predicate.LabelChangedPredicate{}))).
		Owns(&corev1.Pod{}, changed).
		Owns(&appsv1.ControllerRevision{}, changed).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             loop.RateLimiter(),
		})
	if k.Claims {
		b = b.Owns(&corev1.PersistentVolumeClaim{}, changed)
	}
	return b
}

// Owned finds what a workload is the controller of, and tells how to find by name what others own.
func (b *Base) Owned(namespace string, owner types.UID) (workload.Owned, error) {
	owned := workload.Owned{
		PodExists: func(name string) bool {
			_, exists := b.Pods.Get(types.NamespacedName{Namespace: namespace, Name: name})
			return exists
		},
		Revision: func(name string) *appsv1.ControllerRevision {
			r, _ := b.Revisions.Get(types.NamespacedName{Namespace: namespace, Name: name})
			return r
		},
	}
	var err error
	if owned.Pods, err = b.Pods.OwnedBy(owner); err != nil {
		return owned, err
	}
	if owned.Revisions, err = b.Revisions.OwnedBy(owner); err != nil || b.Claims == nil {
		return owned, err
	}
	owned.Claims, err = b.Claims.OwnedBy(owner)
	return owned, err
}

// NodeLabels tells the labels of nodes by their names, nil for one that is not known. Nodes are watched from the first call
// on, which waits until they are all known.
func (b *Base) NodeLabels(ctx context.Context) (func(node string) map[string]string, error) {
	nodes, err := b.nodes.Store(ctx)
	if err != nil {
		return nil, fmt.Errorf("labels of nodes: %w", err)
	}
	return func(name string) map[string]string {
		if node, ok := nodes.Get(types.NamespacedName{Name: name}); ok {
			return node.Labels
		}
		return nil
	}, nil
}
