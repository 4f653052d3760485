package workload

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/podset"
)

// sequenceOf reads what a StatefulSet wants. What is not set has its documented default, whether or not the API server
// filled it in. The revisions and the functions of the sequence are left to the caller. The error names the field and its
// value.
func sequenceOf(set *v1beta1.StatefulSet, options Options) (podset.Sequence, error) {
	s := podset.Sequence{
		Rules: podset.Rules{
			MaxUnavailable: 1,
			OnDelete:       set.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
			Policy:         v1beta1.RecreatePodUpdatePolicyType,
		},
		Ordered: set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement,
	}
	var err error
	if s.Ordinals, err = Ordinals(set, options); err != nil {
		return s, err
	}
	s.Replicas = len(s.Ordinals)
	if hooks := set.Spec.Lifecycle; hooks != nil {
		s.NotReadyForDelete = hooks.PreDelete != nil && hooks.PreDelete.MarkPodNotReady
		s.NotReadyForUpdate = hooks.InPlaceUpdate != nil && hooks.InPlaceUpdate.MarkPodNotReady
	}
	if scale := set.Spec.ScaleStrategy; scale != nil && scale.MaxUnavailable != nil && !s.Ordered {
		limit, err := atLeastOne(*scale.MaxUnavailable, s.Replicas)
		if err != nil {
			return s, fmt.Errorf("spec.scaleStrategy.maxUnavailable: %w", err)
		}
		s.ScaleLimit = &limit
	}
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && !s.OnDelete {
		err = readRolling(&s, rolling)
	}
	return s, err
}

// readRolling reads the parameters of a rolling update.
func readRolling(s *podset.Sequence, rolling *v1beta1.RollingUpdateStatefulSetStrategy) (err error) {
	s.Paused = rolling.Paused
	if rolling.PodUpdatePolicy != "" {
		s.Policy = rolling.PodUpdatePolicy
	}
	if rolling.Partition != nil {
		s.Partition = min(int(*rolling.Partition), s.Replicas)
	}
	if rolling.MaxUnavailable != nil && !s.Ordered {
		if s.MaxUnavailable, err = atLeastOne(*rolling.MaxUnavailable, s.Replicas); err != nil {
			return fmt.Errorf("spec.updateStrategy.rollingUpdate.maxUnavailable: %w", err)
		}
	}
	if rolling.UnorderedUpdate != nil && !s.Ordered {
		s.Unordered = true
		if s.Priority, err = order.ByPriority(rolling.UnorderedUpdate.PriorityStrategy); err != nil {
			return fmt.Errorf("spec.updateStrategy.rollingUpdate.unorderedUpdate.%w", err)
		}
	}
	return nil
}

// atLeastOne is a count of pods, of which a fraction is dropped, but never all: nothing would ever go on.
func atLeastOne(value intstr.IntOrString, replicas int) (int, error) {
	n, err := budget.Count(value, replicas, budget.Down)
	return max(n, 1), err
}

// Ordinals are the ordinals of the wanted pods, the lowest first: as many as there are replicas, from the start on,
// without those that are reserved.
func Ordinals(set *v1beta1.StatefulSet, options Options) ([]int, error) {
	replicas := DefaultReplicas
	if set.Spec.Replicas != nil {
		replicas = int(*set.Spec.Replicas)
	}
	reserved, err := reservedOf(set.Spec.ReserveOrdinals)
	if err != nil {
		return nil, err
	}
	next := 0
	if set.Spec.Ordinals != nil && options.StartOrdinal {
		next = int(set.Spec.Ordinals.Start)
	}
	out := make([]int, 0, replicas)
	for len(out) < replicas {
		for len(reserved) > 0 && reserved[0].last < next {
			reserved = reserved[1:]
		}
		if len(reserved) > 0 && reserved[0].first <= next {
			next = reserved[0].last + 1
			continue
		}
		out = append(out, next)
		next++
	}
	return out, nil
}

// span is a range of ordinals with both its ends.
type span struct{ first, last int }

// reservedOf reads reserved ordinals: integers, and ranges such as "2-5". They come sorted by where they begin.
func reservedOf(reserved []intstr.IntOrString) ([]span, error) {
	var spans []span
	for i, value := range reserved {
		if value.Type == intstr.Int {
			spans = append(spans, span{int(value.IntVal), int(value.IntVal)})
			continue
		}
		from, to, isRange := strings.Cut(value.StrVal, "-")
		first, firstErr := strconv.Atoi(from)
		last, lastErr := strconv.Atoi(to)
		if !isRange || firstErr != nil || lastErr != nil || first > last {
			return nil, fmt.Errorf("spec.reserveOrdinals[%d]: %q is neither an integer nor a range such as \"2-5\"", i, value.StrVal)
		}
		spans = append(spans, span{first, last})
	}
	slices.SortFunc(spans, func(a, b span) int { return a.first - b.first })
	return spans, nil
}
