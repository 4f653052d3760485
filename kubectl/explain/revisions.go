package explain

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// Revision is a revision that pods have and that is not the one that is rolled out.
type Revision struct {
	Name string `json:"name"`
	// Pods is how many pods have it.
	Pods int `json:"pods"`
	// Differences say what the newest revision changes.
	Differences []string `json:"differences,omitempty"`
	// Method says how pods get from it to the newest one.
	Method string `json:"method"`
	// Blocked says what cannot be changed in place. Empty: everything can.
	Blocked string `json:"blocked,omitempty"`
}

// revisions tells of each older revision that pods have, in order.
func revisions(v *kinds.View, facts []replica.Replica) []Revision {
	pods := map[string]int{}
	for i := range facts {
		r := &facts[i]
		if !r.Active() || v.Rules.IsNew(r.Revision) {
			continue
		}
		name := r.Revision
		if kept := v.Named(name); kept != nil {
			name = kept.Name
		}
		pods[name]++
	}
	var out []Revision
	for _, name := range slices.Sorted(maps.Keys(pods)) {
		r := Revision{Name: name, Pods: pods[name], Differences: differences(v, name), Blocked: v.Change(name, v.Update).Blocked}
		r.Method = method(v, r.Blocked)
		out = append(out, r)
	}
	return out
}

// method says how a pod is brought to the newest revision, and why so, when blocked cannot be changed in place.
func method(v *kinds.View, blocked string) string {
	switch {
	case v.Rules.OnDelete:
		return "only when they are deleted (updateStrategy.type is OnDelete)"
	case v.Rules.Policy == v1beta1.RecreatePodUpdatePolicyType:
		return "by recreating them (" + v.Policy + ")"
	case blocked == "":
		return "in place"
	case v.Rules.Policy == v1beta1.InPlaceOnlyPodUpdatePolicyType:
		return fmt.Sprintf("not at all: %s, and this cannot be changed in place: %s", v.Policy, blocked)
	default:
		return fmt.Sprintf("by recreating them: this cannot be changed in place: %s", blocked)
	}
}

// differences says what a template has otherwise than that of an older revision, for what people look for first:
// images, resources, labels and annotations.
func differences(v *kinds.View, from string) []string {
	old, err := v.Template(from)
	if err != nil {
		return nil
	}
	next, err := v.Template(v.Update)
	if err != nil {
		return nil
	}
	var out []string
	out = append(out, containers("init container", old.Spec.InitContainers, next.Spec.InitContainers)...)
	out = append(out, containers("container", old.Spec.Containers, next.Spec.Containers)...)
	out = append(out, keys("label", old.Labels, next.Labels)...)
	return append(out, keys("annotation", old.Annotations, next.Annotations)...)
}

func containers(kind string, old, next []corev1.Container) []string {
	before := map[string]*corev1.Container{}
	for i := range old {
		before[old[i].Name] = &old[i]
	}
	var out []string
	for i := range next {
		c := &next[i]
		was := before[c.Name]
		delete(before, c.Name)
		switch {
		case was == nil:
			out = append(out, fmt.Sprintf("%s %s is new", kind, c.Name))
			continue
		case was.Image != c.Image:
			out = append(out, fmt.Sprintf("%s %s: image %s -> %s", kind, c.Name, was.Image, c.Image))
		}
		out = append(out, quantities(fmt.Sprintf("%s %s: request of", kind, c.Name), was.Resources.Requests, c.Resources.Requests)...)
		out = append(out, quantities(fmt.Sprintf("%s %s: limit of", kind, c.Name), was.Resources.Limits, c.Resources.Limits)...)
		if !equality.Semantic.DeepEqual(was.Env, c.Env) {
			out = append(out, fmt.Sprintf("%s %s: env", kind, c.Name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		out = append(out, fmt.Sprintf("%s %s is gone", kind, name))
	}
	return out
}

func quantities(of string, old, next corev1.ResourceList) []string {
	texts := func(list corev1.ResourceList) map[string]string {
		out := map[string]string{}
		for name, quantity := range list {
			out[string(name)] = quantity.String()
		}
		return out
	}
	return keys(of, texts(old), texts(next))
}

func keys(kind string, old, next map[string]string) []string {
	all := maps.Clone(old)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, next)
	var out []string
	for _, key := range slices.Sorted(maps.Keys(all)) {
		was, had := old[key]
		is, has := next[key]
		switch {
		case !has:
			out = append(out, fmt.Sprintf("%s %s is gone", kind, key))
		case !had:
			out = append(out, fmt.Sprintf("%s %s: %s", kind, key, is))
		case was != is:
			out = append(out, fmt.Sprintf("%s %s: %s -> %s", kind, key, was, is))
		}
	}
	return out
}

// short is the name of a revision as people tell it.
func short(name string) string { return revision.ShortHash(name) }
