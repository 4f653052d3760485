package daemonset

import (
	"context"
	"errors"

	"k8s.io/utils/ptr"

	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// defaultHistoryLimit is how many unused revisions are kept where the set does not say.
const defaultHistoryLimit = 10

// Act makes sure that the newest revision exists, carries out the plan, and tidies up.
func (w *work) Act(ctx context.Context) error {
	if w.view == nil {
		return nil
	}
	for _, pod := range w.adopt {
		if err := w.Adopt(ctx, w.key, w.view.Owner(), pod); err != nil {
			return err
		}
	}
	if len(w.adopt) > 0 {
		return nil
	}
	if err := w.AdoptRevisions(ctx, w.key, w.view.Owner(), w.view.Orphans); err != nil {
		return err
	}
	if err := w.ensureRevision(ctx); err != nil {
		return err
	}
	if err := w.pullAhead(ctx); err != nil {
		return err
	}
	for _, pod := range w.view.Strays {
		if err := w.Release(ctx, w.key, w.set.UID, pod); err != nil {
			return err
		}
	}
	var failure error
	w.results, failure = w.Run(ctx, podops.Job{Owner: w.key, Steps: w.plan.Steps, Pods: w.view.Pods, Workload: w.view})
	for _, r := range w.results {
		if r.Err == nil && failed(r.Step) {
			w.pauses.Failed(w.pauseOf(r.Step.Pod.Node), w.Clock.Now())
		}
	}
	limit := int(ptr.Deref(w.set.Spec.RevisionHistoryLimit, defaultHistoryLimit))
	return errors.Join(failure, w.DeleteRevisions(ctx, w.key, w.view.Expired(w.view.Pods, w.view.Current, limit)))
}

// failed says whether a step deletes a pod that ended by itself.
func failed(s podset.Step) bool { return s.Do == podset.Delete && s.Pod.Phase == replica.Ended }

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
	pulls, err := w.view.Pulls(&w.plan)
	if err != nil {
		return err
	}
	w.told, err = w.PullAhead(ctx, w.key, w.set.UID, w.view.Newest, pulls)
	return err
}
