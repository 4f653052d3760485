package cloneset

import (
	"context"
	"maps"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/webhook/conversion"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
)

// NewConverter makes the converter between v1alpha1 and v1beta1, the version of storage.
//
// Nothing that has a meaning is lost in either direction, and no object fails to convert: one that did would make
// every list of CloneSets fail. What v1alpha1 says with a label or an annotation, v1beta1 says with a field; the label
// or annotation moves into the field and back. Not kept, because it means nothing or the two forms contradict each
// other:
//
//   - podUpdatePolicy beside type OnDelete: v1alpha1 has one word for both. It comes back as ReCreate.
//   - a missing or empty type, or a missing rollingUpdate: it comes back written out (ReCreate by rolling update).
//   - an inPlaceUpdateStrategy without any field: it comes back as none.
//   - a label or annotation of v1alpha1 on a v1beta1 object: the field, where set, takes its place; where the field is
//     not set it stays, and speaks once the object is written as v1alpha1.
//   - a v1alpha1 object with both an annotation and the field of the same meaning: the field wins.
func NewConverter(scheme *runtime.Scheme) (conversion.Converter, error) {
	return conversion.NewHubSpokeConverter(&v1beta1.CloneSet{},
		conversion.NewSpokeConverter(&v1alpha1.CloneSet{},
			func(_ context.Context, from *v1beta1.CloneSet, to *v1alpha1.CloneSet) error {
				toV1alpha1(from, to)
				return nil
			},
			func(_ context.Context, from *v1alpha1.CloneSet, to *v1beta1.CloneSet) error {
				toV1beta1(from, to)
				return nil
			}),
	)(scheme)
}

// toV1beta1 fills to with what from says. Values behind pointers are shared; labels and annotations are not.
func toV1beta1(from *v1alpha1.CloneSet, to *v1beta1.CloneSet) {
	to.ObjectMeta = from.ObjectMeta
	to.Labels, to.Annotations = maps.Clone(from.Labels), maps.Clone(from.Annotations)
	to.Status = from.Status
	to.Spec = v1beta1.CloneSetSpec{
		Replicas:             from.Spec.Replicas,
		Selector:             from.Spec.Selector,
		Template:             from.Spec.Template,
		VolumeClaimTemplates: from.Spec.VolumeClaimTemplates,
		ScaleStrategy: v1beta1.CloneSetScaleStrategy{
			PodsToDelete:   from.Spec.ScaleStrategy.PodsToDelete,
			MaxUnavailable: from.Spec.ScaleStrategy.MaxUnavailable,
			EnablePVCReuse: !from.Spec.ScaleStrategy.DisablePVCReuse,
		},
		UpdateStrategy:          strategyToV1beta1(&from.Spec.UpdateStrategy),
		RevisionHistoryLimit:    from.Spec.RevisionHistoryLimit,
		MinReadySeconds:         from.Spec.MinReadySeconds,
		ProgressDeadlineSeconds: from.Spec.ProgressDeadlineSeconds,
		Lifecycle:               from.Spec.Lifecycle,
	}
	if to.Labels[v1beta1.CloneSetScalingExcludePreparingDeleteKey] == "true" {
		to.Labels = without(to.Labels, v1beta1.CloneSetScalingExcludePreparingDeleteKey)
		to.Spec.ScaleStrategy.ExcludePreparingDelete = true
	}
	preDownloadToFields(to)
}

// toV1alpha1 fills to with what from says. Values behind pointers are shared; labels and annotations are not.
func toV1alpha1(from *v1beta1.CloneSet, to *v1alpha1.CloneSet) {
	to.ObjectMeta = from.ObjectMeta
	to.Labels, to.Annotations = maps.Clone(from.Labels), maps.Clone(from.Annotations)
	to.Status = from.Status
	to.Spec = v1alpha1.CloneSetSpec{
		Replicas:             from.Spec.Replicas,
		Selector:             from.Spec.Selector,
		Template:             from.Spec.Template,
		VolumeClaimTemplates: from.Spec.VolumeClaimTemplates,
		ScaleStrategy: v1alpha1.CloneSetScaleStrategy{
			PodsToDelete:    from.Spec.ScaleStrategy.PodsToDelete,
			MaxUnavailable:  from.Spec.ScaleStrategy.MaxUnavailable,
			DisablePVCReuse: !from.Spec.ScaleStrategy.EnablePVCReuse,
		},
		UpdateStrategy:          strategyToV1alpha1(&from.Spec.UpdateStrategy),
		RevisionHistoryLimit:    from.Spec.RevisionHistoryLimit,
		MinReadySeconds:         from.Spec.MinReadySeconds,
		ProgressDeadlineSeconds: from.Spec.ProgressDeadlineSeconds,
		Lifecycle:               from.Spec.Lifecycle,
	}
	if from.Spec.ScaleStrategy.ExcludePreparingDelete {
		to.Labels = with(to.Labels, v1beta1.CloneSetScalingExcludePreparingDeleteKey, "true")
	}
	preDownloadToAnnotations(to)
}

func strategyToV1beta1(from *v1alpha1.CloneSetUpdateStrategy) v1beta1.CloneSetUpdateStrategy {
	rolling := v1beta1.RollingUpdateCloneSetStrategy{
		PodUpdatePolicy:       v1beta1.PodUpdatePolicyType(from.Type),
		Partition:             from.Partition,
		MaxUnavailable:        from.MaxUnavailable,
		MaxSurge:              from.MaxSurge,
		Paused:                from.Paused,
		PriorityStrategy:      from.PriorityStrategy,
		ScatterStrategy:       from.ScatterStrategy,
		InPlaceUpdateStrategy: from.InPlaceUpdateStrategy.DeepCopy(),
	}
	to := v1beta1.CloneSetUpdateStrategy{Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType, RollingUpdate: &rolling}
	switch from.Type {
	case "":
		rolling.PodUpdatePolicy = v1beta1.RecreatePodUpdatePolicyType
	case v1alpha1.OnDeleteCloneSetUpdateStrategyType:
		// The parameters mean nothing now, but they are what the user wrote and will mean something again when the
		// type is changed back.
		to.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
		rolling.PodUpdatePolicy = v1beta1.RecreatePodUpdatePolicyType
	}
	return to
}

func strategyToV1alpha1(from *v1beta1.CloneSetUpdateStrategy) v1alpha1.CloneSetUpdateStrategy {
	to := v1alpha1.CloneSetUpdateStrategy{Type: v1alpha1.RecreateCloneSetUpdateStrategyType}
	if rolling := from.RollingUpdate; rolling != nil {
		to = v1alpha1.CloneSetUpdateStrategy{
			Type:                  v1alpha1.CloneSetUpdateStrategyType(rolling.PodUpdatePolicy),
			Partition:             rolling.Partition,
			MaxUnavailable:        rolling.MaxUnavailable,
			MaxSurge:              rolling.MaxSurge,
			Paused:                rolling.Paused,
			PriorityStrategy:      rolling.PriorityStrategy,
			ScatterStrategy:       rolling.ScatterStrategy,
			InPlaceUpdateStrategy: rolling.InPlaceUpdateStrategy.DeepCopy(),
		}
		if to.Type == "" {
			to.Type = v1alpha1.RecreateCloneSetUpdateStrategyType
		}
	}
	if from.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType {
		to.Type = v1alpha1.OnDeleteCloneSetUpdateStrategyType
	}
	return to
}

// preDownloadToFields moves the pre-download annotations of v1alpha1 into the fields of v1beta1. An annotation that is
// no number, like "50%", has no field to go to and stays as the user wrote it.
func preDownloadToFields(set *v1beta1.CloneSet) {
	strategy := set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy
	if strategy == nil {
		strategy = &v1beta1.InPlaceUpdateStrategy{}
	}
	if n := takeNumber(set, v1beta1.ImagePreDownloadParallelismKey); n != nil && strategy.ImagePreDownloadParallelism == nil {
		parallelism := intstr.FromInt32(*n)
		strategy.ImagePreDownloadParallelism = &parallelism
	}
	if n := takeNumber(set, v1beta1.ImagePreDownloadTimeoutSecondsKey); n != nil && strategy.ImagePreDownloadTimeoutSeconds == nil {
		strategy.ImagePreDownloadTimeoutSeconds = n
	}
	if n := takeNumber(set, v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey); n != nil && strategy.ImagePreDownloadMinUpdatedReadyPods == nil {
		strategy.ImagePreDownloadMinUpdatedReadyPods = n
	}
	if *strategy != (v1beta1.InPlaceUpdateStrategy{}) {
		set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy = strategy
	}
}

// takeNumber takes an annotation off the set if it is a number of 0 or more; otherwise it leaves it and returns nil.
func takeNumber(set *v1beta1.CloneSet, key string) *int32 {
	n, err := strconv.ParseInt(set.Annotations[key], 10, 32)
	if err != nil || n < 0 {
		return nil
	}
	set.Annotations = without(set.Annotations, key)
	number := int32(n)
	return &number
}

// preDownloadToAnnotations moves the pre-download fields of v1beta1 into the annotations of v1alpha1.
func preDownloadToAnnotations(set *v1alpha1.CloneSet) {
	strategy := set.Spec.UpdateStrategy.InPlaceUpdateStrategy
	if strategy == nil {
		return
	}
	put := func(key string, n int32) {
		set.Annotations = with(set.Annotations, key, strconv.FormatInt(int64(n), 10))
	}
	if p := strategy.ImagePreDownloadParallelism; p != nil && p.Type == intstr.Int {
		put(v1beta1.ImagePreDownloadParallelismKey, p.IntVal)
		strategy.ImagePreDownloadParallelism = nil
	}
	if s := strategy.ImagePreDownloadTimeoutSeconds; s != nil {
		put(v1beta1.ImagePreDownloadTimeoutSecondsKey, *s)
		strategy.ImagePreDownloadTimeoutSeconds = nil
	}
	if n := strategy.ImagePreDownloadMinUpdatedReadyPods; n != nil {
		put(v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey, *n)
		strategy.ImagePreDownloadMinUpdatedReadyPods = nil
	}
	if *strategy == (v1beta1.InPlaceUpdateStrategy{}) {
		set.Spec.UpdateStrategy.InPlaceUpdateStrategy = nil
	}
}

func with(m map[string]string, key, value string) map[string]string {
	if m == nil {
		m = map[string]string{}
	}
	m[key] = value
	return m
}

// without removes a key; a map that becomes empty becomes nil, as an object without labels has none.
func without(m map[string]string, key string) map[string]string {
	delete(m, key)
	if len(m) == 0 {
		return nil
	}
	return m
}
