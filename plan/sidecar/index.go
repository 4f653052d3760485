package sidecar

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Index finds the sets that match a pod without looking at all of them: each set stands under labels that every pod, and
// every namespace of one, must have to be selected, and a pod is asked for under its own labels alone. The zero value is
// ready for use; it is not safe for use by several goroutines.
//
// A set stands under the requirements under which the fewest stand so far, so that a label that all sets ask for, with one
// value, does not make the index a list. Only sets that require no label at all are looked at for every pod.
type Index struct {
	sets   map[string]indexed
	places map[place]map[place]map[string]compiled // by the labels of the namespace, then those of the pod, then the name
}

// place is a label with a value, or with any value, or (the zero place) no label.
type place struct {
	key, value string
	anyValue   bool
}

// indexed is where a set stands.
type indexed struct{ namespaces, pods []place }

// mostValues is how many values of a label a set may stand under.
const mostValues = 64

// Put adds a set or replaces the one of its name. A set that does not inject is taken out.
func (x *Index) Put(set *v1beta1.SidecarSet) {
	x.Delete(set.Name)
	if !Injects(set) {
		return
	}
	c := compile(set)
	if x.sets == nil {
		x.sets, x.places = map[string]indexed{}, map[place]map[place]map[string]compiled{}
	}
	var at indexed
	fewest := -1
	for _, namespaces := range placesOf(set.Spec.NamespaceSelector) {
		for _, pods := range placesOf(set.Spec.Selector) {
			if n := x.population(namespaces, pods); fewest < 0 || n < fewest {
				at, fewest = indexed{namespaces, pods}, n
			}
		}
	}
	x.sets[set.Name] = at
	for _, n := range at.namespaces {
		if x.places[n] == nil {
			x.places[n] = map[place]map[string]compiled{}
		}
		for _, p := range at.pods {
			if x.places[n][p] == nil {
				x.places[n][p] = map[string]compiled{}
			}
			x.places[n][p][set.Name] = c
		}
	}
}

// Delete takes a set out.
func (x *Index) Delete(name string) {
	at, ok := x.sets[name]
	if !ok {
		return
	}
	delete(x.sets, name)
	for _, n := range at.namespaces {
		for _, p := range at.pods {
			delete(x.places[n][p], name)
			if len(x.places[n][p]) == 0 {
				delete(x.places[n], p)
			}
		}
		if len(x.places[n]) == 0 {
			delete(x.places, n)
		}
	}
}

// Len is the number of sets that inject.
func (x *Index) Len() int { return len(x.sets) }

// Matching lists the sets that match a pod with these labels in a namespace with those, in the order of their names.
func (x *Index) Matching(namespace, pod map[string]string) []*v1beta1.SidecarSet {
	var out []*v1beta1.SidecarSet
	podPlaces := under(pod)
	for _, n := range under(namespace) {
		byPod, ok := x.places[n]
		if !ok {
			continue
		}
		for _, p := range podPlaces {
			for _, c := range byPod[p] {
				if c.match(labels.Set(namespace), labels.Set(pod)) {
					out = append(out, c.set)
				}
			}
		}
	}
	slices.SortFunc(out, byName)
	return slices.CompactFunc(out, func(a, b *v1beta1.SidecarSet) bool { return a.Name == b.Name })
}

// All lists the sets that inject, in no order.
func (x *Index) All() []*v1beta1.SidecarSet {
	out := make([]*v1beta1.SidecarSet, 0, len(x.sets))
	for name, at := range x.sets {
		out = append(out, x.places[at.namespaces[0]][at.pods[0]][name].set)
	}
	return out
}

// population is how many sets stand under such places.
func (x *Index) population(namespaces, pods []place) int {
	total := 0
	for _, n := range namespaces {
		for _, p := range pods {
			total += len(x.places[n][p])
		}
	}
	return total
}

// under lists the places under which a set may stand that selects these labels.
func under(have map[string]string) []place {
	out := make([]place, 0, 2*len(have)+1)
	out = append(out, place{})
	for key, value := range have {
		out = append(out, place{key: key, value: value}, place{key: key, anyValue: true})
	}
	return out
}

// placesOf lists what a selector requires, each requirement as the places of which its labels have one. A selector that
// requires no label has one entry, no label.
func placesOf(s *metav1.LabelSelector) [][]place {
	var out [][]place
	if s != nil {
		for key, value := range s.MatchLabels {
			out = append(out, []place{{key: key, value: value}})
		}
		for _, r := range s.MatchExpressions {
			switch {
			case r.Operator == metav1.LabelSelectorOpIn && len(r.Values) > 0 && len(r.Values) <= mostValues:
				var values []place
				for _, value := range r.Values {
					values = append(values, place{key: r.Key, value: value})
				}
				out = append(out, values)
			case r.Operator == metav1.LabelSelectorOpIn, r.Operator == metav1.LabelSelectorOpExists:
				out = append(out, []place{{key: r.Key, anyValue: true}})
			}
		}
	}
	if len(out) == 0 {
		return [][]place{{{}}}
	}
	return out
}
