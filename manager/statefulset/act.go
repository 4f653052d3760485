package statefulset

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
)

// defaultHistoryLimit is how many unused revisions are kept where the set does not say.
const defaultHistoryLimit = 10

// Act takes in what belongs to the set, makes sure that the newest revision exists, sees to it with whom claims go, carries
// out the plan, and tidies up.
func (w *work) Act(ctx context.Context) error {
	if err := w.adopt(ctx); err != nil {
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
	// Claims come first: what goes with a pod must be its own before it is deleted.
	steps, owners := w.settleOwners(ctx)
	var failure error
	w.results, failure = w.Run(ctx, podops.Job{Owner: w.key, Steps: steps, Pods: w.view.Pods, Workload: w.view, Plan: &w.plan})
	return errors.Join(pulling, owners, failure, w.tidy(ctx))
}

// adopt makes the set the controller of the pods and revisions that are its own and that nobody owns: those of a set that was
// deleted without them, or restored from a backup.
func (w *work) adopt(ctx context.Context) error {
	if len(w.view.Orphans)+len(w.view.OrphanPods) == 0 {
		return nil
	}
	kind := metav1.TypeMeta{APIVersion: v1beta1.GroupVersion.String(), Kind: kindStatefulSet}
	if err := w.MayAdopt(ctx, w.set, kind); err != nil {
		return err
	}
	for _, pod := range w.view.OrphanPods {
		if err := w.Adopt(ctx, w.key, w.view.Owner(), pod); err != nil {
			return err
		}
	}
	return w.AdoptRevisions(ctx, w.key, w.view.Owner(), w.view.Orphans)
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

// tidy deletes revisions beyond the limit.
func (w *work) tidy(ctx context.Context) error {
	limit := int(ptr.Deref(w.set.Spec.RevisionHistoryLimit, defaultHistoryLimit))
	var status v1beta1.StatefulSetStatus
	w.count(&status)
	if err := w.DeleteRevisions(ctx, w.key, w.view.Expired(w.view.Pods, status.CurrentRevision, limit)); err != nil {
		return fmt.Errorf("tidy up: %w", err)
	}
	return nil
}
