package podops

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/slowstart"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// Adopt makes a workload the controller of a pod that nobody owns. A pod that somebody else adopted first is refused.
func (e *Executor) Adopt(ctx context.Context, owner types.NamespacedName, ref metav1.OwnerReference, pod *corev1.Pod) error {
	log.FromContext(ctx).Info("Adopt", "pod", pod.Name, "why", "it has the name and the labels of a pod of this workload, and no controller")
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "ownerReferences": []metav1.OwnerReference{ref}}})
	if err != nil {
		return fmt.Errorf("adopt pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	return e.patch(ctx, owner, pod, inplace.Patches{Pod: body})
}

// MayAdopt asks the API server itself whether a workload still is there: whoever deletes a workload and keeps its pods takes
// their owner away, and a cache that lags behind would have them adopted again and collected with it.
func (e *Executor) MayAdopt(ctx context.Context, workload client.Object, kind metav1.TypeMeta) error {
	is := &metav1.PartialObjectMetadata{TypeMeta: kind}
	key := client.ObjectKeyFromObject(workload)
	if err := e.Live.Get(ctx, key, is); err != nil {
		return fmt.Errorf("before adopting anything, look at %s %s: %w", kind.Kind, key, err)
	}
	if is.UID != workload.GetUID() || is.DeletionTimestamp != nil {
		return fmt.Errorf("%s %s is being deleted or was replaced by another: it adopts nothing", kind.Kind, key)
	}
	return nil
}

// Release takes a pod out of its owner's hands, whose selector it no longer matches.
func (e *Executor) Release(ctx context.Context, owner types.NamespacedName, ownerUID types.UID, pod *corev1.Pod) error {
	log.FromContext(ctx).Info("Release", "pod", pod.Name, "why", "its labels no longer match the selector")
	body := fmt.Sprintf(`{"metadata":{"uid":%q,"ownerReferences":[{"$patch":"delete","uid":%q}]}}`, pod.UID, ownerUID)
	return e.patch(ctx, owner, pod, inplace.Patches{Pod: []byte(body)})
}

// PatchStatuses writes the statuses of pods beside a plan, side by side. Those behind one that fails are left for the next
// decision.
func (e *Executor) PatchStatuses(ctx context.Context, owner types.NamespacedName, patches []workload.PodPatch) error {
	_, err := slowstart.Run(ctx, len(patches), slowstart.Limits{First: parallel, Parallel: parallel}, func(ctx context.Context, i int) error {
		return e.patch(ctx, owner, patches[i].Pod, inplace.Patches{Status: patches[i].Body})
	})
	return err
}

// PatchClaim changes a claim. One that is gone is no error.
func (e *Executor) PatchClaim(ctx context.Context, owner types.NamespacedName, p podset.ClaimPatch) error {
	meta := metadataOf(KindClaim, p.Claim)
	if err := e.Client.Patch(ctx, meta, client.RawPatch(types.StrategicMergePatchType, p.Body)); err != nil {
		e.failed(owner, KindClaim, p.Claim, err)
		if client.IgnoreNotFound(err) == nil {
			return nil
		}
		return fmt.Errorf("patch claim %s/%s: %w", p.Claim.Namespace, p.Claim.Name, err)
	}
	e.Writes.Wrote(owner, KindClaim, meta)
	return nil
}

// expand lets the claims of a pod grow.
func (e *Executor) expand(ctx context.Context, job Job, step podset.Step) error {
	grower, ok := job.Workload.(podset.Grower)
	if !ok {
		return fmt.Errorf("%s pod %s: the claims of %T do not grow", step.Do, step.Pod.Name, job.Workload)
	}
	patches, err := grower.Growth(step)
	if err != nil {
		return err
	}
	for _, p := range patches {
		if err := e.PatchClaim(ctx, job.Owner, p); err != nil {
			return err
		}
	}
	return nil
}

// restore gives a pod back what it has lost.
func (e *Executor) restore(ctx context.Context, job Job, pod *corev1.Pod, step podset.Step) error {
	restorer, ok := job.Workload.(podset.Restorer)
	if !ok {
		return fmt.Errorf("%s pod %s: pods of %T lose nothing", step.Do, pod.Name, job.Workload)
	}
	body, claims, err := restorer.Restoration(step, pod)
	if err != nil {
		return err
	}
	for _, claim := range claims {
		if err := e.createOne(ctx, job.Owner, KindClaim, claim); err != nil {
			return err
		}
	}
	return e.patch(ctx, job.Owner, pod, inplace.Patches{Pod: body})
}
