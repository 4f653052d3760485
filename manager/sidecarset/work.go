package sidecarset

import (
	"context"
	"errors"
	"time"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// work is one reconcile of one SidecarSet: what was observed, what was decided, and what came of it.
type work struct {
	*Controller
	set *v1beta1.SidecarSet

	view *workload.SidecarSet // nil until all is observed
	// uninjected names pods that should have got the sidecars when they were created, and did not.
	uninjected []string

	// decided
	plan    podset.Plan
	decided bool

	// done
	results        []podops.Result
	collisionCount *int32
}

// Observe finds the pods that the set was injected into, and its revisions.
func (w *work) Observe(context.Context) error {
	w.collisionCount = w.set.Status.CollisionCount
	in := workload.Injected{Namespace: w.namespace, NamespaceLabels: w.namespaceLabels, Budgets: w.Permits.ForChanges()}
	var err error
	if in.Pods, err = w.Pods.By(injected, w.set.Name); err != nil {
		return err
	}
	if in.Revisions, err = w.Revisions.OwnedBy(w.set.UID); err != nil {
		return err
	}
	w.uninjected = w.missed.of(w.set.Name)
	w.view, err = workload.NewSidecarSet(w.set, in)
	return err
}

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	var err error
	if w.plan, err = w.view.Plan(now); err != nil {
		return err
	}
	w.plan.Uninjected(w.uninjected)
	w.decided = true
	return nil
}

// Act makes sure that the newest revision exists, carries out the plan, says on pods whether they can be upgraded, and tidies
// up.
func (w *work) Act(ctx context.Context) error {
	owner := client.ObjectKeyFromObject(w.set)
	collides, err := w.EnsureRevision(ctx, owner, w.view.Newest, w.view.NewRevision())
	if collides {
		w.collisionCount = ptr.To(ptr.Deref(w.collisionCount, 0) + 1)
	}
	if err != nil {
		return err
	}
	var failure error
	w.results, failure = w.Run(ctx, podops.Job{Owner: owner, Steps: w.plan.Steps, Pods: w.view.Pods, Workload: w.view, Plan: &w.plan})
	if failure != nil { // what follows may wait
		return failure
	}
	tell, err := w.view.Tell(w.Clock.Now())
	if err != nil {
		return err
	}
	return errors.Join(w.PatchStatuses(ctx, owner, tell), w.DeleteRevisions(ctx, owner, w.view.Expired()))
}
