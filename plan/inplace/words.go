package inplace

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

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
