package workload

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// claimOf makes the claim of a slot from its template.
func claimOf(template *corev1.PersistentVolumeClaim, name string, labels map[string]string, owners ...metav1.OwnerReference) *corev1.PersistentVolumeClaim {
	claim := template.DeepCopy()
	claim.Name = name
	claim.Labels = maps.Clone(claim.Labels)
	if claim.Labels == nil {
		claim.Labels = map[string]string{}
	}
	maps.Copy(claim.Labels, labels)
	claim.OwnerReferences = owners
	return claim
}

// Mount gives a pod the volume of a claim, in place of one of the same name that the template may have.
func Mount(pod *corev1.PodSpec, volume, claim string) {
	v := corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{
		PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: claim},
	}}
	for i := range pod.Volumes {
		if pod.Volumes[i].Name == volume {
			pod.Volumes[i] = v
			return
		}
	}
	pod.Volumes = append(pod.Volumes, v)
}

// mounts says whether a pod has a volume of a claim.
func mounts(pod *corev1.Pod, claim string) bool {
	return slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
		return v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim
	})
}

// claimsHashPrefix tells hashes of this form from those of other managers.
const claimsHashPrefix = "sha256-"

// hashClaims is a hash of claim templates. Defaults that other managers write out make no difference.
func hashClaims(templates []corev1.PersistentVolumeClaim) (string, error) {
	plain := make([]corev1.PersistentVolumeClaim, len(templates))
	for i := range templates {
		templates[i].DeepCopyInto(&plain[i])
		plain[i].TypeMeta, plain[i].Status = metav1.TypeMeta{}, corev1.PersistentVolumeClaimStatus{}
		if mode := plain[i].Spec.VolumeMode; mode != nil && *mode == corev1.PersistentVolumeFilesystem {
			plain[i].Spec.VolumeMode = nil
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return "", fmt.Errorf("encode spec.volumeClaimTemplates: %w", err)
	}
	return fmt.Sprintf("%s%x", claimsHashPrefix, sha256.Sum256(text))[:len(claimsHashPrefix)+16], nil
}

func terminating(claims []*corev1.PersistentVolumeClaim) bool {
	return slices.ContainsFunc(claims, func(c *corev1.PersistentVolumeClaim) bool { return c.DeletionTimestamp != nil })
}
