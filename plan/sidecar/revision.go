package sidecar

import (
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/kruise/api/apps/v1beta1"
)

// revised are the fields of a SidecarSet that make a revision.
type revised struct {
	Volumes          []corev1.Volume                      `json:"volumes"`
	Containers       []v1beta1.SidecarContainer           `json:"containers"`
	InitContainers   []v1beta1.SidecarContainer           `json:"initContainers"`
	ImagePullSecrets []corev1.LocalObjectReference        `json:"imagePullSecrets"`
	PatchPodMetadata []v1beta1.SidecarSetPatchPodMetadata `json:"patchPodMetadata"`
}

func revisedFields(set *v1beta1.SidecarSet) revised {
	s := &set.Spec
	return revised{s.Volumes, s.Containers, s.InitContainers, s.ImagePullSecrets, s.PatchPodMetadata}
}

// RevisionData encodes what a set injects as the data of a ControllerRevision.
func RevisionData(set *v1beta1.SidecarSet) ([]byte, error) {
	data, err := json.Marshal(map[string]any{"spec": revisedFields(set)})
	if err != nil {
		return nil, fmt.Errorf("SidecarSet %s: encode its revision: %w", set.Name, err)
	}
	return data, nil
}

// At returns a set as it was at a revision: what it injects is the revision's, and all else, how and into which pods it does,
// is the set's. Its hashes are those of the revision.
func At(set *v1beta1.SidecarSet, r *appsv1.ControllerRevision) (*v1beta1.SidecarSet, error) {
	f, err := fieldsOf(r)
	if err != nil {
		return nil, err
	}
	out := set.DeepCopy()
	out.Spec.Volumes, out.Spec.Containers, out.Spec.InitContainers = f.Volumes, f.Containers, f.InitContainers
	out.Spec.ImagePullSecrets, out.Spec.PatchPodMetadata = f.ImagePullSecrets, f.PatchPodMetadata
	return out, Stamp(out, set)
}

// SameRevision says whether a revision holds what a set injects now.
func SameRevision(set *v1beta1.SidecarSet, r *appsv1.ControllerRevision) bool {
	f, err := fieldsOf(r)
	return err == nil && equality.Semantic.DeepEqual(normal(f), normal(revisedFields(set)))
}

// normal writes the defaults out, so that they make no other revision.
func normal(f revised) revised {
	f.Containers, f.InitContainers = withDefaults(f.Containers, v1beta1.BeforeAppContainerType), withDefaults(f.InitContainers, v1beta1.AfterAppContainerType)
	return f
}

func fieldsOf(r *appsv1.ControllerRevision) (revised, error) {
	var data struct {
		Spec revised `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		return revised{}, fmt.Errorf("controller revision %s/%s: decode its sidecars: %w", r.Namespace, r.Name, err)
	}
	return data.Spec, nil
}
