package workload

import (
	"fmt"

	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/podset"
)

// defaultBurst is how many pods are created, deleted or updated in one go where a DaemonSet does not say.
const defaultBurst = 250

// inPlace says whether the pods of a DaemonSet are updated in place where that is possible.
func inPlace(set *v1beta1.DaemonSet) bool {
	r := set.Spec.UpdateStrategy.RollingUpdate
	return r != nil && r.Type == v1beta1.InplaceRollingUpdateType
}

// perNodeOf reads what a DaemonSet wants, on so many nodes that are to have a pod. What is not set has its documented default,
// whether or not the API server filled it in. Nodes, revisions and functions are left to the caller. The error names the
// field and its value.
func perNodeOf(set *v1beta1.DaemonSet, desired int) (podset.PerNode, error) {
	p := podset.PerNode{
		OnDelete: set.Spec.UpdateStrategy.Type == v1beta1.OnDeleteDaemonSetStrategyType,
		Policy:   v1beta1.RecreatePodUpdatePolicyType, Burst: defaultBurst,
		PartitionedScaling: set.Spec.ScaleStrategy != nil && set.Spec.ScaleStrategy.PartitionedScaling,
	}
	if hooks := set.Spec.Lifecycle; hooks != nil {
		p.NotReadyForDelete = hooks.PreDelete != nil && hooks.PreDelete.MarkPodNotReady
	}
	if inPlace(set) {
		p.Policy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	}
	count := func(field string, value *intstr.IntOrString, unset int, round budget.Rounding, into *int) error {
		if value == nil {
			*into = unset
			return nil
		}
		n, err := budget.Count(*value, desired, round)
		if err != nil {
			return fmt.Errorf("spec.%s: %w", field, err)
		}
		*into = n
		return nil
	}
	if err := count("burstReplicas", set.Spec.BurstReplicas, defaultBurst, budget.Up, &p.Burst); err != nil {
		return p, err
	}
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil {
		rolling = &v1beta1.RollingUpdateDaemonSet{}
	}
	p.Paused = rolling.Paused != nil && *rolling.Paused
	const path = "updateStrategy.rollingUpdate."
	if err := count(path+"partition", rolling.Partition, 0, budget.Down, &p.Partition); err != nil {
		return p, err
	}
	if err := count(path+"maxSurge", rolling.MaxSurge, 0, budget.Up, &p.MaxSurge); err != nil {
		return p, err
	}
	if err := count(path+"maxUnavailable", rolling.MaxUnavailable, 1, budget.Up, &p.MaxUnavailable); err != nil {
		return p, err
	}
	if p.OnDelete || inPlace(set) { // pods go before others come
		p.MaxSurge = 0
	}
	if p.MaxSurge == 0 {
		p.MaxUnavailable = max(p.MaxUnavailable, 1)
	}
	return p, nil
}
