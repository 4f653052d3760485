package cloneset

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
)

// pullAhead makes the jobs that pull the images of a rollout ahead of it, and deletes them when the rollout is complete. A
// job that is refused does not hold up the rollout: pods then pull for themselves.
func (w *work) pullAhead(ctx context.Context) error {
	if w.Controller.jobs == nil {
		return nil
	}
	pulls, err := w.view.Pulls(w.plan.Tally)
	if err != nil {
		return err
	}
	mark := map[string]string{}
	switch {
	case pulls.Done:
		return w.deleteJobs(ctx)
	case pulls.Ignore:
		mark[v1beta1.ImagePreDownloadIgnoredKey] = "true"
	case len(pulls.Create) > 0:
		for _, job := range pulls.Create {
			if !w.createJob(ctx, job) {
				return nil
			}
		}
		mark[v1beta1.ImagePreDownloadCreatedKey] = "true"
	default:
		return nil
	}
	return w.patchRevision(ctx, w.view.Newest, map[string]any{"metadata": map[string]any{"labels": mark}})
}

// createJob creates a job and says whether it exists now.
func (w *work) createJob(ctx context.Context, job *v1beta1.ImagePullJob) bool {
	const action = "PullImage"
	err := w.Client.Create(ctx, job)
	switch {
	case err == nil:
		w.Writes.Wrote(w.key, kindJob, job)
		w.told = append(w.told, loop.Event{Reason: reasonCreatedJob, Action: action, Note: fmt.Sprintf("created job %s to pull %s ahead", job.Name, job.Spec.Image)})
	case !apierrors.IsAlreadyExists(err): // one that exists was created by a reconcile that ended before it could say so
		log.FromContext(ctx).Error(err, "No images are pulled ahead", "job", job.Name)
		// Its type is not Warning: the rollout goes on without.
		w.told = append(w.told, loop.Event{Reason: reasonFailedCreateJob, Action: action, Note: bounded(fmt.Sprintf("could not create job %s: %v", job.Name, err), longestEventNote)})
		return false
	}
	return true
}

// deleteJobs deletes the set's jobs.
func (w *work) deleteJobs(ctx context.Context) error {
	jobs, err := w.Controller.jobs.OwnedBy(w.set.UID)
	if err != nil {
		return err
	}
	for _, job := range jobs {
		if job.DeletionTimestamp != nil {
			continue
		}
		uid := job.UID
		target := &v1beta1.ImagePullJob{}
		target.Namespace, target.Name, target.UID = job.Namespace, job.Name, job.UID
		if err := w.Client.Delete(ctx, target, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete job %s: %w", job.Name, err)
		}
		w.Writes.Deleted(w.key, kindJob, job)
	}
	return nil
}
