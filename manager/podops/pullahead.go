package podops

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/workload"
)

// PullsAhead says whether jobs are made that pull the images of a rollout ahead of it.
func (b *Base) PullsAhead() bool { return b.jobs != nil }

// refusalPause is how long nobody asks again for the jobs of a revision after one was refused. Otherwise whatever refused it, such
// as a webhook or a quota, would be asked at every event of the rollout.
const refusalPause = 30 * time.Second

// refusals remembers the revisions whose jobs were refused, and until when nobody asks again.
type refusals struct {
	mu    sync.Mutex
	until map[types.UID]time.Time
}

// lasts says whether jobs of a revision were refused a short time ago.
func (r *refusals) lasts(revision types.UID, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.until, func(_ types.UID, until time.Time) bool { return !now.Before(until) })
	_, refused := r.until[revision]
	return refused
}

func (r *refusals) add(revision types.UID, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.until == nil {
		r.until = map[types.UID]time.Time{}
	}
	r.until[revision] = now.Add(refusalPause)
}

// PullAhead makes the jobs that pull the images of a rollout ahead of it and marks the newest revision, or deletes the jobs
// of a workload once the rollout is complete. It returns what is to be told to the user. A job that is refused is no error:
// the rollout goes on, and pods pull for themselves; it is asked for again after a pause.
func (b *Base) PullAhead(ctx context.Context, owner types.NamespacedName, uid types.UID, newest *appsv1.ControllerRevision, pulls workload.Pulls) ([]loop.Event, error) {
	var told []loop.Event
	mark := map[string]string{}
	switch {
	case pulls.Done:
		return nil, b.deleteJobs(ctx, owner, uid)
	case pulls.Ignore:
		mark[v1beta1.ImagePreDownloadIgnoredKey] = "true"
	case len(pulls.Create) > 0 && !b.refused.lasts(newest.UID, b.Clock.Now()):
		for _, job := range pulls.Create {
			event, exists := b.createJob(ctx, owner, job)
			if event != nil {
				told = append(told, *event)
			}
			if !exists {
				b.refused.add(newest.UID, b.Clock.Now())
				return told, nil
			}
		}
		mark[v1beta1.ImagePreDownloadCreatedKey] = "true"
	default:
		return nil, nil
	}
	return told, b.mergeRevision(ctx, owner, newest, map[string]any{"metadata": map[string]any{"labels": mark}})
}

// createJob creates a job. It returns what is to be told, if anything, and whether the job exists now.
func (b *Base) createJob(ctx context.Context, owner types.NamespacedName, job *v1beta1.ImagePullJob) (*loop.Event, bool) {
	const action = "PullImage"
	err := b.Client.Create(ctx, job)
	switch {
	case err == nil:
		b.Writes.Wrote(owner, KindJob, job)
		return &loop.Event{Reason: reasonCreatedJob, Action: action, Note: fmt.Sprintf("created job %s to pull %s ahead", job.Name, job.Spec.Image)}, true
	case apierrors.IsAlreadyExists(err): // created by a reconcile that ended before it could say so
		return nil, true
	default:
		log.FromContext(ctx).Error(err, "No images are pulled ahead", "job", job.Name)
		// Its type is not Warning: the rollout goes on without.
		return &loop.Event{Reason: reasonFailedCreateJob, Action: action, Note: bounded(fmt.Sprintf("could not create job %s: %v", job.Name, err), longestEventNote)}, false
	}
}

// deleteJobs deletes a workload's jobs.
func (b *Base) deleteJobs(ctx context.Context, owner types.NamespacedName, uid types.UID) error {
	jobs, err := b.jobs.OwnedBy(uid)
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
		if err := b.Client.Delete(ctx, target, client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete job %s: %w", job.Name, err)
		}
		b.Writes.Deleted(owner, KindJob, job)
	}
	return nil
}
