package sidecar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	jsonpatch "github.com/evanphx/json-patch/v5"

	"kruise.io/kruise/api/apps/v1beta1"
)

// annotate returns the annotations that a pod has once a set wrote its own.
func annotate(have map[string]string, patches []v1beta1.SidecarSetPatchPodMetadata) (map[string]string, error) {
	out := maps.Clone(have)
	if out == nil && len(patches) > 0 {
		out = map[string]string{}
	}
	for _, p := range patches {
		for _, key := range slices.Sorted(maps.Keys(p.Annotations)) {
			value := p.Annotations[key]
			is, there := out[key]
			switch {
			case !there || p.PatchPolicy == v1beta1.SidecarSetOverwritePatchPolicy:
				out[key] = value
			case p.PatchPolicy == v1beta1.SidecarSetMergePatchJSONPatchPolicy:
				merged, err := jsonpatch.MergePatch([]byte(is), []byte(value))
				if err != nil {
					return nil, fmt.Errorf("patchPodMetadata: annotation %s: merge %s into %s: %w", key, value, is, err)
				}
				out[key] = string(merged)
			}
		}
	}
	return out, nil
}

// IsOwnAnnotation says whether an annotation of pods is one that the manager itself writes.
func IsOwnAnnotation(key string) bool {
	switch key {
	case v1beta1.SidecarSetHashKey, v1beta1.SidecarSetHashWithoutImageKey, v1beta1.SidecarSetInjectedListKey,
		v1beta1.SidecarSetInPlaceUpdateStateKey, v1beta1.SidecarSetWorkingHotUpgradeContainerKey:
		return true
	}
	return strings.HasPrefix(key, v1beta1.SidecarSetVersionKeyPrefix) || strings.HasPrefix(key, v1beta1.SidecarSetVersionAltKeyPrefix)
}

// IsJSONObject says whether text is a JSON object, as what is merged must be.
func IsJSONObject(text string) bool {
	var object map[string]any
	return json.Unmarshal([]byte(text), &object) == nil && object != nil
}
