package workload

import (
	"kruise.io/kruise/api/apps/v1beta1"
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
		maxUnavailable: sequence.MaxUnavailable, partition: sequence.Partition, selector: s.Set.Spec.Selector, tuning: annotatedTuning(s.Set.Annotations, s.inPlaceTuning(), sequence.Replicas),
	}), nil
}

// inPlaceTuning tunes updates in place.
func (s *StatefulSet) inPlaceTuning() v1beta1.InPlaceUpdateStrategy {
	if r := s.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		return *r.InPlaceUpdateStrategy
	}
	return v1beta1.InPlaceUpdateStrategy{}
}
