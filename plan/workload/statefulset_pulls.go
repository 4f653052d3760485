package workload

import (
	"strconv"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/podset"
)

// Pulls decides about pulling images ahead: once for a revision, when its images change in place and not all pods change in
// the first batch. The error names a field that cannot be read.
func (s *StatefulSet) Pulls(tally podset.Tally) (Pulls, error) {
	sequence, err := sequenceOf(s.Set, s.Options)
	if err != nil {
		return Pulls{}, err
	}
	return s.pulls(tally, pulling{
		inPlace: sequence.Policy != v1beta1.RecreatePodUpdatePolicyType && !sequence.OnDelete, replicas: sequence.Replicas,
		maxUnavailable: sequence.MaxUnavailable, selector: s.Set.Spec.Selector, tuning: s.pullTuning(sequence.Replicas),
	}), nil
}

// inPlaceTuning tunes updates in place.
func (s *StatefulSet) inPlaceTuning() v1beta1.InPlaceUpdateStrategy {
	if r := s.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		return *r.InPlaceUpdateStrategy
	}
	return v1beta1.InPlaceUpdateStrategy{}
}

// pullTuning is inPlaceTuning with what annotations say about pulling ahead, as they alone did once; fields that are set win.
// An annotation that cannot be understood says nothing.
func (s *StatefulSet) pullTuning(replicas int) v1beta1.InPlaceUpdateStrategy {
	tuning := s.inPlaceTuning()
	if parallelism := s.annotated(v1beta1.ImagePreDownloadParallelismKey); tuning.ImagePreDownloadParallelism == nil && parallelism != nil {
		tuning.ImagePreDownloadParallelism = new(intstr.FromInt32(*parallelism))
	}
	if tuning.ImagePreDownloadTimeoutSeconds == nil {
		tuning.ImagePreDownloadTimeoutSeconds = s.annotated(v1beta1.ImagePreDownloadTimeoutSecondsKey)
	}
	if tuning.ImagePreDownloadMinUpdatedReadyPods == nil {
		text := s.Set.Annotations[v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey]
		if n, err := budget.Count(intstr.Parse(text), replicas, budget.Up); err == nil { // it may be a percentage
			tuning.ImagePreDownloadMinUpdatedReadyPods = new(int32(n))
		}
	}
	return tuning
}

// annotated reads a number from an annotation; nil where there is none.
func (s *StatefulSet) annotated(key string) *int32 {
	n, err := strconv.ParseInt(s.Set.Annotations[key], 10, 32)
	if err != nil || n < 0 {
		return nil
	}
	return new(int32(n))
}
