package podwebhook

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// asked is the expression that holds for every request that one of the demands is about; empty when it may be any.
func asked(demands []Demand) string {
	for _, terms := range []func([]Demand) []string{exactly, byValue, byKey} {
		found := terms(demands)
		if slices.Contains(found, "") {
			return ""
		}
		if expression := strings.Join(found, " || "); len(found) <= mostTerms && len(expression) <= mostExpression {
			return expression
		}
	}
	return ""
}

// exactly has a term for each demand; equal ones stand once.
func exactly(demands []Demand) []string {
	var terms []string
	for _, d := range demands {
		var parts []string
		if d.Namespace != "" {
			parts = append(parts, "request.namespace == "+strconv.Quote(d.Namespace))
		}
		if d.Operation != Evict && d.Pods != nil {
			for _, r := range requirements(d.Pods) {
				parts = append(parts, labelTerm(d.Operation, r))
			}
		}
		if d.Condition != "" {
			parts = append(parts, "("+d.Condition+")")
		}
		terms = append(terms, joined(parts))
	}
	return distinct(terms)
}

// byValue asks for one label that each demand requires, with the values that any of them wants.
func byValue(demands []Demand) []string {
	values, rest, total := map[string][]string{}, []string(nil), 0
	for _, d := range demands {
		r := required(d)
		if r == nil || len(r.Values) == 0 {
			rest = append(rest, coarse(d, r))
			continue
		}
		values[r.Key] = append(values[r.Key], r.Values...)
	}
	for key := range values {
		slices.Sort(values[key])
		values[key] = slices.Compact(values[key])
		total += len(values[key])
	}
	if total > mostValues {
		return byKey(demands)
	}
	for key, wanted := range values {
		rest = append(rest, labelTerm(demands[0].Operation, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: wanted}))
	}
	return distinct(rest)
}

// byKey asks for one label that each demand requires, whatever its value.
func byKey(demands []Demand) []string {
	var terms []string
	for _, d := range demands {
		terms = append(terms, coarse(d, required(d)))
	}
	return distinct(terms)
}

// coarse is the term for the key of a requirement or, where a demand requires no label, for its condition alone.
func coarse(d Demand, r *metav1.LabelSelectorRequirement) string {
	switch {
	case r != nil:
		return labelTerm(d.Operation, metav1.LabelSelectorRequirement{Key: r.Key, Operator: metav1.LabelSelectorOpExists})
	case d.Condition != "":
		return "(" + d.Condition + ")"
	default:
		return ""
	}
}

// required is a label that every pod of a demand has: one with known values before one with any, else the first by name.
func required(d Demand) *metav1.LabelSelectorRequirement {
	if d.Operation == Evict || d.Pods == nil {
		return nil
	}
	var some *metav1.LabelSelectorRequirement
	for _, r := range requirements(d.Pods) {
		switch {
		case r.Operator == metav1.LabelSelectorOpIn:
			return &r
		case r.Operator == metav1.LabelSelectorOpExists && some == nil:
			some = &r
		}
	}
	return some
}

// requirements lists what a selector requires, in the order of keys.
func requirements(s *metav1.LabelSelector) []metav1.LabelSelectorRequirement {
	var out []metav1.LabelSelectorRequirement
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		out = append(out, metav1.LabelSelectorRequirement{Key: key, Operator: metav1.LabelSelectorOpIn, Values: []string{s.MatchLabels[key]}})
	}
	out = append(out, sorted(s).MatchExpressions...)
	slices.SortStableFunc(out, func(a, b metav1.LabelSelectorRequirement) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// sorted is a copy of a selector that does not depend on the order in which it was written.
func sorted(s *metav1.LabelSelector) *metav1.LabelSelector {
	out := s.DeepCopy()
	for i := range out.MatchExpressions {
		slices.Sort(out.MatchExpressions[i].Values)
	}
	slices.SortFunc(out.MatchExpressions, func(a, b metav1.LabelSelectorRequirement) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), strings.Compare(string(a.Operator), string(b.Operator)), slices.Compare(a.Values, b.Values))
	})
	return out
}

// labelTerm is the expression for one requirement. What a pod is before a change counts, so that no change of its labels
// takes it out of what it was in.
func labelTerm(o Operation, r metav1.LabelSelectorRequirement) string {
	labels := "object.metadata.labels"
	if o != Create {
		labels = "oldObject.metadata.labels"
	}
	key := strconv.Quote(r.Key)
	there := fmt.Sprintf("has(%s) && %s in %s", labels, key, labels)
	var quoted []string
	for _, value := range r.Values {
		quoted = append(quoted, strconv.Quote(value))
	}
	slices.Sort(quoted)
	among := fmt.Sprintf("%s && %s[%s] in [%s]", there, labels, key, strings.Join(quoted, ", "))
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return among
	case metav1.LabelSelectorOpNotIn:
		return "!(" + among + ")"
	case metav1.LabelSelectorOpExists:
		return there
	default: // DoesNotExist
		return "!(" + there + ")"
	}
}

func joined(parts []string) string {
	if len(parts) == 0 {
		return ""
	}
	return "(" + strings.Join(parts, " && ") + ")"
}

func distinct(terms []string) []string {
	slices.Sort(terms)
	return slices.Compact(terms)
}
