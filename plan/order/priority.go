package order

import (
	"cmp"
	"fmt"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/replica"
)

// ByPriority is the order that a priority strategy asks for: by the sum of the weights of the terms that match, the
// larger first; or by each label key in turn. It is nil when the strategy asks for none, and fails on a selector that
// cannot be read.
func ByPriority(s *v1beta1.UpdatePriorityStrategy) (By, error) {
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

func byWeight(terms []v1beta1.UpdatePriorityWeightTerm) (By, error) {
	selectors := make([]labels.Selector, len(terms))
	for i := range terms {
		selector, err := metav1.LabelSelectorAsSelector(&terms[i].MatchSelector)
		if err != nil {
			return nil, fmt.Errorf("priorityStrategy.weightPriority[%d].matchSelector: %w", i, err)
		}
		selectors[i] = selector
	}
	weight := func(r *replica.Replica) int {
		sum := 0
		for i, selector := range selectors {
			if selector.Matches(labels.Set(r.Labels)) {
				sum += int(terms[i].Weight)
			}
		}
		return sum
	}
	return func(a, b *replica.Replica) int { return cmp.Compare(weight(b), weight(a)) }, nil
}

// byOrderedKeys puts pods that carry none of the keys first, then those that carry the first key, and so on; among the
// pods of one key the larger trailing integer of its value goes first.
func byOrderedKeys(terms []v1beta1.UpdatePriorityOrderTerm) By {
	rank := func(r *replica.Replica) (level, number int) {
		for i, term := range terms {
			if value, ok := r.Labels[term.OrderedKey]; ok {
				return i, trailingInteger(value)
			}
		}
		return -1, 0
	}
	return func(a, b *replica.Replica) int {
		levelA, numberA := rank(a)
		levelB, numberB := rank(b)
		return cmp.Or(cmp.Compare(levelA, levelB), cmp.Compare(numberB, numberA))
	}
}

// trailingInteger is the number that ends a text: 12 for "pool-12", 0 for none.
func trailingInteger(text string) int {
	start := len(text)
	for start > 0 && text[start-1] >= '0' && text[start-1] <= '9' {
		start--
	}
	n, err := strconv.Atoi(text[start:])
	if err != nil {
		return 0
	}
	return n
}

// Crowded puts pods first that share their node with more of the given pods, so that what is left is spread.
func Crowded(pods []*replica.Replica) By {
	onNode := map[string]int{}
	for _, r := range pods {
		if r.Scheduled {
			onNode[r.Node]++
		}
	}
	return func(a, b *replica.Replica) int { return cmp.Compare(onNode[b.Node], onNode[a.Node]) }
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
