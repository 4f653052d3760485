package sidecar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Record is what a pod says of the SidecarSets that were injected into it. All maps are by the name of the set but Working,
// which is by the name of the sidecar.
type Record struct {
	// Hash holds the hashes with images, WithoutImage those without.
	Hash, WithoutImage map[string]v1beta1.SidecarSetUpgradeSpec
	// Working is the twin that works, for each sidecar that is upgraded hot.
	Working map[string]string
	// Updates are the latest upgrades in place.
	Updates map[string]v1beta1.InPlaceUpdateState
}

// Injected says whether a SidecarSet was injected into a pod, from its annotation alone.
func Injected(pod *corev1.Pod, set string) bool {
	return slices.Contains(InjectedSets(pod), set)
}

// InjectedSets lists the SidecarSets that were injected into a pod, from its annotation alone.
func InjectedSets(pod *corev1.Pod) []string {
	if list := pod.Annotations[v1beta1.SidecarSetInjectedListKey]; list != "" {
		return strings.Split(list, ",")
	}
	return nil
}

// Read reads the record of a pod. A pod without one has an empty record; one that cannot be read is an error that names the
// pod and the annotation.
func Read(pod *corev1.Pod) (*Record, error) {
	r := &Record{}
	for key, into := range map[string]any{
		v1beta1.SidecarSetHashKey: &r.Hash, v1beta1.SidecarSetHashWithoutImageKey: &r.WithoutImage,
		v1beta1.SidecarSetWorkingHotUpgradeContainerKey: &r.Working, v1beta1.SidecarSetInPlaceUpdateStateKey: &r.Updates,
	} {
		text := pod.Annotations[key]
		if text == "" {
			continue
		}
		if err := json.Unmarshal([]byte(text), into); err != nil {
			return nil, fmt.Errorf("pod %s/%s: read annotation %s: %w", pod.Namespace, pod.Name, key, err)
		}
	}
	return r, nil
}

// Annotations are the annotations that hold the record. What the record says nothing of is not among them.
func (r *Record) Annotations() (map[string]string, error) {
	out := map[string]string{}
	if len(r.Hash) > 0 {
		out[v1beta1.SidecarSetInjectedListKey] = strings.Join(slices.Sorted(maps.Keys(r.Hash)), ",")
	}
	for key, value := range map[string]any{
		v1beta1.SidecarSetHashKey: r.Hash, v1beta1.SidecarSetHashWithoutImageKey: r.WithoutImage,
		v1beta1.SidecarSetWorkingHotUpgradeContainerKey: r.Working, v1beta1.SidecarSetInPlaceUpdateStateKey: r.Updates,
	} {
		text, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("encode annotation %s: %w", key, err)
		}
		if s := string(text); s != "null" && s != "{}" {
			out[key] = s
		}
	}
	return out, nil
}

// Twins are the names of the two containers that a sidecar with HotUpgrade has in a pod. The first one works in a new pod, and
// the second one is idle.
func Twins(sidecar string) (working, idle string) { return sidecar + "-1", sidecar + "-2" }

// IsHot says whether a sidecar is upgraded by a twin.
func IsHot(c *v1beta1.SidecarContainer) bool {
	return c.UpgradeStrategy.UpgradeType == v1beta1.SidecarContainerHotUpgrade
}

// NamesInPod are the names that a sidecar's containers have in a pod: its own, or those of its twins.
func NamesInPod(c *v1beta1.SidecarContainer) []string {
	if !IsHot(c) {
		return []string{c.Name}
	}
	working, idle := Twins(c.Name)
	return []string{working, idle}
}

// WorkingName is the name of a sidecar's container that works in a pod.
func (r *Record) WorkingName(c *v1beta1.SidecarContainer) string {
	if !IsHot(c) {
		return c.Name
	}
	working, _ := Twins(c.Name)
	if name, ok := r.Working[c.Name]; ok {
		return name
	}
	return working
}

// LongRunning are the sidecars of a set that run as long as the pod does: its containers and native sidecars. Their names are
// the sidecarList of a record.
func LongRunning(set *v1beta1.SidecarSet) []*v1beta1.SidecarContainer {
	var out []*v1beta1.SidecarContainer
	for i := range set.Spec.Containers {
		out = append(out, &set.Spec.Containers[i])
	}
	for i := range set.Spec.InitContainers {
		if c := &set.Spec.InitContainers[i]; IsNative(c) {
			out = append(out, c)
		}
	}
	return out
}
