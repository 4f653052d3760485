package sidecar

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// Upgrades is how far the latest upgrades of the sidecars in a pod are, whichever sets they are of.
type Upgrades struct {
	// UnderWay says that a container has yet to be started anew, or that the old twin of a hot upgrade has yet to become idle.
	UnderWay bool
	// Began is when the latest of them began, to the second; zero for a pod that has the sidecars that it was created with.
	Began time.Time
}

// UpgradesOf reads them off a pod alone. A record that cannot be read counts as none, and so does what a record says of a
// container that the pod does not have: nothing could come of either.
func UpgradesOf(pod *corev1.Pod) (u Upgrades) {
	text := pod.Annotations[v1beta1.SidecarSetInPlaceUpdateStateKey]
	if text == "" { // nearly always
		return u
	}
	var records map[string]v1beta1.InPlaceUpdateState
	if err := json.Unmarshal([]byte(text), &records); err != nil {
		return u
	}
	for _, state := range records {
		if began := state.UpdateTimestamp.Time; began.After(u.Began) {
			u.Began = began
		}
		for name := range state.LastContainerStatuses {
			u.UnderWay = u.UnderWay || inplace.ContainerOf(pod, name) != nil && inplace.Awaits(pod, &state, name)
		}
	}
	u.UnderWay = u.UnderWay || bothTwinsWork(pod)
	return u
}

// bothTwinsWork says whether a hot upgrade is under way: neither of the twins of a sidecar is idle.
func bothTwinsWork(pod *corev1.Pod) bool {
	var working map[string]string
	text := pod.Annotations[v1beta1.SidecarSetWorkingHotUpgradeContainerKey]
	if text == "" || json.Unmarshal([]byte(text), &working) != nil {
		return false
	}
	for name := range working {
		one, other := Twins(name)
		if inplace.ContainerOf(pod, one) != nil && inplace.ContainerOf(pod, other) != nil && versionOf(pod, one) > 0 && versionOf(pod, other) > 0 {
			return true
		}
	}
	return false
}
