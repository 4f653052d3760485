package inplace

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"regexp"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/dump"

	"kruise.io/kruise/api/apps/v1beta1"
)

var metadataPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['(.+)'\]$`)

// intake is one label or annotation that a container takes into its environment.
type intake struct{ env, kind, key string }

// intakes lists what a container takes from labels and annotations into its environment.
func intakes(c *corev1.Container) []intake {
	var out []intake
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			if m := metadataPath.FindStringSubmatch(from.FieldRef.FieldPath); m != nil {
				out = append(out, intake{c.Env[i].Name, m[1], m[2]})
			}
		}
	}
	return out
}

// TakesIn says whether a container takes labels or annotations into its environment.
func TakesIn(c *corev1.Container) bool { return len(intakes(c)) > 0 }

// in is the map of the metadata that holds the key.
func (r intake) in(labels, annotations map[string]*string) map[string]*string {
	if r.kind == "labels" {
		return labels
	}
	return annotations
}

// consumedInEnv finds a container that takes a changed label or annotation into its environment, for those who have
// nobody to restart it: its environment would go stale.
func consumedInEnv(from, to *corev1.PodTemplateSpec, c Change) string {
	for _, t := range []*corev1.PodTemplateSpec{from, to} {
		for i := range t.Spec.Containers {
			for _, r := range intakes(&t.Spec.Containers[i]) {
				if _, changed := r.in(c.Labels, c.Annotations)[r.key]; changed {
					return fmt.Sprintf("metadata.%s['%s'], which spec.containers[%s].env takes in", r.kind, r.key, t.Spec.Containers[i].Name)
				}
			}
		}
	}
	return ""
}

// moveToEnv moves the new labels and annotations that containers take into their environment to those containers. One that
// is removed stays where it is: nothing restarts for it.
func (c *Change) moveToEnv(to *corev1.PodTemplateSpec) {
	var moved []intake
	for i := range to.Spec.Containers {
		container := &to.Spec.Containers[i]
		for _, r := range intakes(container) {
			value := r.in(c.Labels, c.Annotations)[r.key]
			if value == nil {
				continue
			}
			if c.Env == nil {
				c.Env = map[string]metav1.ObjectMeta{}
			}
			meta := c.Env[container.Name]
			set(&meta, r.kind, r.key, *value)
			c.Env[container.Name] = meta
			moved = append(moved, r)
		}
	}
	for _, r := range moved {
		delete(r.in(c.Labels, c.Annotations), r.key)
	}
}

func set(meta *metav1.ObjectMeta, kind, key, value string) {
	into := &meta.Annotations
	if kind == "labels" {
		into = &meta.Labels
	}
	if *into == nil {
		*into = map[string]string{}
	}
	(*into)[key] = value
}

// RuntimeMetaOf is what the agent of the node reports of the containers of a pod.
func RuntimeMetaOf(pod *corev1.Pod) v1beta1.RuntimeContainerMetaSet {
	var set v1beta1.RuntimeContainerMetaSet
	if !fromAnnotation(pod, &set, v1beta1.RuntimeContainerMetaKey) {
		return v1beta1.RuntimeContainerMetaSet{}
	}
	return set
}

// EnvHash is the hash of what a container takes from a pod's labels and annotations into its environment: FNV-1a, made
// in the way of kubelet's hash of a container, of the names and values in the order of the container's env. The agent of
// the node makes the same hash from the environment that the container really has, and reports it in the annotation
// apps.kruise.io/runtime-containers-meta. ok is false for a container that takes in nothing.
func EnvHash(c *corev1.Container, pod *metav1.ObjectMeta) (hash uint64, ok bool) {
	return EnvHashOf(c, func(_, kind, key string) string {
		if kind == "labels" {
			return pod.Labels[key]
		}
		return pod.Annotations[key]
	})
}

// EnvHashOf is EnvHash with values from elsewhere: value is asked for each environment variable by its name and the label
// or annotation that it comes from.
func EnvHashOf(c *corev1.Container, value func(env, kind, key string) string) (hash uint64, ok bool) {
	var envs []corev1.EnvVar
	for _, r := range intakes(c) {
		envs = append(envs, corev1.EnvVar{Name: r.env, Value: value(r.env, r.kind, r.key)})
	}
	if envs == nil {
		return 0, false
	}
	text, err := json.Marshal(envs)
	if err != nil { // names and values always have a JSON form
		return 0, false
	}
	h := fnv.New32a()
	fmt.Fprintf(h, "%v", dump.ForHash(text))
	return uint64(h.Sum32()), true
}

// envRenewed says whether a container was started with the labels and annotations that the pod has now. Where an agent
// reports what is in the environment, its word decides: a container may have restarted just before the change. One that it
// stops, or is about to, goes away, whatever is in its environment: the values may have been taken back meanwhile. Where no
// agent reports, a new container has to do.
func envRenewed(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState, name string, before v1beta1.InPlaceUpdateContainerStatus) bool {
	now, c := containerStatus(pod, name), containerOf(pod, name)
	if c == nil {
		return true
	}
	wanted, takesIn := EnvHash(c, &pod.ObjectMeta)
	if !takesIn {
		return true
	}
	if now == nil || now.ContainerID == "" {
		return false
	}
	for _, r := range RuntimeMetaOf(pod).Containers {
		if r.Name == name && r.Hashes.ExtractedEnvFromMetadataHash != 0 {
			return r.ContainerID == now.ContainerID && r.StopTime == nil && r.Hashes.ExtractedEnvFromMetadataHash == wanted
		}
	}
	if before.ContainerID != "" {
		return now.ContainerID != before.ContainerID
	}
	return startedAfter(now, state)
}

// envOfOthers lists the containers that an update of another manager restarts for their environment: it says only that
// there are any, and which containers it has changed.
func envOfOthers(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState) []string {
	if !state.UpdateEnvFromMetadata {
		return nil
	}
	for _, before := range state.LastContainerStatuses {
		if before.EnvFromMetadata {
			return nil // it is ours
		}
	}
	begun := map[string]bool{}
	for _, batch := range state.ContainerBatchesRecord {
		for _, name := range batch.Containers {
			begun[name] = true
		}
	}
	var out []string
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		if (begun[c.Name] || len(begun) == 0) && len(intakes(c)) > 0 {
			out = append(out, c.Name)
		}
	}
	return out
}
