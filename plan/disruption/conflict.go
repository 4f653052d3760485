package disruption

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/policy/v1beta1"
)

// Conflict says how two budgets of a namespace are about the same pods; empty where they are not, or where that cannot be told
// from them alone. Selectors that speak of no label together count as being about different pods, as manifests of old rely on.
func Conflict(a, b *v1beta1.PodUnavailableBudget) string {
	target, named := Target(a)
	other, alsoNamed := Target(b)
	switch {
	case named != alsoNamed:
		return ""
	case named && target == other:
		return fmt.Sprintf("%s %s is the target of PodUnavailableBudget %s already", target.Kind, target.Name, b.Name)
	case named || !overlap(a.Spec.Selector, b.Spec.Selector):
		return ""
	default:
		return fmt.Sprintf("pods that it selects may be selected by PodUnavailableBudget %s, too (%s)", b.Name, metav1.FormatLabelSelector(b.Spec.Selector))
	}
}

// wanted is what selectors want of the values of one label.
type wanted struct {
	in             []string // nil: any
	notIn          []string
	exists, absent bool
}

// overlap says whether two selectors speak of a label together, and each such label can have a value that both want.
func overlap(a, b *metav1.LabelSelector) bool {
	of, others := wishes(a), wishes(b)
	shared := false
	for key, w := range of {
		other, both := others[key]
		if !both {
			continue
		}
		shared = true
		w.exists, w.absent, w.notIn = w.exists || other.exists, w.absent || other.absent, slices.Concat(w.notIn, other.notIn)
		w.among(other.in)
		if !w.possible() {
			return false
		}
	}
	return shared
}

func wishes(s *metav1.LabelSelector) map[string]wanted {
	out := map[string]wanted{}
	if s == nil {
		return out
	}
	for key, value := range s.MatchLabels {
		out[key] = wanted{in: []string{value}}
	}
	for _, r := range s.MatchExpressions {
		w := out[r.Key]
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			w.among(r.Values)
		case metav1.LabelSelectorOpNotIn:
			w.notIn = slices.Concat(w.notIn, r.Values)
		case metav1.LabelSelectorOpExists:
			w.exists = true
		case metav1.LabelSelectorOpDoesNotExist:
			w.absent = true
		}
		out[r.Key] = w
	}
	return out
}

// among narrows the values down to some; nil is any.
func (w *wanted) among(values []string) {
	switch {
	case values == nil:
	case w.in == nil:
		w.in = slices.Clone(values)
	default:
		w.in = slices.DeleteFunc(slices.Clone(w.in), func(v string) bool { return !slices.Contains(values, v) })
	}
}

func (w *wanted) possible() bool {
	if w.in == nil {
		return !w.exists || !w.absent
	}
	return !w.absent && slices.ContainsFunc(w.in, func(v string) bool { return !slices.Contains(w.notIn, v) })
}
