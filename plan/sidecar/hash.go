package sidecar

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Hashes tell revisions of a SidecarSet apart: pods whose record has the hash All run what the set says, and those whose
// record has WithoutImage can be upgraded to it in place.
type Hashes struct{ All, WithoutImage string }

// HashesOf computes the hashes of what a set injects: SHA-256 of the JSON of its containers and, if one of them is a native
// sidecar, of its init containers. A default that is written out makes no other hash than one that is not. What is
// injected and is no container (volumes, pull secrets, annotations) is in neither: it reaches new pods only.
func HashesOf(set *v1beta1.SidecarSet) (Hashes, error) {
	containers, inits := withDefaults(set.Spec.Containers, v1beta1.BeforeAppContainerType), withDefaults(set.Spec.InitContainers, v1beta1.AfterAppContainerType)
	if !slices.ContainsFunc(inits, func(c v1beta1.SidecarContainer) bool { return IsNative(&c) }) {
		inits = nil
	}
	all, err := hashOf(containers, inits)
	if err != nil {
		return Hashes{}, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	for _, list := range [][]v1beta1.SidecarContainer{containers, inits} {
		for i := range list {
			list[i].Image = ""
		}
	}
	rest, err := hashOf(containers, inits)
	if err != nil {
		return Hashes{}, fmt.Errorf("SidecarSet %s: %w", set.Name, err)
	}
	return Hashes{All: all, WithoutImage: rest}, nil
}

// Current returns the hashes that stand on a set, and computes those that do not. Those of a set that another manager wrote
// stand there, too, and so its pods are known to be up to date.
func Current(set *v1beta1.SidecarSet) (Hashes, error) {
	h := Hashes{All: set.Annotations[v1beta1.SidecarSetHashKey], WithoutImage: set.Annotations[v1beta1.SidecarSetHashWithoutImageKey]}
	if h.All != "" && h.WithoutImage != "" {
		return h, nil
	}
	computed, err := HashesOf(set)
	if h.All == "" {
		h.All = computed.All
	}
	if h.WithoutImage == "" {
		h.WithoutImage = computed.WithoutImage
	}
	return h, err
}

// Stamp writes the hashes on a set that is created (old is nil) or changed. A hash stays as it is while what it speaks of
// does: another manager may have computed it in another way, and pods carry it.
func Stamp(set, old *v1beta1.SidecarSet) error {
	now, err := HashesOf(set)
	if err != nil {
		return err
	}
	if old != nil {
		before, err := HashesOf(old)
		if err != nil {
			return err
		}
		had, err := Current(old)
		if err != nil {
			return err
		}
		if before.All == now.All {
			now.All = had.All
		}
		if before.WithoutImage == now.WithoutImage {
			now.WithoutImage = had.WithoutImage
		}
	}
	if set.Annotations == nil {
		set.Annotations = map[string]string{}
	}
	set.Annotations[v1beta1.SidecarSetHashKey] = now.All
	set.Annotations[v1beta1.SidecarSetHashWithoutImageKey] = now.WithoutImage
	return nil
}

func hashOf(containers, inits []v1beta1.SidecarContainer) (string, error) {
	text, err := json.Marshal(struct {
		Containers     []v1beta1.SidecarContainer `json:"containers"`
		InitContainers []v1beta1.SidecarContainer `json:"initContainers,omitempty"`
	}{containers, inits})
	if err != nil {
		return "", fmt.Errorf("encode its containers: %w", err)
	}
	sum := sha256.Sum256(text)
	return rand.SafeEncodeString(hex.EncodeToString(sum[:])), nil
}

// withDefaults is a copy in which the defaults are written out.
func withDefaults(list []v1beta1.SidecarContainer, place v1beta1.PodInjectPolicyType) []v1beta1.SidecarContainer {
	out := slices.Clone(list)
	for i := range out {
		c := &out[i]
		if c.PodInjectPolicy == "" {
			c.PodInjectPolicy = place
		}
		if c.UpgradeStrategy.UpgradeType == "" {
			c.UpgradeStrategy.UpgradeType = v1beta1.SidecarContainerColdUpgrade
		}
		if c.ShareVolumePolicy.Type == "" {
			c.ShareVolumePolicy.Type = v1beta1.ShareVolumePolicyDisabled
		}
		if c.ShareVolumeDevicePolicy == nil || c.ShareVolumeDevicePolicy.Type == "" {
			c.ShareVolumeDevicePolicy = &v1beta1.ShareVolumePolicy{Type: v1beta1.ShareVolumePolicyDisabled}
		}
	}
	return out
}

// IsNative says whether an init container runs beside the pod's containers.
func IsNative(c *v1beta1.SidecarContainer) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// HasNative says whether one of a set's init containers does.
func HasNative(set *v1beta1.SidecarSet) bool {
	return slices.ContainsFunc(set.Spec.InitContainers, func(c v1beta1.SidecarContainer) bool { return IsNative(&c) })
}
