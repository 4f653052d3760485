package statefulset

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/workload"
)

// kindStatefulSet is the kind, as its cache is named for own writes.
const kindStatefulSet = "StatefulSet"

// Options tune the controller and the admission.
type Options struct {
	// Workers is how many StatefulSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
	// Options are what the user of the whole cluster decides about workloads.
	workload.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=patch

// Controller works on StatefulSets.
type Controller struct {
	*podops.Base
	options workload.Options
}

func (o Options) kind() podops.Kind[*v1beta1.StatefulSet] {
	return podops.Kind[*v1beta1.StatefulSet]{
		Name: kindStatefulSet, New: func() *v1beta1.StatefulSet { return &v1beta1.StatefulSet{} }, Claims: true, PullAhead: o.PullAhead, Permits: o.Permits,
	}
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err != nil {
		return fmt.Errorf("set up the StatefulSet controller: %w", err)
	}
	sets, err := index.For(ctx, mgr.GetCache(), &v1beta1.StatefulSet{})
	if err != nil {
		return fmt.Errorf("set up the StatefulSet controller: %w", err)
	}
	find := finder{set: sets.Get}
	changed := builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})
	err = o.kind().Controller(mgr, o.Workers).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(find.byPod), changed).
		Watches(&corev1.PersistentVolumeClaim{}, handler.EnqueueRequestsFromMapFunc(find.byClaim), changed).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the StatefulSet controller: %w", err)
	}
	return nil
}

// NewReconciler makes the reconciler of StatefulSets over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	base, err := o.kind().Base(ctx, mgr, now)
	if err != nil {
		return nil, err
	}
	c := &Controller{Base: base, options: o.Options}
	return o.kind().Loop(base, mgr, func(set *v1beta1.StatefulSet) loop.Work[*v1beta1.StatefulSet] { return newWork(c, set) }), nil
}
