package cloneset

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/manager/podops"
)

// defaultHistoryLimit is how many unused revisions are kept where the set does not say.
const defaultHistoryLimit = 10

// Act makes sure that the newest revision exists, carries out the plan, and tidies up.
func (w *work) Act(ctx context.Context) error {
	if err := w.AdoptRevisions(ctx, w.key, w.view.Owner(), w.view.Orphans); err != nil {
		return err
	}
	if err := w.ensureRevision(ctx); err != nil {
		return err
	}
	pulling := w.pullAhead(ctx) // pods do not wait for it
	for _, pod := range w.view.Strays {
		if err := w.Release(ctx, w.key, w.set.UID, pod); err != nil {
			return err
		}
	}
	var failure error
	w.results, failure = w.Run(ctx, podops.Job{Owner: w.key, Steps: w.plan.Steps, Pods: w.view.Pods, Workload: w.view, Plan: &w.plan})
	return errors.Join(pulling, failure, w.tidy(ctx))
}

// ensureRevision makes sure that the revision of the template exists. The next hash counts a collision in.
func (w *work) ensureRevision(ctx context.Context) error {
	collides, err := w.EnsureRevision(ctx, w.key, w.view.Newest, w.view.NewRevision())
	if collides {
		w.collisionCount = ptr.To(ptr.Deref(w.collisionCount, 0) + 1)
	}
	return err
}

// pullAhead has the images of a rollout pulled ahead of it.
func (w *work) pullAhead(ctx context.Context) error {
	if !w.PullsAhead() {
		return nil
	}
	pulls, err := w.view.Pulls(w.plan.Tally)
	if err != nil {
		return err
	}
	w.told, err = w.PullAhead(ctx, w.key, w.set.UID, w.view.Newest, pulls)
	return err
}

// tidy deletes revisions beyond the limit and claims that nobody may use again, and takes names of pods that are gone
// off podsToDelete.
func (w *work) tidy(ctx context.Context) error {
	limit := int(ptr.Deref(w.set.Spec.RevisionHistoryLimit, defaultHistoryLimit))
	if err := w.DeleteRevisions(ctx, w.key, w.view.Expired(w.view.Pods, w.currentRevision(), limit)); err != nil {
		return err
	}
	if err := w.DeleteClaims(ctx, w.key, w.view.ExpiredClaims(w.currentRevision())); err != nil {
		return err
	}
	return w.forgetDeletedPods(ctx)
}

// forgetDeletedPods takes the names of pods that are gone off podsToDelete. The patch is made against what was read, so
// that names which a user adds meanwhile are not lost.
func (w *work) forgetDeletedPods(ctx context.Context) error {
	left := w.view.RemainingPodsToDelete()
	if len(left) == len(w.set.Spec.ScaleStrategy.PodsToDelete) {
		return nil
	}
	after := w.set.DeepCopy()
	after.Spec.ScaleStrategy.PodsToDelete = left
	patch := client.MergeFromWithOptions(w.set, client.MergeFromWithOptimisticLock{})
	if err := w.Client.Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("take deleted pods off spec.scaleStrategy.podsToDelete: %w", err)
	}
	w.Writes.Wrote(w.key, kindCloneSet, after)
	return nil
}
