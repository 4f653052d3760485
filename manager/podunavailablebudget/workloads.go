package podunavailablebudget

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/disruption"
)

// scaleLasts is how long the scale of a workload that is not watched is believed.
const scaleLasts = 10 * time.Second

// scaled is how many pods a workload wants, and which.
type scaled struct {
	// exists is false where the workload is gone or on its way out, so that its pods may go.
	exists   bool
	replicas int
	// selector is nil where the workload does not say.
	selector labels.Selector
}

// workloads knows how many pods workloads want. Kinds that own most pods are watched from the first budget on: ours say their
// replicas themselves, and of the others metadata alone is watched, by which a scale that was read once is known to hold. Any
// other workload is asked for its scale, and believed for a while.
type workloads struct {
	client  client.Client
	live    client.Reader
	mapper  meta.RESTMapper
	cache   cache.Cache
	clock   clock.PassiveClock
	watch   func(source.TypedSource[reconcile.Request]) error
	wakes   handler.MapFunc
	sources map[schema.GroupKind]workloadSource

	mu      sync.Mutex
	watched bool
	scales  map[string]scale
}

// scale is what was read of a workload that does not say its replicas.
type scale struct {
	scaled
	uid        types.UID
	generation int64
	until      time.Time
}

// workloadSource is a kind that is watched.
type workloadSource struct {
	object client.Object
	get    func(ctx context.Context, key types.NamespacedName) (client.Object, bool, error)
	// replicas reads how many pods an object wants; nil where it does not say.
	replicas func(client.Object) int
}

// +kubebuilder:rbac:groups=apps,resources=deployments;statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=replicasets,verbs=get
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets;statefulsets;daemonsets,verbs=get;list;watch

func newWorkloads(mgr ctrl.Manager, now clock.PassiveClock, wakes handler.MapFunc) *workloads {
	w := &workloads{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), mapper: mgr.GetRESTMapper(), cache: mgr.GetCache(), clock: now, wakes: wakes,
		sources: map[schema.GroupKind]workloadSource{}, scales: map[string]scale{},
	}
	for _, kind := range []string{"Deployment", "StatefulSet"} {
		object := &metav1.PartialObjectMetadata{}
		object.SetGroupVersionKind(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: kind})
		sourceOf(w, object, nil)
	}
	sourceOf(w, &appsv1beta1.CloneSet{}, func(c *appsv1beta1.CloneSet) int { return int(ptr.Deref(c.Spec.Replicas, 1)) })
	sourceOf(w, &appsv1beta1.StatefulSet{}, func(s *appsv1beta1.StatefulSet) int { return int(ptr.Deref(s.Spec.Replicas, 1)) })
	sourceOf(w, &appsv1beta1.DaemonSet{}, func(d *appsv1beta1.DaemonSet) int { return int(d.Status.DesiredNumberScheduled) })
	return w
}

// sourceOf adds a kind, if the API server serves it.
func sourceOf[T client.Object](w *workloads, object T, replicas func(T) int) {
	kind, err := w.client.GroupVersionKindFor(object)
	if err != nil {
		return
	}
	if _, err := w.mapper.RESTMapping(kind.GroupKind(), kind.Version); err != nil {
		return
	}
	store := &index.Lazy[T]{Informers: w.cache, Kind: object}
	s := workloadSource{object: object, get: func(ctx context.Context, key types.NamespacedName) (client.Object, bool, error) {
		all, err := store.Store(ctx)
		if err != nil {
			return nil, false, err
		}
		o, exists := all.Get(key)
		return o, exists, nil
	}}
	if replicas != nil {
		s.replicas = func(o client.Object) int {
			if t, ok := o.(T); ok {
				return replicas(t)
			}
			return 0
		}
	}
	w.sources[kind.GroupKind()] = s
}

// begin begins to watch workloads, if nobody has.
func (w *workloads) begin() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.watched {
		return nil
	}
	for kind, s := range w.sources {
		changes := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			wanted := s.replicas != nil && s.replicas(e.ObjectOld) != s.replicas(e.ObjectNew)
			return wanted || e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
				(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
		}}
		if err := w.watch(source.Kind(w.cache, s.object, handler.EnqueueRequestsFromMapFunc(w.wakes), changes)); err != nil {
			return fmt.Errorf("watch %s: %w", kind, err)
		}
	}
	w.watched = true
	return nil
}

// scaleOf finds how many pods a workload wants.
func (w *workloads) scaleOf(ctx context.Context, namespace string, of disruption.Workload) (scaled, error) {
	kind := schema.GroupKind{Group: of.Group, Kind: of.Kind}
	key := types.NamespacedName{Namespace: namespace, Name: of.Name}
	s, watched := w.sources[kind]
	now := w.clock.Now()
	known := scale{until: now.Add(scaleLasts)}
	if watched {
		o, exists, err := s.get(ctx, key)
		switch {
		case err != nil:
			return scaled{}, err
		case !exists || o.GetDeletionTimestamp() != nil:
			return scaled{}, nil
		case s.replicas != nil:
			return scaled{exists: true, replicas: s.replicas(o)}, nil
		}
		known.uid, known.generation = o.GetUID(), o.GetGeneration()
	}
	id := workloadKey(namespace, of)
	w.mu.Lock()
	last, read := w.scales[id]
	w.mu.Unlock()
	if read && last.uid == known.uid && last.generation == known.generation && (watched || now.Before(last.until)) {
		return last.scaled, nil
	}
	var err error
	if known.scaled, err = w.read(ctx, kind, key); err != nil {
		return scaled{}, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if known.exists {
		w.scales[id] = known
	} else {
		delete(w.scales, id)
	}
	return known.scaled, nil
}

// read reads the scale of a workload from the API server.
func (w *workloads) read(ctx context.Context, kind schema.GroupKind, key types.NamespacedName) (scaled, error) {
	mapping, err := w.mapper.RESTMapping(kind)
	if err != nil {
		return scaled{}, fmt.Errorf("the scale of %s %s: %w", kind, key, err)
	}
	if kind.Kind == "ReplicaSet" { // where its Deployment is gone, it may be on its way out, which a scale does not say
		is := &metav1.PartialObjectMetadata{}
		is.SetGroupVersionKind(mapping.GroupVersionKind)
		if err := w.live.Get(ctx, key, is); err != nil || is.DeletionTimestamp != nil {
			return scaled{}, client.IgnoreNotFound(err)
		}
	}
	owner := &unstructured.Unstructured{}
	owner.SetGroupVersionKind(mapping.GroupVersionKind)
	owner.SetNamespace(key.Namespace)
	owner.SetName(key.Name)
	raw := &unstructured.Unstructured{}
	raw.SetGroupVersionKind(autoscalingv1.SchemeGroupVersion.WithKind("Scale"))
	err = w.client.SubResource("scale").Get(ctx, owner, raw)
	if apierrors.IsNotFound(err) && names(err, key.Name) {
		return scaled{}, nil
	}
	if err != nil {
		return scaled{}, fmt.Errorf("the scale of %s %s (a budget of such pods must say protectTotalReplicas): %w", kind, key, err)
	}
	said := &autoscalingv1.Scale{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(raw.Object, said); err != nil {
		return scaled{}, fmt.Errorf("the scale of %s %s: %w", kind, key, err)
	}
	out := scaled{exists: true, replicas: int(said.Spec.Replicas)}
	if said.Status.Selector != "" {
		if out.selector, err = labels.Parse(said.Status.Selector); err != nil {
			return scaled{}, fmt.Errorf("the selector of the scale of %s %s: %w", kind, key, err)
		}
	}
	return out, nil
}

// names says whether an error names an object. That nothing was found and nobody is named says that the kind has no scale.
func names(err error, object string) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || apierrors.HasStatusCause(err, metav1.CauseTypeUnexpectedServerResponse) {
		return false
	}
	details := status.Status().Details
	return details != nil && details.Name == object
}
