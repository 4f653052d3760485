package order

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/replica"
)

// ByPriority lists the ranks that a priority strategy asks for: by the sum of the weights of the terms that match, the
// larger first; or by each label key in turn. It is empty when the strategy asks for none, and fails on a selector that
// cannot be read.
func ByPriority(s *v1beta1.UpdatePriorityStrategy) ([]By, error) {
	switch {
	case s == nil:
		return nil, nil
	case len(s.WeightPriority) > 0:
		return byWeight(s.WeightPriority)
	case len(s.OrderPriority) > 0:
		return byOrderedKeys(s.OrderPriority), nil
	default:
		return nil, nil
	}
}

func byWeight(terms []v1beta1.UpdatePriorityWeightTerm) ([]By, error) {
	selectors := make([]labels.Selector, len(terms))
	for i := range terms {
		selector, err := metav1.LabelSelectorAsSelector(&terms[i].MatchSelector)
		if err != nil {
			return nil, fmt.Errorf("priorityStrategy.weightPriority[%d].matchSelector: %w", i, err)
		}
		selectors[i] = selector
	}
	return []By{func(r *replica.Replica) int64 {
		sum := int64(0)
		for i, selector := range selectors {
			if selector.Matches(labels.Set(r.Labels)) {
				sum += int64(terms[i].Weight)
			}
		}
		return -sum
	}}, nil
}

// byOrderedKeys puts pods that carry none of the keys first, then those that carry the first key, and so on; among the
// pods of one key the larger trailing integer of its value goes first.
func byOrderedKeys(terms []v1beta1.UpdatePriorityOrderTerm) []By {
	first := func(r *replica.Replica) (key int, value string) {
		for i, term := range terms {
			if value, ok := r.Labels[term.OrderedKey]; ok {
				return i, value
			}
		}
		return -1, ""
	}
	return []By{
		func(r *replica.Replica) int64 {
			key, _ := first(r)
			return int64(key)
		},
		func(r *replica.Replica) int64 {
			_, value := first(r)
			return -trailingInteger(value)
		},
	}
}

// trailingInteger is the number that ends a text: 12 for "pool-12", 0 for none.
func trailingInteger(text string) int64 {
	start := len(text)
	for start > 0 && text[start-1] >= '0' && text[start-1] <= '9' {
		start--
	}
	n, err := strconv.ParseInt(text[start:], 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// everyValue stands, in a term, for every value that a pod has.
const everyValue = "*"

// Expanded puts a term for each value of its key that a pod has, in their order, in the place of a term whose value is *.
func Expanded(terms []v1beta1.UpdateScatterTerm, pods []*replica.Replica) []v1beta1.UpdateScatterTerm {
	var out []v1beta1.UpdateScatterTerm
	for _, term := range terms {
		if term.Value != everyValue {
			out = append(out, term)
			continue
		}
		values := map[string]bool{}
		for _, r := range pods {
			if value, ok := r.Labels[term.Key]; ok {
				values[value] = true
			}
		}
		for _, value := range slices.Sorted(maps.Keys(values)) {
			out = append(out, v1beta1.UpdateScatterTerm{Key: term.Key, Value: value})
		}
	}
	return out
}

// Scattered spreads the pods that carry the label of each term evenly over the order, the last of them staying last, and
// keeps the others as they were among themselves.
func Scattered(pods []*replica.Replica, terms []v1beta1.UpdateScatterTerm) []*replica.Replica {
	for _, term := range terms {
		pods = scatter(pods, func(r *replica.Replica) bool {
			value, ok := r.Labels[term.Key]
			return ok && value == term.Value
		})
	}
	return pods
}

func scatter(pods []*replica.Replica, matches func(*replica.Replica) bool) []*replica.Replica {
	var matched, others []*replica.Replica
	for _, r := range pods {
		if matches(r) {
			matched = append(matched, r)
		} else {
			others = append(others, r)
		}
	}
	if len(matched) < 2 || len(others) == 0 {
		return pods
	}
	out := make([]*replica.Replica, 0, len(pods))
	for next := 0; len(out) < len(pods); {
		// The i-th of m matched pods stands at the end of the i-th of m equal parts.
		if next < len(matched) && len(out) == (next+1)*len(pods)/len(matched)-1 {
			out = append(out, matched[next])
			next++
			continue
		}
		out = append(out, others[0])
		others = others[1:]
	}
	return out
}
