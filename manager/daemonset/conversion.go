package daemonset

import (
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
)

// Conversion is the conversion between v1alpha1 and v1beta1, the version of storage.
//
// Nothing that has a meaning is lost in either direction, and templates are not looked at. status.daemonSetHash is
// status.updateRevision, and the annotation of ProgressiveCreatePodKey is spec.scaleStrategy.partitionedScaling. Not kept,
// because it means nothing or two forms contradict each other:
//
//   - the type Surging: it comes back as Standard with the maxSurge that it stands for.
//   - maxUnavailable beside the type Surging, which counts for nothing there.
//   - a scaleStrategy that says nothing: it comes back as none.
//   - the annotation on a v1beta1 object: the field, where set, takes its place; where the field is not set it stays, and
//     speaks once the object is written as v1alpha1.
func Conversion() convert.Kind {
	return convert.Kind{
		GroupKind: v1beta1.GroupVersion.WithKind(kindDaemonSet).GroupKind(),
		Resource:  "daemonsets",
		Versions:  []string{v1alpha1.GroupVersion.Version, v1beta1.GroupVersion.Version},
		Convert: func(set *unstructured.Unstructured, version string) error {
			switch version {
			case v1beta1.GroupVersion.Version:
				toV1beta1(set.Object)
			case v1alpha1.GroupVersion.Version:
				toV1alpha1(set.Object)
			default:
				return fmt.Errorf("there is no version %q", version)
			}
			return nil
		},
	}
}

// The fields that differ between the versions.
const (
	fieldHash           = "daemonSetHash"
	fieldUpdateRevision = "updateRevision"
	fieldPartitioned    = "partitionedScaling"
	fieldType           = "rollingUpdateType"
	fieldMaxSurge       = "maxSurge"
	fieldMaxUnavailable = "maxUnavailable"
)

func toV1beta1(set map[string]any) {
	convert.Edit(set, func(status map[string]any) { convert.Rename(status, fieldHash, fieldUpdateRevision) }, "status")
	convert.Edit(set, func(annotations map[string]any) {
		if annotations[v1beta1.ProgressiveCreatePodKey] != "true" {
			return
		}
		delete(annotations, v1beta1.ProgressiveCreatePodKey)
		convert.Edit(set, func(scale map[string]any) { scale[fieldPartitioned] = true }, "spec", "scaleStrategy")
	}, "metadata", "annotations")
	convert.Edit(set, func(rolling map[string]any) {
		if rolling[fieldType] != string(v1alpha1.DeprecatedSurgingRollingUpdateType) { //nolint:staticcheck // objects of the older version may have it
			return
		}
		rolling[fieldType], rolling[fieldMaxUnavailable] = string(v1beta1.StandardRollingUpdateType), int64(0)
		if _, given := rolling[fieldMaxSurge]; !given {
			rolling[fieldMaxSurge] = int64(1)
		}
	}, "spec", "updateStrategy", "rollingUpdate")
}

func toV1alpha1(set map[string]any) {
	convert.Edit(set, func(status map[string]any) { convert.Rename(status, fieldUpdateRevision, fieldHash) }, "status")
	convert.Edit(set, func(scale map[string]any) {
		if scale[fieldPartitioned] == true {
			convert.Edit(set, func(annotations map[string]any) { annotations[v1beta1.ProgressiveCreatePodKey] = "true" }, "metadata", "annotations")
		}
		delete(scale, fieldPartitioned)
	}, "spec", "scaleStrategy")
}
