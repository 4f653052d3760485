package workload

import (
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/storage"
)

// ClaimsOf lists the claims that are deleted with a pod: none. Those that are to go have an owner to go with.
func (s *StatefulSet) ClaimsOf(podset.Step) []*corev1.PersistentVolumeClaim { return nil }

// claimName is the name of the claim that a template makes for an ordinal.
func (s *StatefulSet) claimName(template *corev1.PersistentVolumeClaim, ordinal string) string {
	return template.Name + "-" + s.podName(ordinal)
}

func (s *StatefulSet) claimNamed(name string) *corev1.PersistentVolumeClaim {
	if s.claim == nil {
		return nil
	}
	return s.claim(name)
}

// eachClaim goes through the claim templates and the claims of an ordinal, nil where there is none yet.
func (s *StatefulSet) eachClaim(ordinal string, look func(template, claim *corev1.PersistentVolumeClaim)) {
	for i := range s.Set.Spec.VolumeClaimTemplates {
		template := &s.Set.Spec.VolumeClaimTemplates[i]
		look(template, s.claimNamed(s.claimName(template, ordinal)))
	}
}

// mountClaims gives a new pod the volumes of its ordinal, and makes the claims that there are not yet.
func (s *StatefulSet) mountClaims(pod *corev1.Pod, ordinal string) (missing []*corev1.PersistentVolumeClaim) {
	s.eachClaim(ordinal, func(template, exists *corev1.PersistentVolumeClaim) {
		Mount(&pod.Spec, template.Name, s.claimName(template, ordinal))
		if exists == nil {
			missing = append(missing, s.newClaim(template, ordinal))
		}
	})
	return missing
}

// newClaim makes the claim of an ordinal.
func (s *StatefulSet) newClaim(template *corev1.PersistentVolumeClaim, ordinal string) *corev1.PersistentVolumeClaim {
	var owners []metav1.OwnerReference
	if owner := s.ownerOf(nil, false); owner != nil {
		owners = append(owners, *owner)
	}
	claim := claimOf(template, s.claimName(template, ordinal), s.Set.Spec.Selector.MatchLabels, owners...)
	claim.Namespace = s.Set.Namespace
	return claim
}

// lostClaims makes the claims that a pod mounts and that were deleted before it began to run: it would wait for them for ever.
func (s *StatefulSet) lostClaims(pod *corev1.Pod, ordinal string) (lost []*corev1.PersistentVolumeClaim) {
	if s.claim == nil || pod.Status.Phase != corev1.PodPending {
		return nil
	}
	s.eachClaim(ordinal, func(template, exists *corev1.PersistentVolumeClaim) {
		if exists == nil && mounts(pod, s.claimName(template, ordinal)) {
			lost = append(lost, s.newClaim(template, ordinal))
		}
	})
	return lost
}

// retention is the policy that decides what becomes of claims; nil keeps them.
func (s *StatefulSet) retention() *v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy {
	if !s.AutoDeleteClaims {
		return nil
	}
	return s.Set.Spec.PersistentVolumeClaimRetentionPolicy
}

// ownerOf is the owner with which the claims of a pod go; nil for none.
func (s *StatefulSet) ownerOf(pod *corev1.Pod, condemned bool) *metav1.OwnerReference {
	switch storage.OwnerOf(s.retention(), condemned) {
	case storage.TheSet:
		return &metav1.OwnerReference{
			APIVersion: statefulSetKind.GroupVersion().String(), Kind: statefulSetKind.Kind, Name: s.Set.Name, UID: s.Set.UID,
		}
	case storage.ThePod:
		return &metav1.OwnerReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}
	default:
		return nil
	}
}

// Retention makes the patches by which every claim has the owner with which it is to go, as
// spec.persistentVolumeClaimRetentionPolicy says. They come before the steps of a plan: a pod that is scaled in takes the
// claims along that it owns when it goes.
func (s *StatefulSet) Retention(sequence *podset.Sequence) (patches []podset.ClaimPatch, err error) {
	if s.retention() == nil {
		return nil, nil
	}
	for _, pod := range s.Pods {
		ordinal := s.ordinalOf(pod.Name)
		wanted := s.ownerOf(pod, !sequence.Wants(ordinal))
		ours := func(ref metav1.OwnerReference) bool {
			return ref.UID == s.Set.UID || ref.Kind == "Pod" && ref.Name == pod.Name
		}
		s.eachClaim(ordinal, func(_, claim *corev1.PersistentVolumeClaim) {
			if claim == nil || claim.DeletionTimestamp != nil || err != nil {
				return
			}
			var body []byte
			if body, err = storage.OwnerPatch(claim, wanted, ours); body != nil {
				patches = append(patches, podset.ClaimPatch{Slot: ordinal, Claim: claim, Body: body})
			}
		})
	}
	return patches, err
}

// staleClaim says which claim of an ordinal has to be gone before a pod is created; empty, when none has.
func (s *StatefulSet) staleClaim(ordinal string) (why string) {
	s.eachClaim(ordinal, func(_, claim *corev1.PersistentVolumeClaim) {
		if claim != nil && why == "" {
			why = storage.Stale(claim, s.gone)
		}
	})
	return why
}

// gone says whether an owner of a claim is a pod, or a set of the same name, that is there no more. The collector need not have
// seen that yet.
func (s *StatefulSet) gone(ref metav1.OwnerReference) bool {
	switch {
	case ref.Kind == "Pod" && ref.APIVersion == "v1":
		return !slices.ContainsFunc(s.Pods, func(pod *corev1.Pod) bool { return pod.UID == ref.UID })
	case ref.Kind == statefulSetKind.Kind && ref.Name == s.Set.Name:
		return ref.UID != s.Set.UID && strings.HasPrefix(ref.APIVersion, statefulSetKind.Group+"/")
	default:
		return false
	}
}

// growsClaims says whether claims grow with their templates.
func (s *StatefulSet) growsClaims() bool {
	return s.ResizeClaims && s.Set.Spec.VolumeClaimUpdateStrategy.Type == v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType &&
		s.Set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType && len(s.Set.Spec.VolumeClaimTemplates) > 0
}

// claimsState tells how that claim of an ordinal stands to its template that is farthest behind.
func (s *StatefulSet) claimsState(ordinal int) (worst storage.State) {
	s.eachClaim(strconv.Itoa(ordinal), func(template, claim *corev1.PersistentVolumeClaim) {
		if claim == nil {
			return
		}
		if state := storage.StateOf(claim, template); state.Stage > worst.Stage {
			worst = state
		}
	})
	return worst
}

// Growth makes the patches by which the claims of a pod ask for the size of their templates.
func (s *StatefulSet) Growth(step podset.Step) (patches []podset.ClaimPatch, err error) {
	s.eachClaim(step.Pod.Slot, func(template, claim *corev1.PersistentVolumeClaim) {
		if claim == nil || err != nil || storage.StateOf(claim, template).Stage != storage.Small {
			return
		}
		var body []byte
		body, err = storage.Expansion(claim, template, s.Set.Name)
		patches = append(patches, podset.ClaimPatch{Slot: step.Pod.Slot, Claim: claim, Body: body})
	})
	return patches, err
}

// VolumeClaims counts for each claim template the claims of wanted pods that are as the template says.
func (s *StatefulSet) VolumeClaims(sequence *podset.Sequence) []v1beta1.VolumeClaimStatus {
	var out []v1beta1.VolumeClaimStatus
	for i := range s.Set.Spec.VolumeClaimTemplates {
		template := &s.Set.Spec.VolumeClaimTemplates[i]
		status := v1beta1.VolumeClaimStatus{VolumeClaimName: template.Name}
		for _, ordinal := range sequence.Ordinals {
			claim := s.claimNamed(s.claimName(template, strconv.Itoa(ordinal)))
			if claim == nil || !storage.Compatible(claim, template) {
				continue
			}
			status.CompatibleReplicas++
			if storage.Ready(claim, template) {
				status.CompatibleReadyReplicas++
			}
		}
		out = append(out, status)
	}
	return out
}
