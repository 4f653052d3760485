package inplace

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/revision"
)

// work is what is to be changed in the containers of a pod, by container name.
type work struct {
	images    map[string]string
	metadata  map[string]metav1.ObjectMeta // labels and annotations that the container takes into its environment
	resources map[string]corev1.ResourceRequirements
}

func (w work) empty() bool { return len(w.images)+len(w.metadata)+len(w.resources) == 0 }

// restarts says whether the work restarts a container: kubelet for its image or its resources, or the agent for its env.
func (w work) restarts(c *corev1.Container) bool {
	_, image := w.images[c.Name]
	_, env := w.metadata[c.Name]
	return image || env || restartsFor(c, w.resources[c.Name])
}

// restartsAny says whether the work restarts a container of the pod.
func (w work) restartsAny(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return w.restarts(&c) })
}

// names are the containers that the work is about, in order.
func (w work) names() []string {
	out := slices.Concat(slices.Collect(maps.Keys(w.images)), slices.Collect(maps.Keys(w.metadata)), slices.Collect(maps.Keys(w.resources)))
	slices.Sort(out)
	return slices.Compact(out)
}

// over is the work overlaid with newer work.
func (w work) over(newer work) work {
	out := work{images: merged(w.images, newer.images), metadata: map[string]metav1.ObjectMeta{}, resources: maps.Clone(w.resources)}
	for _, m := range []map[string]metav1.ObjectMeta{w.metadata, newer.metadata} {
		for name, meta := range m {
			out.metadata[name] = metav1.ObjectMeta{
				Labels:      merged(out.metadata[name].Labels, meta.Labels),
				Annotations: merged(out.metadata[name].Annotations, meta.Annotations),
			}
		}
	}
	if out.resources == nil {
		out.resources = map[string]corev1.ResourceRequirements{}
	}
	for name, r := range newer.resources {
		out.resources[name] = mergedResources(out.resources[name], r)
	}
	return out
}

// left is the work without what the pod has already, and without containers that it does not have.
func (w work) left(pod *corev1.Pod) work {
	out := work{images: map[string]string{}, metadata: map[string]metav1.ObjectMeta{}, resources: map[string]corev1.ResourceRequirements{}}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if image, ok := w.images[c.Name]; ok && image != c.Image {
			out.images[c.Name] = image
		}
		if meta, ok := w.metadata[c.Name]; ok {
			labels, annotations := without(meta.Labels, pod.Labels), without(meta.Annotations, pod.Annotations)
			if len(labels)+len(annotations) > 0 {
				out.metadata[c.Name] = metav1.ObjectMeta{Labels: labels, Annotations: annotations}
			}
		}
		if r, ok := w.resources[c.Name]; ok && !has(c.Resources, r) {
			out.resources[c.Name] = r
		}
	}
	return out
}

// without are the entries of a map that another does not have.
func without(entries, have map[string]string) map[string]string {
	out := maps.Clone(entries)
	maps.DeleteFunc(out, func(key, value string) bool { old, ok := have[key]; return ok && old == value })
	return out
}

// at is the work with the values of a newer template: what an update was to bring that another overtakes. Keys of metadata
// that the template does not have any more are to be removed from the pod.
func (w work) at(template *corev1.PodTemplateSpec) (out work, gone work) {
	out = work{images: map[string]string{}, metadata: map[string]metav1.ObjectMeta{}, resources: map[string]corev1.ResourceRequirements{}}
	gone.metadata = map[string]metav1.ObjectMeta{}
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		if _, ok := w.images[c.Name]; ok {
			out.images[c.Name] = c.Image
		}
		if r, ok := w.resources[c.Name]; ok {
			newest := corev1.ResourceRequirements{Limits: c.Resources.Limits, Requests: revision.Requests(c.Resources)}
			out.resources[c.Name] = mergedResources(r, pick(newest, r))
		}
	}
	for name, meta := range w.metadata {
		labels, goneLabels := renewed(meta.Labels, template.Labels)
		annotations, goneAnnotations := renewed(meta.Annotations, template.Annotations)
		out.metadata[name] = metav1.ObjectMeta{Labels: labels, Annotations: annotations}
		gone.metadata[name] = metav1.ObjectMeta{Labels: goneLabels, Annotations: goneAnnotations}
	}
	return out, gone
}

// renewed are the entries with their newest values, and those that are gone.
func renewed(entries, newest map[string]string) (kept, gone map[string]string) {
	kept, gone = map[string]string{}, map[string]string{}
	for key, old := range entries {
		if value, ok := newest[key]; ok {
			kept[key] = value
		} else {
			gone[key] = old
		}
	}
	return kept, gone
}

// split divides the work into the batch that goes first and what comes later. First go the containers with the highest
// launch priority, those without one, those that take in a label or annotation that changes with them (it cannot have two
// values), and those that do not restart. Containers that are under way keep the ones back that come after them.
func (w work) split(pod *corev1.Pod, underway map[string]bool) (first, later work) {
	highest, ordered := 0, false
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if p, ok := priority(pod, i); ok && (w.restarts(c) || underway[c.Name]) && (!ordered || p > highest) {
			highest, ordered = p, true
		}
	}
	goes := map[string]bool{}
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		p, ok := priority(pod, i)
		goes[c.Name] = !ok || p == highest || !w.restarts(c)
	}
	for grown := true; grown; {
		grown = false
		for name, meta := range w.metadata {
			if !goes[name] && w.sharesMetadata(meta, goes) {
				goes[name], grown = true, true
			}
		}
	}
	return w.only(func(name string) bool { return goes[name] }), w.only(func(name string) bool { return !goes[name] })
}

// sharesMetadata says whether one of the containers changes with metadata of a key that another one waits for.
func (w work) sharesMetadata(meta metav1.ObjectMeta, containers map[string]bool) bool {
	common := func(a, b map[string]string) bool {
		for key := range a {
			if _, ok := b[key]; ok {
				return true
			}
		}
		return false
	}
	for name, other := range w.metadata {
		if containers[name] && (common(meta.Labels, other.Labels) || common(meta.Annotations, other.Annotations)) {
			return true
		}
	}
	return false
}

func (w work) only(keep func(string) bool) work {
	return work{images: filter(w.images, keep), metadata: filter(w.metadata, keep), resources: filter(w.resources, keep)}
}

func filter[V any](m map[string]V, keep func(string) bool) map[string]V {
	var out map[string]V
	for name, value := range m {
		if keep(name) {
			if out == nil {
				out = map[string]V{}
			}
			out[name] = value
		}
	}
	return out
}

// priority is the launch priority of a container, if it has one: that of its barrier, which the pod was started by, or of
// its own variable, or its place where the pod asks for containers in their order.
func priority(pod *corev1.Pod, i int) (int, bool) {
	for _, env := range pod.Spec.Containers[i].Env {
		text := ""
		switch {
		case env.Name == v1beta1.ContainerLaunchPriorityEnv:
			text = env.Value
		case env.Name == v1beta1.ContainerLaunchBarrierEnv && env.ValueFrom != nil && env.ValueFrom.ConfigMapKeyRef != nil:
			text = strings.TrimPrefix(env.ValueFrom.ConfigMapKeyRef.Key, v1beta1.ContainerLaunchBarrierPrefix)
		}
		if p, err := strconv.Atoi(text); err == nil {
			return p, true
		}
	}
	if pod.Annotations[v1beta1.ContainerLaunchPriorityKey] == v1beta1.ContainerLaunchOrdered {
		return -i, true
	}
	return 0, false
}

// merged returns a's entries overlaid with b's.
func merged[V any](a, b map[string]V) map[string]V {
	out := maps.Clone(a)
	if out == nil {
		out = make(map[string]V, len(b))
	}
	maps.Copy(out, b)
	return out
}
