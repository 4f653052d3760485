package images

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/slowstart"
	"kruise.io/kruise/plan/fanout"
)

// The reasons of events about the jobs of a list; that they are sentences is how they always were.
const (
	reasonCreated = "Successful create ImagePullJob"
	reasonDeleted = "Successful delete ImagePullJob"
)

// mostAtOnce is how many jobs of a list are created side by side.
const mostAtOnce = 16

// listWork is one reconcile of one ImageListPullJob.
type listWork struct {
	*Controllers
	list  *v1beta1.ImageListPullJob
	owned []*v1beta1.ImagePullJob
	plan  fanout.ListPlan
	told  []loop.Event
}

// Observe finds the jobs of the list.
func (w *listWork) Observe(context.Context) error {
	var err error
	w.owned, err = w.jobStore.OwnedBy(w.list.UID)
	return err
}

// Decide asks plan which jobs there are to be.
func (w *listWork) Decide(now time.Time) error {
	var err error
	w.plan, err = fanout.DecideList(w.list, w.owned, now)
	return err
}

// Act creates and deletes jobs, and deletes a list whose time is over.
func (w *listWork) Act(ctx context.Context) error {
	key := client.ObjectKeyFromObject(w.list)
	if w.plan.Expired {
		uid := w.list.UID
		err := w.client.Delete(ctx, w.list.DeepCopy(), client.Preconditions{UID: &uid}, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete the list, which ended: %w", err)
		}
		w.listWrites.Deleted(key, kindList, w.list)
		return nil
	}
	if err := w.mark(ctx, key); err != nil {
		return err
	}
	for _, job := range w.plan.Delete {
		uid := job.UID
		if err := w.client.Delete(ctx, job.DeepCopy(), client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete job %s: %w", job.Name, err)
		}
		w.listWrites.Deleted(key, kindJob, job)
		w.told = append(w.told, loop.Event{Reason: reasonDeleted, Action: "Delete", Note: "deleted job " + job.Name + " of " + job.Spec.Image})
	}
	create := w.plan.Create
	begun, err := slowstart.Run(ctx, len(create), slowstart.Limits{First: 1, Parallel: mostAtOnce}, func(ctx context.Context, i int) error {
		err := w.client.Create(ctx, create[i])
		if apierrors.IsAlreadyExists(err) && w.ownsLive(ctx, create[i]) { // its answer was lost
			err = nil
		}
		if err != nil {
			return fmt.Errorf("create job %s for %s: %w", create[i].Name, create[i].Spec.Image, err)
		}
		w.listWrites.Wrote(key, kindJob, create[i])
		return nil
	})
	for _, job := range create[:begun] {
		if job.UID != "" {
			w.told = append(w.told, loop.Event{Reason: reasonCreated, Action: "Create", Note: "created job " + job.Name + " of " + job.Spec.Image})
		}
	}
	return err
}

// ownsLive reads a job of the name of one that could not be created, and says whether it is the list's.
func (w *listWork) ownsLive(ctx context.Context, job *v1beta1.ImagePullJob) bool {
	return w.live.Get(ctx, client.ObjectKeyFromObject(job), job) == nil && metav1.IsControlledBy(job, w.list)
}

// mark labels the list with the hash that its jobs have.
func (w *listWork) mark(ctx context.Context, key types.NamespacedName) error {
	if w.list.Labels[fanout.HashKey] == w.plan.Hash {
		return nil
	}
	meta := map[string]any{"uid": w.list.UID, "labels": map[string]string{fanout.HashKey: w.plan.Hash}}
	body, err := json.Marshal(map[string]any{"metadata": meta})
	if err != nil {
		return fmt.Errorf("label the list: %w", err)
	}
	after := w.list.DeepCopy()
	if err := w.client.Patch(ctx, after, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fmt.Errorf("label the list: %w", err)
	}
	w.listWrites.Wrote(key, kindList, after)
	return nil
}

// Report says how far the list is.
func (w *listWork) Report(_ time.Time, failure error) loop.Report[*v1beta1.ImageListPullJob] {
	report := loop.Report[*v1beta1.ImageListPullJob]{Wake: w.plan.Wake, Items: len(w.owned), Events: w.told, Advanced: len(w.told) > 0}
	if failure != nil || w.plan.Expired {
		return report
	}
	report.Object = w.list.DeepCopy()
	report.Object.Status = w.plan.Status
	return report
}
