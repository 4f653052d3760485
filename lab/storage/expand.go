package storage

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// expander makes volumes grow when their claims ask for more. It follows the order that Kubernetes describes for a resizer: the
// claim says that it is resizing, the volume's capacity rises, and last the claim's capacity follows; so that each step can
// be told from outside, and one that was interrupted is taken up again. (KEP-284, KEP-1790.)
type expander struct {
	client client.Client
	events events.EventRecorder
}

func (e *expander) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	claim := &corev1.PersistentVolumeClaim{}
	if err := e.client.Get(ctx, request.NamespacedName, claim); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	want := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	if claim.Status.Phase != corev1.ClaimBound || !claim.DeletionTimestamp.IsZero() || !less(claim.Status.Capacity, want) {
		return ctrl.Result{}, nil
	}
	if ours, err := e.mayGrow(ctx, claim); !ours || err != nil {
		return ctrl.Result{}, err
	}
	volume := &corev1.PersistentVolume{}
	if err := e.client.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume); err != nil {
		return ctrl.Result{}, fmt.Errorf("read volume %s of claim %s: %w", claim.Spec.VolumeName, request, err)
	}
	if volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID {
		return ctrl.Result{}, nil // another claim of that name has it
	}
	claim, err := e.begin(ctx, claim, want)
	if err != nil {
		return ctrl.Result{}, err
	}
	if less(volume.Spec.Capacity, want) {
		bigger := volume.DeepCopy()
		bigger.Spec.Capacity[corev1.ResourceStorage] = want
		if err := e.client.Patch(ctx, bigger, client.MergeFrom(volume)); err != nil {
			return ctrl.Result{}, fmt.Errorf("raise the capacity of volume %s to %s: %w", volume.Name, want.String(), err)
		}
	}
	return ctrl.Result{}, e.finish(ctx, claim, want)
}

func less(has corev1.ResourceList, want resource.Quantity) bool {
	capacity, known := has[corev1.ResourceStorage]
	return known && capacity.Cmp(want) < 0
}

// mayGrow tells whether the claim's class is one of this provisioner's and lets volumes grow.
func (e *expander) mayGrow(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	name := ptr.Deref(claim.Spec.StorageClassName, "")
	if name == "" {
		return false, nil
	}
	class := &storagev1.StorageClass{}
	if err := e.client.Get(ctx, client.ObjectKey{Name: name}, class); err != nil {
		if client.IgnoreNotFound(err) == nil {
			return false, nil
		}
		return false, fmt.Errorf("read storage class %s of claim %s: %w", name, client.ObjectKeyFromObject(claim), err)
	}
	return class.Provisioner == Provisioner && ptr.Deref(class.AllowVolumeExpansion, false), nil
}

// begin says on the claim that its volume is being resized.
func (e *expander) begin(ctx context.Context, claim *corev1.PersistentVolumeClaim, want resource.Quantity) (*corev1.PersistentVolumeClaim, error) {
	next := claim.DeepCopy()
	next.Status.Conditions = append(without(next.Status.Conditions, corev1.PersistentVolumeClaimResizing),
		corev1.PersistentVolumeClaimCondition{
			Type:               corev1.PersistentVolumeClaimResizing,
			Status:             corev1.ConditionTrue,
			LastTransitionTime: metav1.Now(),
		})
	if next.Status.AllocatedResources == nil {
		next.Status.AllocatedResources = corev1.ResourceList{}
	}
	next.Status.AllocatedResources[corev1.ResourceStorage] = want
	if next.Status.AllocatedResourceStatuses == nil {
		next.Status.AllocatedResourceStatuses = map[corev1.ResourceName]corev1.ClaimResourceStatus{}
	}
	next.Status.AllocatedResourceStatuses[corev1.ResourceStorage] = corev1.PersistentVolumeClaimControllerResizeInProgress
	return next, e.write(ctx, claim, next)
}

// finish says on the claim that it has what it asked for.
func (e *expander) finish(ctx context.Context, claim *corev1.PersistentVolumeClaim, want resource.Quantity) error {
	next := claim.DeepCopy()
	next.Status.Conditions = without(next.Status.Conditions, corev1.PersistentVolumeClaimResizing)
	next.Status.Capacity[corev1.ResourceStorage] = want
	delete(next.Status.AllocatedResourceStatuses, corev1.ResourceStorage)
	if err := e.write(ctx, claim, next); err != nil {
		return err
	}
	e.events.Eventf(next, nil, corev1.EventTypeNormal, "VolumeResizeSuccessful", "Resize", "the volume now holds %s", want.String())
	return nil
}

// write patches the claim's status, unless somebody else has changed the claim meanwhile: its conditions are one list.
func (e *expander) write(ctx context.Context, before, after *corev1.PersistentVolumeClaim) error {
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := e.client.Status().Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("write the status of claim %s: %w", client.ObjectKeyFromObject(before), err)
	}
	return nil
}

func without(conditions []corev1.PersistentVolumeClaimCondition, kind corev1.PersistentVolumeClaimConditionType) []corev1.PersistentVolumeClaimCondition {
	var rest []corev1.PersistentVolumeClaimCondition
	for _, condition := range conditions {
		if condition.Type != kind {
			rest = append(rest, condition)
		}
	}
	return rest
}
