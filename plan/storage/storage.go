// Package storage decides about the claims of pods that keep them: how a claim stands to the template that it was made
// from, how it grows, and with whom it goes.
//
// It promises that no claim shrinks, that no claim is changed in more than its size, and that a claim which is to be kept
// has no owner of ours with which it would be collected.
package storage

import (
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Stage says how far a claim is on its way to the size of its template.
type Stage uint8

// The stages, the best first.
const (
	// Fits is a claim that has at least the size of its template.
	Fits Stage = iota
	// AtRestart is a claim whose volume has grown; its file system grows when a pod mounts it anew, or soon.
	AtRestart
	// Growing is a claim that asks for the size of its template and does not have it yet.
	Growing
	// Small is a claim that asks for less than its template does.
	Small
)

// State is how a claim, or the claim of a pod that is farthest behind, stands to its template.
type State struct {
	Stage
	// Claim is the name of the claim.
	Claim string
	// Why says in a few words what is between the claim and its template.
	Why string
}

// StateOf compares a claim with its template.
func StateOf(claim, template *corev1.PersistentVolumeClaim) State {
	wanted, asks, has := sizeOf(template), sizeOf(claim), claim.Status.Capacity[corev1.ResourceStorage]
	s := State{Claim: claim.Name}
	switch {
	case asks.Cmp(wanted) < 0:
		s.Stage, s.Why = Small, fmt.Sprintf("asks for %s, and its template for %s", asks.String(), wanted.String())
	case claim.Status.Phase != corev1.ClaimBound || has.Cmp(wanted) >= 0:
		// A claim without a volume gets one of the size that it asks for.
	case conditionOf(claim, corev1.PersistentVolumeClaimFileSystemResizePending) != nil:
		s.Stage, s.Why = AtRestart, "grows to its end when it is mounted anew"
	default:
		s.Stage, s.Why = Growing, fmt.Sprintf("has %s of %s", has.String(), wanted.String())
		if trouble := troubleOf(claim); trouble != "" {
			s.Why = trouble
		}
	}
	return s
}

// Compatible says whether a claim asks for at least what its template does, and is otherwise as the template says. What
// the template leaves open makes no difference.
func Compatible(claim, template *corev1.PersistentVolumeClaim) bool {
	asks, wanted := sizeOf(claim), sizeOf(template)
	is, want := claim.Spec, template.Spec
	return asks.Cmp(wanted) >= 0 &&
		(want.StorageClassName == nil || equality.Semantic.DeepEqual(is.StorageClassName, want.StorageClassName)) &&
		(want.VolumeAttributesClassName == nil || equality.Semantic.DeepEqual(is.VolumeAttributesClassName, want.VolumeAttributesClassName)) &&
		(len(want.AccessModes) == 0 || equality.Semantic.DeepEqual(is.AccessModes, want.AccessModes)) &&
		(want.Selector == nil || equality.Semantic.DeepEqual(is.Selector, want.Selector)) &&
		modeOf(&is) == modeOf(&want)
}

// Matches says whether a claim is what its template would make now: compatible, with at least the template's labels and
// annotations, and filled from the same source.
func Matches(claim, template *corev1.PersistentVolumeClaim) bool {
	is, want := &claim.Spec, &template.Spec
	return Compatible(claim, template) && holds(claim.Labels, template.Labels) && holds(claim.Annotations, template.Annotations) &&
		(want.DataSource == nil || equality.Semantic.DeepEqual(is.DataSource, want.DataSource)) &&
		(want.DataSourceRef == nil || equality.Semantic.DeepEqual(is.DataSourceRef, want.DataSourceRef))
}

func holds(all, some map[string]string) bool {
	for key, value := range some {
		if got, ok := all[key]; !ok || got != value {
			return false
		}
	}
	return true
}

// Ready says whether a claim has as much as its template asks for.
func Ready(claim, template *corev1.PersistentVolumeClaim) bool {
	has := claim.Status.Capacity[corev1.ResourceStorage]
	return has.Cmp(sizeOf(template)) >= 0
}

// Expansion is the strategic merge patch by which a claim asks for the size of its template. It names the set that asks.
func Expansion(claim, template *corev1.PersistentVolumeClaim, set string) ([]byte, error) {
	size := sizeOf(template)
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": claim.UID, "annotations": map[string]any{v1beta1.ClaimOwnedByStatefulSetKey: set}},
		"spec":     map[string]any{"resources": map[string]any{"requests": map[string]any{"storage": size.String()}}},
	})
	if err != nil {
		return nil, fmt.Errorf("claim %s/%s: %w", claim.Namespace, claim.Name, err)
	}
	return body, nil
}

func sizeOf(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	return claim.Spec.Resources.Requests[corev1.ResourceStorage]
}

func modeOf(spec *corev1.PersistentVolumeClaimSpec) corev1.PersistentVolumeMode {
	if spec.VolumeMode == nil {
		return corev1.PersistentVolumeFilesystem
	}
	return *spec.VolumeMode
}

func conditionOf(claim *corev1.PersistentVolumeClaim, kind corev1.PersistentVolumeClaimConditionType) *corev1.PersistentVolumeClaimCondition {
	for i := range claim.Status.Conditions {
		if c := &claim.Status.Conditions[i]; c.Type == kind && c.Status == corev1.ConditionTrue {
			return c
		}
	}
	return nil
}

// troubleOf says in a few words what keeps a claim from growing, if it says so.
func troubleOf(claim *corev1.PersistentVolumeClaim) string {
	switch status := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage]; status {
	case corev1.PersistentVolumeClaimControllerResizeInfeasible, corev1.PersistentVolumeClaimNodeResizeInfeasible:
		return string(status)
	}
	for _, kind := range []corev1.PersistentVolumeClaimConditionType{
		corev1.PersistentVolumeClaimControllerResizeError, corev1.PersistentVolumeClaimNodeResizeError,
	} {
		if conditionOf(claim, kind) != nil {
			return string(kind)
		}
	}
	return ""
}
