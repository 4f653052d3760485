package cloneset

import (
	"fmt"
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/convert"
)

// Conversion is the conversion between v1alpha1 and v1beta1, the version of storage.
//
// Nothing that has a meaning is lost in either direction, and templates are not looked at. What v1alpha1 says with a
// label or an annotation, v1beta1 says with a field; the label or annotation moves into the field and back. Not kept,
// because it means nothing or two forms contradict each other:
//
//   - podUpdatePolicy beside type OnDelete: v1alpha1 has one word for both. It comes back as the default.
//   - a missing type, or a missing rollingUpdate beside type RollingUpdate: written out (ReCreate by rolling update).
//   - a scaleStrategy or an inPlaceUpdateStrategy that says nothing: it comes back as none.
//   - a label or annotation of v1alpha1 on a v1beta1 object: the field, where set, takes its place; where the field is
//     not set it stays, and speaks once the object is written as v1alpha1.
//   - a v1alpha1 object with both an annotation and the field of the same meaning: the field wins.
func Conversion() convert.Kind {
	return convert.Kind{
		GroupKind: v1beta1.GroupVersion.WithKind("CloneSet").GroupKind(),
		Resource:  "clonesets",
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
	fieldType                   = "type"
	fieldRollingUpdate          = "rollingUpdate"
	fieldPodUpdatePolicy        = "podUpdatePolicy"
	fieldInPlaceUpdateStrategy  = "inPlaceUpdateStrategy"
	fieldDisablePVCReuse        = "disablePVCReuse"
	fieldEnablePVCReuse         = "enablePVCReuse"
	fieldExcludePreparingDelete = "excludePreparingDelete"
)

// preDownload maps the annotations of v1alpha1 to the fields of v1beta1's inPlaceUpdateStrategy.
func preDownload() map[string]string {
	return map[string]string{
		v1beta1.ImagePreDownloadParallelismKey:         "imagePreDownloadParallelism",
		v1beta1.ImagePreDownloadTimeoutSecondsKey:      "imagePreDownloadTimeoutSeconds",
		v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey: "imagePreDownloadMinUpdatedReadyPods",
	}
}

func toV1beta1(set map[string]any) {
	change(set, "spec", func(spec map[string]any) {
		change(spec, "scaleStrategy", func(scale map[string]any) {
			invert(scale, fieldDisablePVCReuse, fieldEnablePVCReuse)
			editMetadata(set, "labels", func(labels map[string]any) {
				if labels[v1beta1.CloneSetScalingExcludePreparingDeleteKey] == "true" {
					delete(labels, v1beta1.CloneSetScalingExcludePreparingDeleteKey)
					scale[fieldExcludePreparingDelete] = true
				}
			})
		})
		change(spec, "updateStrategy", func(strategy map[string]any) {
			rolling := maps.Clone(strategy)
			clear(strategy)
			policy, given := rolling[fieldType]
			delete(rolling, fieldType)
			switch {
			case policy == string(v1alpha1.OnDeleteCloneSetUpdateStrategyType):
				// The parameters mean nothing now, but they are what the user wrote and will mean something again
				// when the type is changed back.
				strategy[fieldType] = string(v1beta1.OnDeleteCloneSetUpdateStrategyType)
			case given && policy != "":
				strategy[fieldType] = string(v1beta1.RollingUpdateCloneSetUpdateStrategyType)
				rolling[fieldPodUpdatePolicy] = policy
			default:
				strategy[fieldType] = string(v1beta1.RollingUpdateCloneSetUpdateStrategyType)
				rolling[fieldPodUpdatePolicy] = string(v1beta1.RecreatePodUpdatePolicyType)
			}
			editMetadata(set, "annotations", func(annotations map[string]any) { annotationsToFields(annotations, rolling) })
			if len(rolling) > 0 {
				strategy[fieldRollingUpdate] = rolling
			}
		})
	})
}

func toV1alpha1(set map[string]any) {
	change(set, "spec", func(spec map[string]any) {
		change(spec, "scaleStrategy", func(scale map[string]any) {
			invert(scale, fieldEnablePVCReuse, fieldDisablePVCReuse)
			excluded := scale[fieldExcludePreparingDelete]
			delete(scale, fieldExcludePreparingDelete)
			editMetadata(set, "labels", func(labels map[string]any) {
				if excluded == true {
					labels[v1beta1.CloneSetScalingExcludePreparingDeleteKey] = "true"
				}
			})
		})
		change(spec, "updateStrategy", func(strategy map[string]any) {
			rolling, _ := strategy[fieldRollingUpdate].(map[string]any)
			kind := strategy[fieldType]
			delete(strategy, fieldRollingUpdate)
			maps.Copy(strategy, rolling)
			policy, given := strategy[fieldPodUpdatePolicy]
			delete(strategy, fieldPodUpdatePolicy)
			switch {
			case kind == string(v1beta1.OnDeleteCloneSetUpdateStrategyType):
				strategy[fieldType] = string(v1alpha1.OnDeleteCloneSetUpdateStrategyType)
			case given && policy != "":
				strategy[fieldType] = policy
			default:
				strategy[fieldType] = string(v1alpha1.RecreateCloneSetUpdateStrategyType)
			}
			editMetadata(set, "annotations", func(annotations map[string]any) { fieldsToAnnotations(strategy, annotations) })
		})
	})
}

// annotationsToFields moves the pre-download annotations of v1alpha1 into the fields of v1beta1. An annotation that is
// no number, like "50%", has no field to go to and stays as the user wrote it.
func annotationsToFields(annotations, rolling map[string]any) {
	change(rolling, fieldInPlaceUpdateStrategy, func(strategy map[string]any) {
		for annotation, field := range preDownload() {
			text, _ := annotations[annotation].(string)
			number, err := strconv.ParseInt(text, 10, 32)
			if err != nil || number < 0 {
				continue
			}
			delete(annotations, annotation)
			if _, set := strategy[field]; !set {
				strategy[field] = number
			}
		}
	})
}

// fieldsToAnnotations moves the pre-download fields of v1beta1 into the annotations of v1alpha1.
func fieldsToAnnotations(rolling, annotations map[string]any) {
	change(rolling, fieldInPlaceUpdateStrategy, func(strategy map[string]any) {
		for annotation, field := range preDownload() {
			if number, ok := strategy[field].(int64); ok {
				annotations[annotation] = strconv.FormatInt(number, 10)
				delete(strategy, field)
			}
		}
	})
}

// invert puts the opposite of one boolean into another. An absent one is false; what is false is left out.
func invert(fields map[string]any, from, to string) {
	value, given := fields[from]
	on, isBool := value.(bool)
	if given && !isBool {
		return // for the schema to refuse
	}
	delete(fields, from)
	if !on {
		fields[to] = true
	}
}

// editMetadata changes the labels or the annotations of an object.
func editMetadata(set map[string]any, field string, edit func(map[string]any)) {
	change(set, "metadata", func(metadata map[string]any) { change(metadata, field, edit) })
}

// change changes the object at a key.
func change(parent map[string]any, key string, edit func(map[string]any)) {
	convert.Edit(parent, edit, key)
}
