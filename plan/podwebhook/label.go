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

// metadata is that of the pod that counts. What a pod is before a change does, so that no change of its labels takes it out of
// what it was in.
func metadata(o Operation) string {
	if o == Create {
		return "object.metadata"
	}
	return "oldObject.metadata"
}

// label is the value of a label, where it is there.
func label(o Operation, key string) string {
	return fmt.Sprintf("%s.labels[%s]", metadata(o), strconv.Quote(key))
}

// there says that a label is there.
func there(o Operation, key string) string {
	return fmt.Sprintf("has(%[1]s.labels) && %[2]s in %[1]s.labels", metadata(o), strconv.Quote(key))
}

// within says that an expression has one of some values, which are sorted.
func within(expression string, values []string) string {
	if len(values) == 1 {
		return expression + " == " + strconv.Quote(values[0])
	}
	var quoted []string
	for _, value := range values {
		quoted = append(quoted, strconv.Quote(value))
	}
	return expression + " in [" + strings.Join(quoted, ", ") + "]"
}

// met says that a pod meets one requirement.
func met(o Operation, r metav1.LabelSelectorRequirement) string {
	among := there(o, r.Key) + " && " + within(label(o, r.Key), r.Values)
	switch r.Operator {
	case metav1.LabelSelectorOpIn:
		return among
	case metav1.LabelSelectorOpNotIn:
		return "!(" + among + ")"
	case metav1.LabelSelectorOpExists:
		return there(o, r.Key)
	default: // DoesNotExist
		return "!(" + there(o, r.Key) + ")"
	}
}

// required is a label that everything has that a selector selects: one with known values before one with any, else the first
// by name. Nil: there is none.
func required(s *metav1.LabelSelector) *metav1.LabelSelectorRequirement {
	if s == nil {
		return nil
	}
	var some *metav1.LabelSelectorRequirement
	for _, r := range requirements(s) {
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

func everything(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// understood says whether a selector can be a webhook's. One that cannot selects nothing, whoever it belongs to.
func understood(s *metav1.LabelSelector) bool {
	_, err := metav1.LabelSelectorAsSelector(s)
	return err == nil
}
