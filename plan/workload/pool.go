package workload

import (
	"fmt"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
)

// DefaultReplicas is the number of pods of a CloneSet that does not say.
const DefaultReplicas = 1

// poolOf reads what a CloneSet wants. What is not set has its documented default, whether or not the API server filled
// it in. The revisions and the functions of the pool are left to the caller. The error names the field and its value.
func poolOf(cs *v1beta1.CloneSet) (podset.Pool, error) {
	p := podset.Pool{
		Replicas:               DefaultReplicas,
		OnDelete:               cs.Spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType,
		Policy:                 v1beta1.RecreatePodUpdatePolicyType,
		ExcludePreparingDelete: cs.Spec.ScaleStrategy.ExcludePreparingDelete,
		Doomed:                 map[string]bool{},
	}
	if cs.Spec.Replicas != nil {
		p.Replicas = int(*cs.Spec.Replicas)
	}
	for _, name := range cs.Spec.ScaleStrategy.PodsToDelete {
		p.Doomed[name] = true
	}
	if limit := cs.Spec.ScaleStrategy.MaxUnavailable; limit != nil {
		n, err := budget.Count(*limit, p.Replicas, budget.Up)
		if err != nil {
			return p, fmt.Errorf("spec.scaleStrategy.maxUnavailable: %w", err)
		}
		p.ScaleLimit = &n
	}
	rolling := cs.Spec.UpdateStrategy.RollingUpdate
	if rolling == nil || p.OnDelete {
		rolling = &v1beta1.RollingUpdateCloneSetStrategy{}
	}
	if rolling.PodUpdatePolicy != "" {
		p.Policy = rolling.PodUpdatePolicy
	}
	p.Paused, p.Scatter = rolling.Paused, rolling.ScatterStrategy
	if hooks := cs.Spec.Lifecycle; hooks != nil {
		p.NotReadyForDelete = hooks.PreDelete != nil && hooks.PreDelete.MarkPodNotReady
		p.NotReadyForUpdate = hooks.InPlaceUpdate != nil && hooks.InPlaceUpdate.MarkPodNotReady
	}
	var err error
	if p.Priority, err = order.ByPriority(rolling.PriorityStrategy); err != nil {
		return p, fmt.Errorf("spec.updateStrategy.rollingUpdate.%w", err)
	}
	p.Rolling, err = budget.RollingOf(p.Replicas, rolling.Partition, rolling.MaxUnavailable, rolling.MaxSurge, rolling.Paused)
	if err != nil {
		return p, fmt.Errorf("spec.updateStrategy.rollingUpdate.%w", err)
	}
	if p.OnDelete {
		// Deletions have a budget, too: 20% of the pods, rounded down, but never none. With fewer than five pods none that
		// serves could ever be deleted, and deletions are all that brings pods to the new revision.
		p.MaxUnavailable = max(p.Replicas/5, 1)
	}
	return p, nil
}
