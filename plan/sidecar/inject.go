package sidecar

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Injection is what one set puts into a pod.
type Injection struct {
	// Set is the set at the revision that the pod gets.
	Set *v1beta1.SidecarSet
	// Revision is the name of that revision; empty is unknown.
	Revision string
}

// Problem is a set that could not be injected, and why. Nothing of it is in the pod.
type Problem struct {
	Set string
	Err error
}

// Options say how pods are injected.
type Options struct {
	// Now is written into the records.
	Now metav1.Time
	// SortByName orders the containers of all sets by their names, and not by the names of the sets.
	SortByName bool
}

// placed is a container and where it stands.
type placed struct {
	corev1.Container
	place v1beta1.PodInjectPolicyType
}

// part is what one set adds.
type part struct {
	Injection
	hashes            Hashes
	containers, inits []placed
}

// Inject puts sets into a pod, and returns those that it could not put in. The record that the pod has of sets is replaced
// by one of these sets: what a pod says that was copied from another one does not count. A pod that gets no set stays as it
// is.
func Inject(pod *corev1.Pod, all []Injection, o Options) []Problem {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Injection) int { return byName(a.Set, b.Set) })
	sidecars := map[string]bool{}
	for _, in := range all {
		for i := range in.Set.Spec.Containers {
			for _, name := range NamesInPod(&in.Set.Spec.Containers[i]) {
				sidecars[name] = true
			}
		}
	}
	app := AppContainers(pod, sidecars)
	var parts []part
	var problems []Problem
	owners, annotations := map[string]string{}, pod.Annotations
	for _, in := range all {
		p, err := partOf(in, pod, app, owners)
		if err == nil {
			var next map[string]string
			if next, err = annotate(annotations, in.Set.Spec.PatchPodMetadata); err == nil {
				annotations = next
			}
		}
		if err != nil {
			problems = append(problems, Problem{Set: in.Set.Name, Err: err})
			continue
		}
		for _, c := range slices.Concat(p.containers, p.inits) {
			owners[c.Name] = in.Set.Name
		}
		parts = append(parts, p)
	}
	if len(parts) == 0 {
		return problems
	}
	written, err := recorded(pod, parts, o.Now)
	if err != nil {
		for _, p := range parts {
			problems = append(problems, Problem{Set: p.Set.Name, Err: err})
		}
		return problems
	}
	annotations = maps.Clone(annotations)
	maps.DeleteFunc(annotations, func(key, _ string) bool { return IsOwnAnnotation(key) })
	if annotations == nil {
		annotations = map[string]string{}
	}
	maps.Copy(annotations, written)
	pod.Annotations = annotations
	fill(pod, parts, o)
	return problems
}

// partOf makes what a set adds. owners are the sets that brought a container of a name before.
func partOf(in Injection, pod *corev1.Pod, app []*corev1.Container, owners map[string]string) (part, error) {
	p := part{Injection: in}
	var err error
	if p.hashes, err = Current(in.Set); err != nil {
		return p, err
	}
	list := func(from []v1beta1.SidecarContainer, otherwise v1beta1.PodInjectPolicyType) ([]placed, error) {
		var out []placed
		for i := range from {
			containers, err := Resolve(&from[i], pod, app)
			if err != nil {
				return nil, err
			}
			at := from[i].PodInjectPolicy
			if at == "" {
				at = otherwise
			}
			for _, c := range containers {
				if owner, ok := owners[c.Name]; ok {
					return nil, fmt.Errorf("container %s: SidecarSet %s has one of that name and is injected, too", c.Name, owner)
				}
				out = append(out, placed{c, at})
			}
		}
		return out, nil
	}
	if p.containers, err = list(in.Set.Spec.Containers, v1beta1.BeforeAppContainerType); err != nil {
		return p, err
	}
	p.inits, err = list(in.Set.Spec.InitContainers, v1beta1.AfterAppContainerType)
	return p, err
}

// recorded are the annotations that say what was injected.
func recorded(pod *corev1.Pod, parts []part, now metav1.Time) (map[string]string, error) {
	before, err := Read(pod)
	if err != nil {
		before = &Record{} // of a pod that this one was copied from, or nobody's
	}
	r := &Record{Hash: map[string]v1beta1.SidecarSetUpgradeSpec{}, WithoutImage: map[string]v1beta1.SidecarSetUpgradeSpec{}, Working: map[string]string{}}
	versions := map[string]string{}
	for _, p := range parts {
		entry := v1beta1.SidecarSetUpgradeSpec{
			UpdateTimestamp: now, SidecarSetHash: p.hashes.All, SidecarSetName: p.Set.Name, SidecarSetControllerRevision: p.Revision, SidecarList: []string{},
		}
		for _, c := range LongRunning(p.Set) {
			entry.SidecarList = append(entry.SidecarList, c.Name)
			if !IsHot(c) {
				continue
			}
			working, idle := Twins(c.Name)
			r.Working[c.Name] = working
			versions[v1beta1.SidecarSetVersionKeyPrefix+working], versions[v1beta1.SidecarSetVersionAltKeyPrefix+working] = "1", "0"
			versions[v1beta1.SidecarSetVersionKeyPrefix+idle], versions[v1beta1.SidecarSetVersionAltKeyPrefix+idle] = "0", "1"
		}
		slices.Sort(entry.SidecarList)
		if had := before.Hash[p.Set.Name]; had.SidecarSetHash == entry.SidecarSetHash && had.SidecarSetControllerRevision == entry.SidecarSetControllerRevision && !had.UpdateTimestamp.IsZero() {
			entry.UpdateTimestamp = had.UpdateTimestamp // the pod comes a second time
		}
		r.Hash[p.Set.Name] = entry
		entry.SidecarSetHash = p.hashes.WithoutImage
		r.WithoutImage[p.Set.Name] = entry
	}
	out, err := r.Annotations()
	if err != nil {
		return nil, err
	}
	maps.Copy(out, versions)
	return out, nil
}

// fill puts containers, volumes and pull secrets into the pod.
func fill(pod *corev1.Pod, parts []part, o Options) {
	var containers, inits []placed
	for _, p := range parts {
		containers, inits = append(containers, p.containers...), append(inits, p.inits...)
		for _, v := range p.Set.Spec.Volumes {
			if !slices.ContainsFunc(pod.Spec.Volumes, func(has corev1.Volume) bool { return has.Name == v.Name }) {
				pod.Spec.Volumes = append(pod.Spec.Volumes, *v.DeepCopy())
			}
		}
		for _, s := range p.Set.Spec.ImagePullSecrets {
			if !slices.Contains(pod.Spec.ImagePullSecrets, s) {
				pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, s)
			}
		}
	}
	byContainer := func(a, b placed) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(inits, byContainer)
	if o.SortByName {
		slices.SortFunc(containers, byContainer)
	}
	pod.Spec.InitContainers = among(pod.Spec.InitContainers, inits)
	pod.Spec.Containers = among(pod.Spec.Containers, containers)
}

// among puts sidecars before and behind what is there; one whose name is there takes that place.
func among(there []corev1.Container, sidecars []placed) []corev1.Container {
	there = slices.Clone(there)
	var before, behind []corev1.Container
	for _, s := range sidecars {
		i := slices.IndexFunc(there, func(c corev1.Container) bool { return c.Name == s.Name })
		switch {
		case i >= 0:
			there[i] = s.Container
		case s.place == v1beta1.BeforeAppContainerType:
			before = append(before, s.Container)
		default:
			behind = append(behind, s.Container)
		}
	}
	return slices.Concat(before, there, behind)
}
