package daemonset

import (
	"context"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// idLength is the length of what ends the name of a pod.
const idLength = 5

// work is one reconcile of one DaemonSet: what was observed, what was decided, and what came of it.
type work struct {
	*Controller
	set *v1beta1.DaemonSet
	key types.NamespacedName

	view *workload.DaemonSet // nil until all is observed, and for a set that selects all pods

	// decided
	plan    podset.Plan
	stuck   []string // pods that the scheduler finds no place for, with their nodes
	decided bool

	// done
	told           []loop.Event
	results        []podops.Result
	collisionCount *int32
}

func newWork(c *Controller, set *v1beta1.DaemonSet) *work {
	return &work{Controller: c, set: set, key: client.ObjectKeyFromObject(set), collisionCount: set.Status.CollisionCount}
}

// Observe gathers the set's pods and revisions, and the nodes, from the caches.
func (w *work) Observe(context.Context) error {
	if workload.SelectsAll(w.set) { // nothing will change that but another set
		return nil
	}
	owned, err := w.Owned(w.set.Namespace, w.set.UID)
	if err != nil {
		return err
	}
	if owned.Unowned, err = w.Pods.Orphans(w.set.Namespace); err != nil {
		return err
	}
	w.view, err = workload.NewDaemonSet(w.set, owned, w.nodes.All(), func() string { return rand.String(idLength) }, w.options)
	return err
}
