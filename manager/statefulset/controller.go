package statefulset

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/inplace"
)

// kindStatefulSet is the kind, as its cache is named for own writes.
const kindStatefulSet = "StatefulSet"

// Options tune the controller and the admission.
type Options struct {
	// Workers is how many StatefulSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// PullAhead makes jobs that pull the images of a rollout ahead of it.
	PullAhead bool
	// AutoDeleteClaims lets persistentVolumeClaimRetentionPolicy decide what becomes of claims. Off, all are kept.
	AutoDeleteClaims bool
	// StartOrdinal lets ordinals.start decide about the first ordinal. Off, it is 0.
	StartOrdinal bool
	// ResizeClaims lets volumeClaimUpdateStrategy decide about claims that exist. Off, they are left as they are.
	ResizeClaims bool
	// PodIndexLabel writes the ordinal of a pod into the label apps.kubernetes.io/pod-index.
	PodIndexLabel bool
	// InPlace says what more than images, labels and annotations can be changed in place.
	InPlace inplace.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=statefulsets/finalizers,verbs=update
// +kubebuilder:rbac:groups="",resources=persistentvolumeclaims,verbs=patch

// Controller works on StatefulSets.
type Controller struct {
	*podops.Base
	options Options
}

func (o Options) kind() podops.Kind[*v1beta1.StatefulSet] {
	return podops.Kind[*v1beta1.StatefulSet]{
		Name: kindStatefulSet, New: func() *v1beta1.StatefulSet { return &v1beta1.StatefulSet{} }, Claims: true, PullAhead: o.PullAhead,
	}
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err == nil {
		err = o.kind().Controller(mgr, o.Workers).Complete(reconciler)
	}
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
	c := &Controller{Base: base, options: o}
	return o.kind().Loop(base, mgr, func(set *v1beta1.StatefulSet) loop.Work[*v1beta1.StatefulSet] { return newWork(c, set) }), nil
}
