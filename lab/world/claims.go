package world

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var claimResource = schema.GroupResource{Resource: "persistentvolumeclaims"}

// Claim returns the claim of a name, nil if there is none.
func (w *World) Claim(name string) *corev1.PersistentVolumeClaim {
	for _, claim := range w.Claims {
		if claim.Name == name {
			return claim
		}
	}
	return nil
}

// CreateClaim creates a claim. Its volume is there at once.
func (w *World) CreateClaim(claim *corev1.PersistentVolumeClaim) error {
	if w.Claim(claim.Name) != nil {
		return apierrors.NewAlreadyExists(claimResource, claim.Name)
	}
	w.serial++
	claim = claim.DeepCopy()
	claim.UID = types.UID(fmt.Sprintf("uid-%d", w.serial))
	claim.CreationTimestamp = metav1.NewTime(w.Now)
	claim.Status.Phase = corev1.ClaimBound
	w.Claims = append(w.Claims, claim)
	return nil
}

// DeleteClaim deletes a claim. It stays until no pod mounts it.
func (w *World) DeleteClaim(name string, uid types.UID) error {
	i := slices.IndexFunc(w.Claims, func(c *corev1.PersistentVolumeClaim) bool { return c.Name == name })
	if i < 0 {
		return apierrors.NewNotFound(claimResource, name)
	}
	if w.Claims[i].UID != uid {
		return apierrors.NewConflict(claimResource, name, fmt.Errorf("the UID is another"))
	}
	claim := w.Claims[i].DeepCopy()
	if claim.DeletionTimestamp == nil {
		claim.DeletionTimestamp = &metav1.Time{Time: w.Now}
	}
	w.Claims = slices.Clone(w.Claims)
	w.Claims[i] = claim
	return nil
}

// releaseClaims ends claims that are deleted and that no pod mounts.
func (w *World) releaseClaims() {
	w.Claims = slices.DeleteFunc(slices.Clone(w.Claims), func(claim *corev1.PersistentVolumeClaim) bool {
		return claim.DeletionTimestamp != nil && !w.Mounted(claim.Name)
	})
}

// Mounted says whether a pod has the volume of a claim.
func (w *World) Mounted(claim string) bool {
	return slices.ContainsFunc(w.Pods, func(pod *corev1.Pod) bool { return mounts(pod, claim) })
}

func mounts(pod *corev1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}
