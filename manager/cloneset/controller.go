package cloneset

import (
	"context"
	"fmt"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/workload"
)

// kindCloneSet is the kind, as its cache is named for own writes.
const kindCloneSet = "CloneSet"

// Options tune the controller.
type Options struct {
	// Workers is how many CloneSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
	// Options are what the user of the whole cluster decides about workloads.
	workload.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=clonesets/finalizers,verbs=update

// Controller works on CloneSets.
type Controller struct {
	*podops.Base
	options workload.Options
}

func (o Options) kind() podops.Kind[*v1beta1.CloneSet] {
	return podops.Kind[*v1beta1.CloneSet]{
		Name: kindCloneSet, New: func() *v1beta1.CloneSet { return &v1beta1.CloneSet{} }, Claims: true, PullAhead: o.PullAhead, Permits: o.Permits,
	}
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err == nil {
		err = o.kind().Controller(mgr, o.Workers).Complete(reconciler)
	}
	if err != nil {
		return fmt.Errorf("set up the CloneSet controller: %w", err)
	}
	return nil
}

// NewReconciler makes the reconciler of CloneSets over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	base, err := o.kind().Base(ctx, mgr, now)
	if err != nil {
		return nil, err
	}
	c := &Controller{Base: base, options: o.Options}
	return o.kind().Loop(base, mgr, func(cs *v1beta1.CloneSet) loop.Work[*v1beta1.CloneSet] { return newWork(c, cs) }), nil
}
