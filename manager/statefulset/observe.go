package statefulset

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// work is one reconcile of one StatefulSet: what was observed, what was decided, and what came of it.
type work struct {
	*Controller
	set *v1beta1.StatefulSet
	key types.NamespacedName

	view *workload.StatefulSet // nil until all is observed

	// decided
	sequence *podset.Sequence // nil until it is
	plan     podset.Plan

	// done
	told           []loop.Event
	results        []podops.Result
	collisionCount *int32
}

func newWork(c *Controller, set *v1beta1.StatefulSet) *work {
	return &work{Controller: c, set: set, key: client.ObjectKeyFromObject(set), collisionCount: set.Status.CollisionCount}
}

// Observe gathers the set's pods and revisions, and those that nobody owns and that may be the set's, from the caches. Its
// claims are found by their names: they may have no owner.
func (w *work) Observe(context.Context) error {
	owned, err := w.Owned(w.set.Namespace, w.set.UID)
	if err != nil {
		return err
	}
	if owned.Unowned, err = w.Pods.Orphans(w.set.Namespace); err != nil {
		return err
	}
	owned.Claim = func(name string) *corev1.PersistentVolumeClaim {
		claim, _ := w.Claims.Get(types.NamespacedName{Namespace: w.set.Namespace, Name: name})
		return claim
	}
	w.view, err = workload.NewStatefulSet(w.set, owned, w.options)
	return err
}
