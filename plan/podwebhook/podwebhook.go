// Package podwebhook decides which requests about pods the API server asks us about: the narrowest set of webhooks that
// the objects that exist ask for, within bounds that hold however many objects there are.
//
// It promises: where no object asks, there is no webhook; the namespaces of the cluster's own machinery and ours are in
// none; every request that an object asks about is asked about; and what is asked about beyond that grows only where the
// bounds leave no choice. Pods whose objects may be missed while nobody answers never wait for those whose may not. A pod
// that is being deleted waits for nobody, nor does one that mirrors a static pod.
//
// Many objects are narrowed down in steps, each taken only where the one before is too big: exactly their namespaces and
// selectors; the values of one label that each requires; the keys of those labels; the namespaces alone.
package podwebhook

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Operation is a sort of request about a pod.
type Operation string

// The operations. An eviction is a request of its own, which knows the namespace and the name of the pod and no label.
const (
	Create Operation = "create"
	Update Operation = "update"
	Delete Operation = "delete"
	Evict  Operation = "evict"
)

// Demand is what one object asks: that requests about these pods are sent to us.
type Demand struct {
	// Operation is the sort of request.
	Operation Operation
	// Policy says what becomes of such a request while nobody answers.
	Policy admissionregistrationv1.FailurePolicyType
	// Namespace is the only namespace; empty is any.
	Namespace string
	// NamespaceSelector selects namespaces by label; nil is any.
	NamespaceSelector *metav1.LabelSelector
	// Pods selects pods by label; nil is any. It means nothing for an eviction.
	Pods *metav1.LabelSelector
	// Condition is a CEL expression that must hold, too, over object, oldObject and request; empty is none. It must not fail
	// for any pod: a request for which it fails is treated as one that nobody answers.
	Condition string
}

// Webhook is one webhook of a configuration.
type Webhook struct {
	// Name is unique among all webhooks, and says what they are for.
	Name              string
	Operation         Operation
	Policy            admissionregistrationv1.FailurePolicyType
	NamespaceSelector *metav1.LabelSelector
	ObjectSelector    *metav1.LabelSelector
	MatchConditions   []admissionregistrationv1.MatchCondition
}

// The bounds. They keep a configuration far below what the API server stores, and an expression below what it evaluates.
const (
	// mostNamespaceSelectors is how many webhooks an operation and a policy have: each needs its own namespace selector.
	mostNamespaceSelectors = 8
	// mostNamespaces is how many namespaces are named.
	mostNamespaces = 200
	// mostTerms is how many alternatives an expression has, mostValues how many values of labels, mostExpression how long it is.
	mostTerms      = 32
	mostValues     = 500
	mostExpression = 16 << 10
)

// For returns the webhooks that the demands add up to, in the order of their names. Reserved namespaces are in none.
func For(demands []Demand, reserved []string) []Webhook {
	type group struct {
		operation Operation
		policy    admissionregistrationv1.FailurePolicyType
	}
	groups := map[group][]Demand{}
	for _, d := range demands {
		if !slices.Contains(reserved, d.Namespace) && understood(d.NamespaceSelector) && understood(d.Pods) {
			key := group{d.Operation, d.Policy}
			groups[key] = append(groups[key], d)
		}
	}
	var out []Webhook
	for key, demands := range groups {
		for i, part := range byNamespaceSelector(demands) {
			w := narrow(part)
			w.Operation, w.Policy = key.operation, key.policy
			w.Name = fmt.Sprintf("%s-%s-%d.%s", key.operation, strings.ToLower(string(key.policy)), i, family(key.operation))
			w.NamespaceSelector.MatchExpressions = append(w.NamespaceSelector.MatchExpressions, metav1.LabelSelectorRequirement{
				Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: slices.Sorted(slices.Values(reserved)),
			})
			w.MatchConditions = append(never(key.operation), w.MatchConditions...)
			out = append(out, w)
		}
	}
	slices.SortFunc(out, func(a, b Webhook) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// family ends the names of the webhooks of an operation, as users of other releases know them from refusals.
func family(o Operation) string {
	switch o {
	case Create:
		return "mpod.kb.io"
	case Evict:
		return "vpodeviction.kb.io"
	default:
		return "vpod.kb.io"
	}
}

// never are the conditions under which no object may ask: kubelet must be able to show its static pods and to take away
// what has stopped, and everybody to take off a finalizer.
func never(o Operation) []admissionregistrationv1.MatchCondition {
	switch o {
	case Create:
		return []admissionregistrationv1.MatchCondition{{
			Name:       "not-a-mirror-of-a-static-pod",
			Expression: fmt.Sprintf("!(has(object.metadata.annotations) && %q in object.metadata.annotations)", corev1.MirrorPodAnnotationKey),
		}}
	case Update, Delete:
		return []admissionregistrationv1.MatchCondition{{
			Name:       "not-being-deleted",
			Expression: "!has(oldObject.metadata.deletionTimestamp)",
		}}
	default:
		return nil
	}
}

// byNamespaceSelector splits demands by their namespace selector, the ones without any first. Where there are too many
// selectors, none of them narrows anything.
func byNamespaceSelector(demands []Demand) [][]Demand {
	parts := map[string][]Demand{}
	for _, d := range demands {
		text := ""
		if !everything(d.NamespaceSelector) {
			text = metav1.FormatLabelSelector(d.NamespaceSelector)
		}
		parts[text] = append(parts[text], d)
	}
	if len(parts) > mostNamespaceSelectors {
		all := slices.Clone(demands)
		for i := range all {
			all[i].NamespaceSelector = nil
		}
		return [][]Demand{all}
	}
	var out [][]Demand
	for _, text := range slices.Sorted(maps.Keys(parts)) {
		out = append(out, parts[text])
	}
	return out
}

// narrow makes the webhook for demands that share a namespace selector.
func narrow(demands []Demand) Webhook {
	w := Webhook{NamespaceSelector: &metav1.LabelSelector{}}
	if first := demands[0].NamespaceSelector; first != nil {
		w.NamespaceSelector = sorted(first)
	}
	if names := namespaces(demands); names != nil {
		w.NamespaceSelector.MatchExpressions = append(w.NamespaceSelector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: names,
		})
		if len(names) == 1 { // then no term needs to say so
			demands = slices.Clone(demands)
			for i := range demands {
				demands[i].Namespace = ""
			}
		}
	}
	if shared := sharedSelector(demands); shared != nil {
		w.ObjectSelector = sorted(shared)
		demands = slices.Clone(demands)
		for i := range demands {
			demands[i].Pods = nil
		}
	}
	if expression := asked(demands); expression != "" {
		w.MatchConditions = []admissionregistrationv1.MatchCondition{{Name: "asked-for", Expression: expression}}
	}
	return w
}

// namespaces lists the namespaces of demands that all name one; nil when one does not, or when they are too many to list.
func namespaces(demands []Demand) []string {
	var names []string
	for _, d := range demands {
		if d.Namespace == "" {
			return nil
		}
		names = append(names, d.Namespace)
	}
	slices.Sort(names)
	if names = slices.Compact(names); len(names) > mostNamespaces {
		return nil
	}
	return names
}

// sharedSelector is the pod selector that all demands have, if it can be the webhook's own; an eviction has no labels.
func sharedSelector(demands []Demand) *metav1.LabelSelector {
	first := demands[0]
	if first.Operation == Evict || everything(first.Pods) {
		return nil
	}
	text := metav1.FormatLabelSelector(first.Pods)
	for _, d := range demands[1:] {
		if everything(d.Pods) || metav1.FormatLabelSelector(d.Pods) != text {
			return nil
		}
	}
	return first.Pods
}

func everything(s *metav1.LabelSelector) bool {
	return s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0
}

// understood says whether a selector can be a webhook's. One that cannot selects nothing, whoever it belongs to.
func understood(s *metav1.LabelSelector) bool {
	_, err := metav1.LabelSelectorAsSelector(s)
	return err == nil
}
