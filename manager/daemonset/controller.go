package daemonset

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/pause"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/workload"
)

// kindDaemonSet is the kind, as its cache is named for own writes.
const kindDaemonSet = "DaemonSet"

// A node on which pods fail again and again gets its next pod after a pause between these.
const (
	firstPause   = time.Second
	longestPause = 15 * time.Minute
)

// Options tune the controller.
type Options struct {
	// Workers is how many DaemonSets are worked on at a time. Default: podops.DefaultWorkers.
	Workers int
	// Permits is asked before a pod is taken out of service. Nil: all is permitted.
	Permits *permits.Desk
	// Options are what the user of the whole cluster decides about workloads.
	workload.Options
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=daemonsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=daemonsets/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=daemonsets/finalizers,verbs=update

// Controller works on DaemonSets.
type Controller struct {
	*podops.Base
	options workload.Options
	nodes   *index.Store[*corev1.Node]
	pauses  *pause.Pauses
}

func (o Options) kind() podops.Kind[*v1beta1.DaemonSet] {
	return podops.Kind[*v1beta1.DaemonSet]{
		Name: kindDaemonSet, New: func() *v1beta1.DaemonSet { return &v1beta1.DaemonSet{} }, PullAhead: o.PullAheadForDaemonSets, Permits: o.Permits,
	}
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err == nil {
		err = o.kind().Controller(mgr, o.Workers).Watches(&corev1.Node{}, nodeHandler{sets: mgr.GetClient()}).Complete(reconciler)
	}
	if err != nil {
		return fmt.Errorf("set up the DaemonSet controller: %w", err)
	}
	return nil
}

// NewReconciler makes the reconciler of DaemonSets over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	base, err := o.kind().Base(ctx, mgr, now)
	if err != nil {
		return nil, err
	}
	nodes, err := index.For(ctx, mgr.GetCache(), &corev1.Node{})
	if err != nil {
		return nil, err
	}
	c := &Controller{Base: base, options: o.Options, nodes: nodes, pauses: pause.New(firstPause, longestPause)}
	return o.kind().Loop(base, mgr, func(ds *v1beta1.DaemonSet) loop.Work[*v1beta1.DaemonSet] { return newWork(c, ds) }), nil
}
