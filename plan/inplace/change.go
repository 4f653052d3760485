// Package inplace decides whether a change of a pod template can be made in running pods, with which patches, and
// whether kubelet has carried it out.
//
// What can be changed in place: the images of containers, and labels and annotations. A change that touches anything
// else recreates the pod; Compare says which part was in the way. A change of labels or annotations alone restarts
// nothing, so it never takes a pod out of service.
package inplace

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	corev1 "k8s.io/api/core/v1"
)

// Change is the difference between two pod templates as far as it can be made in place.
type Change struct {
	// Blocked says what cannot be changed in place. Empty: everything can.
	Blocked string
	// Images are the new images by container name.
	Images map[string]string
	// Labels are the new values of labels; nil removes the label.
	Labels map[string]*string
	// Annotations are the new values of annotations; nil removes the annotation.
	Annotations map[string]*string
}

// Possible says whether the whole change can be made in place.
func (c Change) Possible() bool { return c.Blocked == "" }

// Restarts says whether the change restarts a container. What restarts nothing leaves the pod in service.
func (c Change) Restarts() bool { return len(c.Images) > 0 }

var imagePath = regexp.MustCompile(`^/spec/containers/(\d+)/image$`)

// Compare finds out how to get from one template to the other. It fails only on a template that has no JSON form.
func Compare(from, to *corev1.PodTemplateSpec) (Change, error) {
	operations, err := difference(from, to)
	if err != nil {
		return Change{}, err
	}
	c := Change{
		Images:      map[string]string{},
		Labels:      differentKeys(from.Labels, to.Labels),
		Annotations: differentKeys(from.Annotations, to.Annotations),
	}
	var blocked []string
	for _, op := range operations {
		switch match := imagePath.FindStringSubmatch(op.Path); {
		case match != nil && op.Operation == "replace":
			i, err := strconv.Atoi(match[1])
			if err != nil || i >= len(to.Spec.Containers) {
				return Change{}, fmt.Errorf("compare templates: no container at %s", op.Path)
			}
			c.Images[to.Spec.Containers[i].Name] = to.Spec.Containers[i].Image
		case isUserMetadata(op.Path):
		default:
			blocked = append(blocked, inWords(op.Path, from, to))
		}
	}
	slices.Sort(blocked)
	if blocked = slices.Compact(blocked); len(blocked) > 0 {
		c.Blocked = strings.Join(blocked, ", ")
	} else if env := consumedInEnv(from, to, c); env != "" {
		c.Blocked = env
	}
	return c, nil
}

// difference is the JSON patch from one template to the other.
func difference(from, to *corev1.PodTemplateSpec) ([]jsonpatch.Operation, error) {
	a, err := json.Marshal(from)
	if err != nil {
		return nil, fmt.Errorf("compare templates: encode the old one: %w", err)
	}
	b, err := json.Marshal(to)
	if err != nil {
		return nil, fmt.Errorf("compare templates: encode the new one: %w", err)
	}
	operations, err := jsonpatch.CreatePatch(a, b)
	if err != nil {
		return nil, fmt.Errorf("compare templates: %w", err)
	}
	return operations, nil
}

func isUserMetadata(path string) bool {
	for _, prefix := range []string{"/metadata/labels", "/metadata/annotations"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

var containerPath = regexp.MustCompile(`^/spec/(containers|initContainers)/(\d+)(/.*)?$`)

// inWords turns a JSON path into the words that people use: spec.containers[web].env instead of /spec/containers/0/env/0.
func inWords(path string, from, to *corev1.PodTemplateSpec) string {
	if m := containerPath.FindStringSubmatch(path); m != nil {
		words := fmt.Sprintf("spec.%s[%s]", m[1], containerName(m[1], m[2], from, to))
		if field, _, _ := strings.Cut(strings.TrimPrefix(m[3], "/"), "/"); field != "" {
			words += "." + field
		}
		return words
	}
	parts := strings.Split(strings.Trim(path, "/"), "/")
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// containerName is the name of a container at a place in a list: the new one there or, where it is gone, the old one.
func containerName(list, place string, from, to *corev1.PodTemplateSpec) string {
	for _, t := range []*corev1.PodTemplateSpec{to, from} {
		containers := t.Spec.Containers
		if list == "initContainers" {
			containers = t.Spec.InitContainers
		}
		if i, err := strconv.Atoi(place); err == nil && i < len(containers) {
			return containers[i].Name
		}
	}
	return place
}

// differentKeys lists the keys that are new, changed or gone.
func differentKeys(from, to map[string]string) map[string]*string {
	out := map[string]*string{}
	for key, value := range to {
		if old, ok := from[key]; !ok || old != value {
			out[key] = &value
		}
	}
	for key := range from {
		if _, ok := to[key]; !ok {
			out[key] = nil
		}
	}
	return out
}

// consumedInEnv finds a container that takes a changed label or annotation from its environment. Nothing restarts such
// a container, so its environment would go stale; recreating the pod is the way.
func consumedInEnv(from, to *corev1.PodTemplateSpec, c Change) string {
	for _, t := range []*corev1.PodTemplateSpec{from, to} {
		for i := range t.Spec.Containers {
			for _, env := range t.Spec.Containers[i].Env {
				if env.ValueFrom == nil || env.ValueFrom.FieldRef == nil {
					continue
				}
				kind, key := metadataReference(env.ValueFrom.FieldRef.FieldPath)
				_, inLabels := c.Labels[key]
				_, inAnnotations := c.Annotations[key]
				if kind == "labels" && inLabels || kind == "annotations" && inAnnotations {
					return fmt.Sprintf("metadata.%s['%s'], which spec.containers[%s].env takes in", kind, key, t.Spec.Containers[i].Name)
				}
			}
		}
	}
	return ""
}

var metadataPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

// metadataReference splits metadata.labels['key'] into labels and key.
func metadataReference(fieldPath string) (kind, key string) {
	if m := metadataPath.FindStringSubmatch(fieldPath); m != nil {
		return m[1], m[2]
	}
	return "", ""
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
