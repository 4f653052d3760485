package cloneset

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// work is one reconcile of one CloneSet: what was observed, what was decided, and what came of it.
type work struct {
	*Controller
	set *v1beta1.CloneSet
	key types.NamespacedName

	view *workload.CloneSet // nil until all is observed

	// decided
	plan    podset.Plan
	decided bool

	// done
	told           []loop.Event
	results        []podops.Result
	collisionCount *int32
}

func newWork(c *Controller, set *v1beta1.CloneSet) *work {
	return &work{Controller: c, set: set, key: client.ObjectKeyFromObject(set), collisionCount: set.Status.CollisionCount}
}

// Observe gathers the set's pods, claims and revisions from the caches.
func (w *work) Observe(ctx context.Context) error {
	owned, err := w.Owned(w.set.Namespace, w.set.UID)
	if err != nil {
		return err
	}
	if len(w.set.Spec.Template.Spec.TopologySpreadConstraints) > 0 { // few sets need to know about nodes
		if owned.Node, err = w.NodeLabels(ctx); err != nil {
			return err
		}
	}
	w.view, err = workload.NewCloneSet(w.set, owned, w.options)
	return err
}
