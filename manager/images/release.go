package images

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// letGo takes off the finalizer by which other managers hold a job, once the job is being deleted.
func letGo(ctx context.Context, c client.Client, job client.Object) error {
	after := job.DeepCopyObject().(client.Object)
	if job.GetDeletionTimestamp() == nil || !controllerutil.RemoveFinalizer(after, v1beta1.DeletionProtectionFinalizer) {
		return nil
	}
	patch := client.MergeFromWithOptions(job, client.MergeFromWithOptimisticLock{})
	if err := c.Patch(ctx, after, patch); client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("take the finalizer off ImagePullJob %s: %w", client.ObjectKeyFromObject(job), err)
	}
	return nil
}

// setupRelease adds a controller that lets jobs go, where nobody works on them. It knows their metadata alone.
func setupRelease(mgr ctrl.Manager) error {
	c := mgr.GetClient()
	deleted := predicate.NewPredicateFuncs(func(o client.Object) bool { return o.GetDeletionTimestamp() != nil })
	return wrap(kindJob, ctrl.NewControllerManagedBy(mgr).Named("imagepulljob-release").
		For(&v1beta1.ImagePullJob{}, builder.OnlyMetadata, builder.WithPredicates(deleted)).
		WithOptions(workers(1)).
		Complete(reconcile.Func(func(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
			job := &metav1.PartialObjectMetadata{}
			job.SetGroupVersionKind(v1beta1.GroupVersion.WithKind(kindJob))
			if err := c.Get(ctx, req.NamespacedName, job); err != nil {
				return reconcile.Result{}, client.IgnoreNotFound(err)
			}
			return reconcile.Result{}, letGo(ctx, c, job)
		})))
}
