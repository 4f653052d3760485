package cloneset

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
)

// defaultHistoryLimit is how many unused revisions are kept where the set does not say.
const defaultHistoryLimit = 10

// Act makes sure that the newest revision exists, carries out the plan, and tidies up.
func (w *work) Act(ctx context.Context) error {
	if err := w.adoptRevisions(ctx); err != nil {
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
	w.results, failure = w.Run(ctx, podops.Job{Owner: w.key, Steps: w.plan.Steps, Pods: w.podsByUID(), Workload: w.view})
	return errors.Join(failure, w.tidy(ctx))
}

// adoptRevisions makes the set the controller of the revisions that it uses and nobody owns.
func (w *work) adoptRevisions(ctx context.Context) error {
	for _, orphan := range w.view.Orphans {
		owners := map[string]any{"uid": orphan.UID, "ownerReferences": []metav1.OwnerReference{w.view.Owner()}}
		body, err := json.Marshal(map[string]any{"metadata": owners})
		if err != nil {
			return fmt.Errorf("adopt controller revision %s: %w", orphan.Name, err)
		}
		r := orphan.DeepCopy() // a strategic merge patch adds an owner, and one that somebody else added first is refused
		if err := w.Client.Patch(ctx, r, client.RawPatch(types.StrategicMergePatchType, body)); err != nil {
			return fmt.Errorf("adopt controller revision %s: %w", orphan.Name, err)
		}
		w.Writes.Wrote(w.key, kindRevision, r)
	}
	return nil
}

// ensureRevision creates the newest revision, or brings an older one that equals it to the front of the history, and up to
// date with what revisions record.
func (w *work) ensureRevision(ctx context.Context) error {
	r := w.view.NewRevision()
	if newest := w.view.Newest; newest != nil {
		if newest.Revision == r.Revision-1 {
			r.Revision = newest.Revision
		}
		return w.amend(ctx, newest, r)
	}
	err := w.Client.Create(ctx, r)
	if apierrors.IsAlreadyExists(err) {
		// Found in the cache, it is another's or holds other data, or else it would have been found by its template: the
		// next hash counts the collision in. Not found there, the cache lags behind, and trying again finds it.
		if _, taken := w.revisions.Get(client.ObjectKeyFromObject(r)); taken {
			w.collisionCount = ptr.To(ptr.Deref(w.collisionCount, 0) + 1)
		}
	}
	if err != nil {
		return fmt.Errorf("create controller revision %s: %w", r.Name, err)
	}
	w.Writes.Wrote(w.key, kindRevision, r)
	return nil
}

// amend gives a revision the number and the hash of claims that it would be made with now.
func (w *work) amend(ctx context.Context, kept, wanted *appsv1.ControllerRevision) error {
	hash := wanted.Annotations[v1beta1.ClaimTemplatesHashKey]
	if hash == "" || hash == kept.Annotations[v1beta1.ClaimTemplatesHashKey] {
		hash = ""
		if kept.Revision == wanted.Revision {
			return nil
		}
	}
	meta := map[string]any{}
	if hash != "" {
		meta["annotations"] = map[string]string{v1beta1.ClaimTemplatesHashKey: hash}
	}
	return w.patchRevision(ctx, kept, map[string]any{"metadata": meta, "revision": wanted.Revision})
}

// patchRevision writes what is to be merged into a revision.
func (w *work) patchRevision(ctx context.Context, kept *appsv1.ControllerRevision, merge map[string]any) error {
	if err := unstructured.SetNestedField(merge, string(kept.UID), "metadata", "uid"); err != nil {
		return fmt.Errorf("amend controller revision %s: %w", kept.Name, err)
	}
	body, err := json.Marshal(merge)
	if err != nil {
		return fmt.Errorf("amend controller revision %s: %w", kept.Name, err)
	}
	r := kept.DeepCopy()
	if err := w.Client.Patch(ctx, r, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fmt.Errorf("amend controller revision %s: %w", r.Name, err)
	}
	w.Writes.Wrote(w.key, kindRevision, r)
	return nil
}

// tidy deletes revisions beyond the limit and claims that nobody may use again, and takes names of pods that are gone
// off podsToDelete.
func (w *work) tidy(ctx context.Context) error {
	limit := int(ptr.Deref(w.set.Spec.RevisionHistoryLimit, defaultHistoryLimit))
	for _, r := range w.view.Expired(w.view.Pods, w.currentRevision(), limit) {
		if err := client.IgnoreNotFound(w.Client.Delete(ctx, r, client.Preconditions{UID: &r.UID})); err != nil {
			return fmt.Errorf("delete controller revision %s: %w", r.Name, err)
		}
		w.Writes.Deleted(w.key, kindRevision, r)
	}
	if err := w.DeleteClaims(ctx, w.key, w.view.ExpiredClaims()); err != nil {
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
