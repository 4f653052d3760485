package workload

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// identity are the labels by which the pod of an ordinal is found.
func (s *StatefulSet) identity(ordinal string) map[string]string {
	labels := map[string]string{appsv1.StatefulSetPodNameLabel: s.podName(ordinal)}
	if s.PodIndexLabel {
		labels[appsv1.PodIndexLabel] = ordinal
	}
	return labels
}

// lost says what a pod has lost of what its ordinal gave it. A pod without an index is left as it is: pods of releases that
// did not know that label have none.
func (s *StatefulSet) lost(pod *corev1.Pod, ordinal string) replica.Loss {
	index, indexed := pod.Labels[appsv1.PodIndexLabel]
	switch {
	case pod.Labels[appsv1.StatefulSetPodNameLabel] != pod.Name:
		return replica.LostName
	case s.PodIndexLabel && indexed && index != ordinal:
		return replica.LostIndex
	case len(s.lostClaims(pod, ordinal)) > 0:
		return replica.LostClaim
	default:
		return replica.LostNothing
	}
}

// Restoration gives a pod its labels back, and makes the claims that it waits for.
func (s *StatefulSet) Restoration(step podset.Step, pod *corev1.Pod) ([]byte, []*corev1.PersistentVolumeClaim, error) {
	claims := s.lostClaims(pod, step.Pod.Slot)
	wrong := map[string]string{}
	for key, value := range s.identity(step.Pod.Slot) {
		if pod.Labels[key] != value {
			wrong[key] = value
		}
	}
	if len(wrong) == 0 {
		return nil, claims, nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID, "labels": wrong}})
	if err != nil {
		return nil, nil, fmt.Errorf("patch labels of pod %s: %w", pod.Name, err)
	}
	return body, claims, nil
}
