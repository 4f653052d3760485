package sidecar

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Conflicts says in what a set contradicts others that can match the same pods: containers of one name, different volumes of
// one name, and an annotation that both overwrite. Each error names the other set. A canary, its base and other canaries of it
// are never injected into one pod, and so contradict each other in nothing.
func Conflicts(set *v1beta1.SidecarSet, others []*v1beta1.SidecarSet) field.ErrorList {
	ours := &brought{containers: containersByName(set), volumes: map[string]*corev1.Volume{}, annotations: overwritten(set)}
	for i := range set.Spec.Volumes {
		ours.volumes[set.Spec.Volumes[i].Name] = &set.Spec.Volumes[i]
	}
	var errs field.ErrorList
	for _, other := range others {
		// What tells nearly all sets apart is looked for first, and then what nearly none has: there may be tens of thousands, of which each
		// has a container of the same name.
		if other.Name == set.Name || apart(set.Spec.Selector, other.Spec.Selector) {
			continue
		}
		if found := ours.against(other); len(found) > 0 && family(other) != family(set) && Overlap(set, other) {
			errs = append(errs, found...)
		}
	}
	slices.SortFunc(errs, func(a, b *field.Error) int { return strings.Compare(a.Error(), b.Error()) })
	return errs
}

// brought is what a set brings into pods, by name.
type brought struct {
	containers  map[string]*field.Path // the fields that they stand in
	volumes     map[string]*corev1.Volume
	annotations map[string]string // those that it overwrites
}

// against lists what another set brings otherwise.
func (b *brought) against(other *v1beta1.SidecarSet) field.ErrorList {
	spec := field.NewPath("spec")
	var found field.ErrorList
	clash := func(name string) {
		if at, ok := b.containers[name]; ok {
			found = append(found, field.Invalid(at, name, fmt.Sprintf("SidecarSet %s has a container of this name for pods that both can match", other.Name)))
		}
	}
	for _, list := range [][]v1beta1.SidecarContainer{other.Spec.Containers, other.Spec.InitContainers} {
		for i := range list {
			if c := &list[i]; !IsHot(c) {
				clash(c.Name)
			} else {
				working, idle := Twins(c.Name)
				clash(working)
				clash(idle)
			}
		}
	}
	for i := range other.Spec.Volumes {
		theirs := &other.Spec.Volumes[i]
		if ours, ok := b.volumes[theirs.Name]; ok && !equality.Semantic.DeepEqual(ours, theirs) {
			found = append(found, field.Invalid(spec.Child("volumes").Key(theirs.Name), theirs.Name,
				fmt.Sprintf("SidecarSet %s has another volume of this name for pods that both can match; volumes that share a name must be equal", other.Name)))
		}
	}
	if len(b.annotations) == 0 {
		return found
	}
	for key, value := range overwritten(other) {
		if ours, ok := b.annotations[key]; ok && ours != value {
			found = append(found, field.Invalid(spec.Child("patchPodMetadata"), key,
				fmt.Sprintf("SidecarSet %s overwrites this annotation, too, with another value, on pods that both can match", other.Name)))
		}
	}
	return found
}

// family is the set of which a set is the canary, or itself.
func family(set *v1beta1.SidecarSet) string {
	if base := Base(set); base != "" {
		return base
	}
	return set.Name
}

// containersByName maps the names that a set's containers have in pods to the fields that they stand in.
func containersByName(set *v1beta1.SidecarSet) map[string]*field.Path {
	out := map[string]*field.Path{}
	for list, containers := range map[string][]v1beta1.SidecarContainer{"containers": set.Spec.Containers, "initContainers": set.Spec.InitContainers} {
		for i := range containers {
			for _, name := range NamesInPod(&containers[i]) {
				out[name] = field.NewPath("spec", list).Index(i).Child("name")
			}
		}
	}
	return out
}

// overwritten are the annotations that a set overwrites.
func overwritten(set *v1beta1.SidecarSet) map[string]string {
	out := map[string]string{}
	for _, p := range set.Spec.PatchPodMetadata {
		if p.PatchPolicy == v1beta1.SidecarSetOverwritePatchPolicy {
			maps.Copy(out, p.Annotations)
		}
	}
	return out
}
