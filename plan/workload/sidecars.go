package workload

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// defaultSidecarsAway is how many pods may be out of service by upgrades of sidecars where a SidecarSet does not say.
const defaultSidecarsAway = 1

// notUpdate says whether running pods stay as they are. A canary never changes them: it is for new ones.
func (s *SidecarSet) notUpdate() bool {
	return s.Set.Spec.UpdateStrategy.Type == v1beta1.NotUpdateSidecarSetStrategyType || s.Set.Annotations[v1beta1.SidecarSetCanaryKey] == "true"
}

// Sidecars reads what the set wants of its pods. What is not set has its documented default, whether or not the API server
// filled it in; percentages are of the active pods. The error names the field and its value.
func (s *SidecarSet) Sidecars(facts []replica.Replica) (*podset.Sidecars, error) {
	strategy := &s.Set.Spec.UpdateStrategy
	guests := s.byName(facts)
	p := &podset.Sidecars{
		Paused: strategy.Paused, NotUpdate: s.notUpdate(), Scatter: strategy.ScatterStrategy, UpdateRevision: s.Update,
		MaxUnavailable: defaultSidecarsAway,
		Excused: func(r *replica.Replica) bool {
			g := guests[r.Name]
			return g.Guest == nil || g.Excused()
		},
		Blocked: func(r *replica.Replica) string { return guests[r.Name].blocked },
	}
	active := 0
	for i := range facts {
		if facts[i].Active() {
			active++
		}
	}
	const path = "spec.updateStrategy."
	var err error
	if p.Partition, err = budget.Partition(strategy.Partition, active); err != nil {
		return nil, fmt.Errorf(path+"partition: %w", err)
	}
	if strategy.MaxUnavailable != nil {
		if p.MaxUnavailable, err = budget.Count(*strategy.MaxUnavailable, active, budget.Up); err != nil {
			return nil, fmt.Errorf(path+"maxUnavailable: %w", err)
		}
	}
	if p.Priority, err = order.ByPriority(strategy.PriorityStrategy); err != nil {
		return nil, fmt.Errorf(path+"%w", err)
	}
	if strategy.Selector != nil {
		selector, err := metav1.LabelSelectorAsSelector(strategy.Selector)
		if err != nil {
			return nil, fmt.Errorf(path+"selector: %w", err)
		}
		p.Selects = func(r *replica.Replica) bool { return selector.Matches(labels.Set(r.Labels)) }
	}
	images := s.images()
	p.Change = func(from, _ string) inplace.Change { return inplace.Change{Images: images[from]} }
	return p, nil
}

// Plan decides what to do now.
func (s *SidecarSet) Plan(now time.Time) (podset.Plan, error) {
	facts := s.Replicas(now)
	p, err := s.Sidecars(facts)
	if err != nil {
		return podset.Plan{}, err
	}
	if p.Held, err = s.held(facts, now); err != nil {
		return podset.Plan{}, err
	}
	return p.Plan(now, facts), nil
}

// held tells which of the pods that are not up to date a budget would not let be changed now. Nil: none.
func (s *SidecarSet) held(facts []replica.Replica, now time.Time) (func(*replica.Replica) bool, error) {
	if s.budgets == nil {
		return nil, nil
	}
	held := map[string]bool{}
	known := map[string][]*policyv1beta1.PodUnavailableBudget{}
	for i, pod := range s.Pods {
		if s.guests[i].revision == s.Update {
			continue
		}
		budgets, looked := known[pod.Namespace]
		if !looked {
			var err error
			if budgets, err = s.budgets(pod.Namespace); err != nil {
				return nil, fmt.Errorf("the budgets of namespace %s: %w", pod.Namespace, err)
			}
			known[pod.Namespace] = budgets
		}
		if b := disruption.Of(pod, budgets); b != nil {
			request := disruption.Request{Operation: policyv1beta1.PubUpdateOperation, Pod: pod}
			held[facts[i].Name] = !disruption.Permits(b, request, now)
		}
	}
	return func(r *replica.Replica) bool { return held[r.Name] }, nil
}
