package world

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"kruise.io/kruise/plan/podset"
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
	if size, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]; ok {
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: size}
	}
	w.Claims = append(w.Claims, claim)
	return nil
}

// DeleteClaim deletes a claim. It stays until no pod that has a node mounts it.
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

// PatchClaim changes a claim. It refuses what the API refuses: a change of more than the size, and a smaller size.
func (w *World) PatchClaim(patch podset.ClaimPatch) error {
	name := patch.Claim.Name
	claim := w.Claim(name)
	if claim == nil {
		return apierrors.NewNotFound(claimResource, name)
	}
	before, err := json.Marshal(claim)
	if err != nil {
		return fmt.Errorf("patch claim %s: %w", name, err)
	}
	merged, err := strategicpatch.StrategicMergePatch(before, patch.Body, corev1.PersistentVolumeClaim{})
	if err != nil {
		return fmt.Errorf("patch claim %s: %w", name, err)
	}
	after := &corev1.PersistentVolumeClaim{}
	if err := json.Unmarshal(merged, after); err != nil {
		return fmt.Errorf("patch claim %s: %w", name, err)
	}
	if after.UID != claim.UID {
		return apierrors.NewConflict(claimResource, name, fmt.Errorf("the UID is another"))
	}
	was, is := sizeOf(claim), sizeOf(after)
	spec := *after.Spec.DeepCopy()
	spec.Resources = claim.Spec.Resources
	if !equality.Semantic.DeepEqual(spec, claim.Spec) || is.Cmp(was) < 0 {
		return apierrors.NewBadRequest(fmt.Sprintf("claim %s: it can grow, and nothing else of it may change", name))
	}
	w.replaceClaim(after)
	return nil
}

func sizeOf(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	return claim.Spec.Resources.Requests[corev1.ResourceStorage]
}

func (w *World) replaceClaim(claim *corev1.PersistentVolumeClaim) {
	w.Claims = slices.Clone(w.Claims)
	for i := range w.Claims {
		if w.Claims[i].UID == claim.UID {
			w.Claims[i] = claim
		}
	}
}

// How volumes grow.
const (
	// GrowsNever leaves a volume as it is.
	GrowsNever = "Never"
	// GrowsAtRestart lets a volume grow, and its file system when another pod mounts it.
	GrowsAtRestart = "AtRestart"
)

// growClaims lets volumes grow to the size of their claims.
func (w *World) growClaims() {
	for _, claim := range w.Claims {
		size := sizeOf(claim)
		if has := claim.Status.Capacity[corev1.ResourceStorage]; size.Cmp(has) <= 0 || w.Growth == GrowsNever {
			continue
		}
		user, waits := w.fileSystems[claim.UID]
		if w.Growth == GrowsAtRestart && (!waits || user == w.userOf(claim.Name)) {
			if !waits {
				w.fileSystems[claim.UID] = w.userOf(claim.Name)
			}
			if len(claim.Status.Conditions) == 0 {
				claim = claim.DeepCopy()
				claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{
					{Type: corev1.PersistentVolumeClaimFileSystemResizePending, Status: corev1.ConditionTrue},
				}
				w.replaceClaim(claim)
			}
			continue
		}
		claim = claim.DeepCopy()
		claim.Status.Capacity[corev1.ResourceStorage], claim.Status.Conditions = size, nil
		delete(w.fileSystems, claim.UID)
		w.replaceClaim(claim)
	}
}

// userOf is the pod that mounts a claim.
func (w *World) userOf(claim string) types.UID {
	for _, pod := range w.Pods {
		if mounts(pod, claim) {
			return pod.UID
		}
	}
	return ""
}

// collectClaims deletes claims that are owned by a pod that is gone, as the garbage collector does.
func (w *World) collectClaims() {
	for _, claim := range w.Claims {
		for _, ref := range claim.OwnerReferences {
			gone := !slices.ContainsFunc(w.Pods, func(pod *corev1.Pod) bool { return pod.UID == ref.UID })
			if ref.Kind == "Pod" && gone && len(claim.OwnerReferences) == 1 {
				_ = w.DeleteClaim(claim.Name, claim.UID) // it is there
			}
		}
	}
}

// releaseClaims ends claims that are deleted and that no pod on a node mounts.
func (w *World) releaseClaims() {
	w.Claims = slices.DeleteFunc(slices.Clone(w.Claims), func(claim *corev1.PersistentVolumeClaim) bool {
		return claim.DeletionTimestamp != nil && !w.Mounted(claim.Name)
	})
}

// Mounted says whether a pod that has a node has the volume of a claim.
func (w *World) Mounted(claim string) bool {
	return slices.ContainsFunc(w.Pods, func(pod *corev1.Pod) bool { return pod.Spec.NodeName != "" && mounts(pod, claim) })
}

func mounts(pod *corev1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}
