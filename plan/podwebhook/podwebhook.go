// Package podwebhook decides which requests about pods the API server asks us about: the narrowest set of webhooks that
// the objects that exist ask for, within bounds that hold however many objects there are.
//
// It promises: where no object asks, there is no webhook; the namespaces of the cluster's own machinery and ours are in
// none; every request that an object asks about is asked about; and what is asked about beyond that grows only where the
// bounds leave no choice. Pods whose objects may be missed while nobody answers never wait for those whose may not. A pod
// that is being deleted waits for nobody, nor does one that mirrors a static pod.
//
// Demands that differ in names and values alone are one alternative of an expression, which finds them in a list, however
// many they are. Where an expression gets too long nevertheless, what takes most room is told less exactly: first whatever
// goes together (a namespace, the value of a label, the name of an owner) by itself, then without the values, then by
// namespaces alone, and without these at last. The conditions of a demand are never left out.
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
	// Owner is what controls the pods; nil is anything. It means nothing for an eviction.
	Owner *Owner
	// Conditions are CEL expressions that must hold, too, over object, oldObject and request, with names for people. They come
	// from the code and never from an object, so they are a handful, and none is ever left out. They must not fail for any pod:
	// a request for which one fails is treated as one that nobody answers.
	Conditions []admissionregistrationv1.MatchCondition
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

// The bounds. They keep a configuration far below what the API server stores, and an expression below what it reads, which is
// 100,000 characters, and evaluates.
const (
	// mostNamespaceSelectors is how many webhooks an operation and a policy have: each needs its own namespace selector.
	mostNamespaceSelectors = 8
	// mostBytes is how long the expressions of these together are, and how long their lists of namespaces.
	mostBytes = 64 << 10
	// mostAlternatives is how many alternatives an expression has, but for a few coarse ones, and mostRows how many values a
	// demand adds to one.
	mostAlternatives = 128
	mostRows         = 64
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
		parts := byNamespaceSelector(demands)
		for i, part := range parts {
			// Half of the room is shared by what is asked, half equally: a selector that few use is not told coarsely for those of many.
			w := narrow(part, mostBytes/2/len(parts)+mostBytes/2*len(part)/len(demands))
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
// selectors, they are told by one label that each requires; where even these are too many, none of them narrows anything.
func byNamespaceSelector(demands []Demand) [][]Demand {
	var out [][]Demand
	for _, tell := range []func([]Demand) []Demand{slices.Clone[[]Demand], byOneLabel, byNone} {
		parts := map[string][]Demand{}
		for _, d := range tell(demands) {
			text := ""
			if !everything(d.NamespaceSelector) {
				text = metav1.FormatLabelSelector(d.NamespaceSelector)
			}
			parts[text] = append(parts[text], d)
		}
		out = nil
		for _, text := range slices.Sorted(maps.Keys(parts)) {
			out = append(out, parts[text])
		}
		if len(out) <= mostNamespaceSelectors {
			break
		}
	}
	return out
}

// byOneLabel has namespaces selected by one label, with any of the values that some demand wants.
func byOneLabel(demands []Demand) []Demand {
	selectors := map[string]*metav1.LabelSelectorRequirement{}
	for _, d := range demands {
		r := required(d.NamespaceSelector)
		if r == nil {
			continue
		}
		union := selectors[r.Key]
		switch {
		case union == nil:
			selectors[r.Key] = r.DeepCopy()
		case r.Operator == metav1.LabelSelectorOpExists:
			union.Operator, union.Values = r.Operator, nil
		case union.Operator == metav1.LabelSelectorOpIn:
			union.Values = append(union.Values, r.Values...)
		}
	}
	for _, r := range selectors {
		if r.Values = distinct(r.Values); length(r.Values) > mostBytes/mostNamespaceSelectors {
			r.Operator, r.Values = metav1.LabelSelectorOpExists, nil
		}
	}
	out := byNone(demands)
	for i, d := range demands {
		if r := required(d.NamespaceSelector); r != nil {
			out[i].NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{*selectors[r.Key]}}
		}
	}
	return out
}

// byNone has all namespaces selected.
func byNone(demands []Demand) []Demand {
	out := slices.Clone(demands)
	for i := range out {
		out[i].NamespaceSelector = nil
	}
	return out
}

// narrow makes the webhook for demands that share a namespace selector, with an expression of so many bytes.
func narrow(demands []Demand, most int) Webhook {
	w := Webhook{NamespaceSelector: &metav1.LabelSelector{}}
	if first := demands[0].NamespaceSelector; first != nil {
		w.NamespaceSelector = sorted(first)
	}
	listed := namespaces(demands, most)
	if listed != nil {
		w.NamespaceSelector.MatchExpressions = append(w.NamespaceSelector.MatchExpressions, metav1.LabelSelectorRequirement{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: listed,
		})
	}
	demands = slices.Clone(demands)
	if shared := sharedSelector(demands); shared != nil {
		w.ObjectSelector = sorted(shared)
		for i := range demands {
			demands[i].Pods = nil
		}
	}
	w.MatchConditions = sharedConditions(demands)
	for i := range demands {
		demands[i].Conditions = slices.DeleteFunc(slices.Clone(demands[i].Conditions), func(c admissionregistrationv1.MatchCondition) bool {
			return slices.Contains(w.MatchConditions, c)
		})
	}
	if expression := asked(demands, listed, most); expression != "" {
		w.MatchConditions = append(w.MatchConditions, admissionregistrationv1.MatchCondition{Name: "asked-for", Expression: expression})
	}
	return w
}

// sharedConditions are those that all demands have.
func sharedConditions(demands []Demand) []admissionregistrationv1.MatchCondition {
	return slices.DeleteFunc(slices.Clone(demands[0].Conditions), func(c admissionregistrationv1.MatchCondition) bool {
		return slices.ContainsFunc(demands, func(d Demand) bool { return !slices.Contains(d.Conditions, c) })
	})
}

// namespaces lists the namespaces of demands that all name one; nil when one does not, or when they take more than so many
// bytes.
func namespaces(demands []Demand, most int) []string {
	var names []string
	for _, d := range demands {
		if d.Namespace == "" {
			return nil
		}
		names = append(names, d.Namespace)
	}
	if names = distinct(names); length(names) > most {
		return nil
	}
	return names
}

func length(values []string) int {
	sum := 0
	for _, value := range values {
		sum += len(value) + len(`"", `)
	}
	return sum
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
