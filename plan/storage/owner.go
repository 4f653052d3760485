package storage

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Owner says with whom a claim goes. As with native StatefulSets
// (https://kubernetes.io/docs/concepts/workloads/controllers/statefulset/#persistentvolumeclaim-retention) owner references
// carry it, and the garbage collector deletes.
type Owner uint8

// The owners.
const (
	// Nobody keeps the claim for good.
	Nobody Owner = iota
	// TheSet lets the claim go with its StatefulSet.
	TheSet
	// ThePod lets the claim go with its pod.
	ThePod
)

// OwnerOf decides with whom a claim goes. condemned is true of the claim of a pod that is scaled in. A nil policy keeps all.
func OwnerOf(policy *v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy, condemned bool) Owner {
	switch {
	case policy == nil:
		return Nobody
	case condemned && policy.WhenScaled == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return ThePod
	case policy.WhenDeleted == appsv1.DeletePersistentVolumeClaimRetentionPolicyType:
		return TheSet
	default:
		return Nobody
	}
}

// OwnerPatch is the strategic merge patch that makes wanted (nil: nobody) the only owner of a claim among those that are ours:
// other references stay. It is nil when the claim is as it should be, or when another controller has it.
func OwnerPatch(claim *corev1.PersistentVolumeClaim, wanted *metav1.OwnerReference, ours func(metav1.OwnerReference) bool) ([]byte, error) {
	var owners []any
	missing := wanted != nil
	for _, ref := range claim.OwnerReferences {
		switch {
		case wanted != nil && ref.UID == wanted.UID:
			missing = false
		case ours(ref):
			owners = append(owners, map[string]any{"$patch": "delete", "uid": ref.UID})
		case ref.Controller != nil && *ref.Controller:
			return nil, nil
		}
	}
	if missing {
		owners = append(owners, wanted)
	}
	if len(owners) == 0 {
		return nil, nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": claim.UID, "ownerReferences": owners}})
	if err != nil {
		return nil, fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return body, nil
}

// Stale says why no pod may use a claim: it is being deleted, or goes with an owner that is gone. Empty: one may.
func Stale(claim *corev1.PersistentVolumeClaim, gone func(metav1.OwnerReference) bool) string {
	if claim.DeletionTimestamp != nil {
		return fmt.Sprintf("claim %s is being deleted", claim.Name)
	}
	for _, ref := range claim.OwnerReferences {
		if gone(ref) {
			return fmt.Sprintf("claim %s goes with %s %s, which is gone", claim.Name, ref.Kind, ref.Name)
		}
	}
	return ""
}
