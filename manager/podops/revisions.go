package podops

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// AdoptRevisions makes a workload the controller of the revisions that it uses and nobody owns. ref is the owner reference
// of everything that it owns.
func (b *Base) AdoptRevisions(ctx context.Context, owner types.NamespacedName, ref metav1.OwnerReference, orphans []*appsv1.ControllerRevision) error {
	for _, orphan := range orphans {
		owners := map[string]any{"uid": orphan.UID, "ownerReferences": []metav1.OwnerReference{ref}}
		body, err := json.Marshal(map[string]any{"metadata": owners})
		if err != nil {
			return fmt.Errorf("adopt controller revision %s: %w", orphan.Name, err)
		}
		r := orphan.DeepCopy() // a strategic merge patch adds an owner, and one that somebody else added first is refused
		if err := b.Client.Patch(ctx, r, client.RawPatch(types.StrategicMergePatchType, body)); err != nil {
			return fmt.Errorf("adopt controller revision %s: %w", orphan.Name, err)
		}
		b.Writes.Wrote(owner, KindRevision, r)
	}
	return nil
}

// EnsureRevision creates the revision of a workload's template, or brings the kept one that equals it (newest; nil for none)
// to the front of the history, and up to date with what revisions record. When it fails because another's revision, or one
// of other data, has the name, collides is true: the workload has one collision more to count, and the next name is another.
func (b *Base) EnsureRevision(ctx context.Context, owner types.NamespacedName, newest, wanted *appsv1.ControllerRevision) (collides bool, err error) {
	if newest != nil {
		if newest.Revision == wanted.Revision-1 {
			wanted.Revision = newest.Revision
		}
		return false, b.amendRevision(ctx, owner, newest, wanted)
	}
	err = b.Client.Create(ctx, wanted)
	if apierrors.IsAlreadyExists(err) {
		// Found in the cache, it is another's or holds other data, or else it would have been found by its template. Not
		// found there, the cache lags behind, and trying again finds it.
		_, collides = b.Revisions.Get(client.ObjectKeyFromObject(wanted))
	}
	if err != nil {
		return collides, fmt.Errorf("create controller revision %s: %w", wanted.Name, err)
	}
	b.Writes.Wrote(owner, KindRevision, wanted)
	return false, nil
}

// amendRevision gives a revision the number, the hash of claims and the custom version that it would be made with now.
func (b *Base) amendRevision(ctx context.Context, owner types.NamespacedName, kept, wanted *appsv1.ControllerRevision) error {
	meta := map[string]any{}
	if hash := wanted.Annotations[v1beta1.ClaimTemplatesHashKey]; hash != "" && hash != kept.Annotations[v1beta1.ClaimTemplatesHashKey] {
		meta["annotations"] = map[string]string{v1beta1.ClaimTemplatesHashKey: hash}
	}
	if version := wanted.Labels[v1beta1.SidecarSetCustomVersionKey]; version != "" && version != kept.Labels[v1beta1.SidecarSetCustomVersionKey] {
		meta["labels"] = map[string]string{v1beta1.SidecarSetCustomVersionKey: version}
	}
	if len(meta) == 0 && kept.Revision == wanted.Revision {
		return nil
	}
	return b.mergeRevision(ctx, owner, kept, map[string]any{"metadata": meta, "revision": wanted.Revision})
}

// mergeRevision writes what is to be merged into a revision.
func (b *Base) mergeRevision(ctx context.Context, owner types.NamespacedName, kept *appsv1.ControllerRevision, merge map[string]any) error {
	if err := unstructured.SetNestedField(merge, string(kept.UID), "metadata", "uid"); err != nil {
		return fmt.Errorf("amend controller revision %s: %w", kept.Name, err)
	}
	body, err := json.Marshal(merge)
	if err != nil {
		return fmt.Errorf("amend controller revision %s: %w", kept.Name, err)
	}
	r := kept.DeepCopy()
	if err := b.Client.Patch(ctx, r, client.RawPatch(types.MergePatchType, body)); err != nil {
		return fmt.Errorf("amend controller revision %s: %w", r.Name, err)
	}
	b.Writes.Wrote(owner, KindRevision, r)
	return nil
}

// DeleteRevisions deletes revisions that are no longer kept.
func (b *Base) DeleteRevisions(ctx context.Context, owner types.NamespacedName, expired []*appsv1.ControllerRevision) error {
	for _, r := range expired {
		if err := client.IgnoreNotFound(b.Client.Delete(ctx, r, client.Preconditions{UID: &r.UID})); err != nil {
			return fmt.Errorf("delete controller revision %s: %w", r.Name, err)
		}
		b.Writes.Deleted(owner, KindRevision, r)
	}
	return nil
}
