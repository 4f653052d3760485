package sidecar

import (
	"cmp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Matches says whether a set is about a pod, in a namespace with these labels. Whether it injects is another question.
func Matches(set *v1beta1.SidecarSet, pod *corev1.Pod, namespace map[string]string) bool {
	return compile(set).match(labels.Set(namespace), labels.Set(pod.Labels))
}

// Injects says whether a set injects into new pods at all: it is neither paused nor being deleted.
func Injects(set *v1beta1.SidecarSet) bool {
	return set.DeletionTimestamp == nil && !set.Spec.InjectionStrategy.Paused
}

// Namespaces lists the namespaces of a set that names them, by the label kubernetes.io/metadata.name and by nothing else.
func Namespaces(set *v1beta1.SidecarSet) (names []string, only bool) {
	s := set.Spec.NamespaceSelector
	switch {
	case s == nil || len(s.MatchLabels)+len(s.MatchExpressions) != 1:
		return nil, false
	case len(s.MatchLabels) == 1:
		name, only := s.MatchLabels[corev1.LabelMetadataName]
		return []string{name}, only
	default:
		r := s.MatchExpressions[0]
		return r.Values, r.Key == corev1.LabelMetadataName && r.Operator == metav1.LabelSelectorOpIn
	}
}

// Base is the set that a canary stands in for; empty for a set that is no canary.
func Base(set *v1beta1.SidecarSet) string {
	if set.Annotations[v1beta1.SidecarSetCanaryKey] != "true" {
		return ""
	}
	return set.Annotations[v1beta1.SidecarSetBaseKey]
}

// Chosen returns the sets that are injected into a pod, out of those that match it, in the order of their names. A canary
// takes the place of its base; of several canaries of one base the first by name does, and the others are left out.
func Chosen(matching []*v1beta1.SidecarSet) []*v1beta1.SidecarSet {
	all := slices.Clone(matching)
	slices.SortFunc(all, byName)
	canaries := map[string]string{}
	for _, set := range all {
		if base := Base(set); base != "" && canaries[base] == "" && Injects(set) {
			canaries[base] = set.Name
		}
	}
	return slices.DeleteFunc(all, func(set *v1beta1.SidecarSet) bool {
		canary, base := canaries[set.Name], Base(set)
		return !Injects(set) || canary != "" || base != "" && canaries[base] != set.Name
	})
}

func byName(a, b *v1beta1.SidecarSet) int { return strings.Compare(a.Name, b.Name) }

// compiled is a set with its selectors as they can be used often.
type compiled struct {
	set              *v1beta1.SidecarSet
	namespaces, pods labels.Selector
}

// compile reads the selectors of a set. One that cannot be read, or an empty selector of pods, selects nothing.
func compile(set *v1beta1.SidecarSet) compiled {
	pods, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil || pods.Empty() {
		pods = labels.Nothing()
	}
	namespaces := labels.Everything()
	if set.Spec.NamespaceSelector != nil {
		if namespaces, err = metav1.LabelSelectorAsSelector(set.Spec.NamespaceSelector); err != nil {
			namespaces = labels.Nothing()
		}
	}
	return compiled{set, namespaces, pods}
}

func (c compiled) match(namespace, pod labels.Labels) bool {
	return c.pods.Matches(pod) && c.namespaces.Matches(namespace)
}

// Overlap says whether there can be a pod, in some namespace, that both sets match.
func Overlap(a, b *v1beta1.SidecarSet) bool {
	return satisfiable(a.Spec.Selector, b.Spec.Selector) && satisfiable(a.Spec.NamespaceSelector, b.Spec.NamespaceSelector)
}

// apart says whether two selectors want different values of a label. It tells most that are satisfied by different pods alone, at once.
func apart(a, b *metav1.LabelSelector) bool {
	if a == nil || b == nil {
		return false
	}
	for key, value := range a.MatchLabels {
		if other, wants := b.MatchLabels[key]; wants && other != value {
			return true
		}
	}
	return false
}

// satisfiable says whether some labels satisfy all selectors, of which nil is satisfied by any. Requirements of different
// keys never contradict each other.
func satisfiable(selectors ...*metav1.LabelSelector) bool {
	byKey := map[string][]metav1.LabelSelectorRequirement{}
	for _, s := range selectors {
		if s == nil {
			continue
		}
		for key, value := range s.MatchLabels {
			byKey[key] = append(byKey[key], metav1.LabelSelectorRequirement{Operator: metav1.LabelSelectorOpIn, Values: []string{value}})
		}
		for _, r := range s.MatchExpressions {
			byKey[r.Key] = append(byKey[r.Key], r)
		}
	}
	for _, requirements := range byKey {
		if !possible(requirements) {
			return false
		}
	}
	return true
}

// possible says whether a label can satisfy all requirements, which are of one key.
func possible(requirements []metav1.LabelSelectorRequirement) bool {
	var allowed, forbidden []string
	var limited, there, absent bool
	for _, r := range requirements {
		switch r.Operator {
		case metav1.LabelSelectorOpIn:
			if limited {
				allowed = slices.DeleteFunc(allowed, func(v string) bool { return !slices.Contains(r.Values, v) })
			} else {
				allowed, limited = slices.Clone(r.Values), true
			}
			there = true
		case metav1.LabelSelectorOpNotIn:
			forbidden = append(forbidden, r.Values...)
		case metav1.LabelSelectorOpExists:
			there = true
		case metav1.LabelSelectorOpDoesNotExist:
			absent = true
		}
	}
	if absent {
		return !there
	}
	return !limited || slices.ContainsFunc(allowed, func(v string) bool { return !slices.Contains(forbidden, v) })
}

// Since is when a set began to select what it selects now, as far as is known: pods that were created before had no reason to
// be injected.
func Since(set *v1beta1.SidecarSet) metav1.Time {
	at := set.CreationTimestamp
	if text := set.Annotations[v1beta1.SidecarSetSelectsSinceKey]; text != "" {
		if t, err := time.Parse(time.RFC3339, text); err == nil && at.Time.Before(t) {
			at = metav1.NewTime(t)
		}
	}
	return at
}

// StampSince writes down that a set selects other pods than before, from now on.
func StampSince(set, old *v1beta1.SidecarSet, now metav1.Time) {
	if old == nil || SameSelection(set, old) {
		return
	}
	metav1.SetMetaDataAnnotation(&set.ObjectMeta, v1beta1.SidecarSetSelectsSinceKey, now.UTC().Format(time.RFC3339))
}

// SameSelection says whether two versions of a set select the same pods, and are paused alike.
func SameSelection(a, b *v1beta1.SidecarSet) bool {
	return a.Spec.InjectionStrategy.Paused == b.Spec.InjectionStrategy.Paused &&
		metav1.FormatLabelSelector(a.Spec.Selector) == metav1.FormatLabelSelector(b.Spec.Selector) &&
		metav1.FormatLabelSelector(a.Spec.NamespaceSelector) == metav1.FormatLabelSelector(b.Spec.NamespaceSelector)
}

// Missed names the sets that should have been injected into a pod and were not, in the order of their names, out of the sets
// given: those that match it and inject, since before it was created. They are what a manager that did not answer cost, where
// the webhook lets pods through, or what the API server's view of its webhooks did, which lags about a second behind a new
// set. Pods that have ended or are being deleted miss nothing. namespace are the labels of the pod's namespace; whoever asks
// leaves out the namespaces into which nothing is ever injected, and gives a base together with its canaries.
func Missed(pod *corev1.Pod, namespace map[string]string, sets []*v1beta1.SidecarSet) []string {
	_, mirror := pod.Annotations[corev1.MirrorPodAnnotationKey]
	if mirror || pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed {
		return nil
	}
	var matching []*v1beta1.SidecarSet
	for _, set := range sets {
		if Matches(set, pod, namespace) {
			matching = append(matching, set)
		}
	}
	injected := InjectedSets(pod)
	var out []string
	for _, set := range Chosen(matching) {
		// A pod that has the base was created before the canary, or before it selected the pod: it has its sidecars.
		has := slices.Contains(injected, set.Name) || slices.Contains(injected, cmp.Or(Base(set), set.Name))
		if since := Since(set); !has && !pod.CreationTimestamp.Before(&since) && !stoodIn(pod, set) {
			out = append(out, set.Name)
		}
	}
	return out
}

// stoodIn says whether a pod has the sidecars of a set from another one, which may be paused or gone by now: only a canary may
// have containers of the same names.
func stoodIn(pod *corev1.Pod, set *v1beta1.SidecarSet) bool {
	record, err := Read(pod)
	sidecars := LongRunning(set)
	if err != nil || len(sidecars) == 0 {
		return false
	}
	for name, entry := range record.Hash {
		if name != set.Name && !slices.ContainsFunc(sidecars, func(c *v1beta1.SidecarContainer) bool { return !slices.Contains(entry.SidecarList, c.Name) }) {
			return true
		}
	}
	return false
}
