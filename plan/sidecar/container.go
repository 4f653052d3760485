package sidecar

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// tokenPath is where the token of the service account is mounted, which every container gets on its own.
const tokenPath = "/var/run/secrets/kubernetes.io/serviceaccount"

// AppContainers are the containers of a pod that its author wrote: those that are none of the sidecars named, and that no
// SidecarSet marked as its own.
func AppContainers(pod *corev1.Pod, sidecars map[string]bool) []*corev1.Container {
	var out []*corev1.Container
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		marked := slices.ContainsFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == v1beta1.SidecarEnvKey && e.Value == "true" })
		if !marked && !sidecars[c.Name] {
			out = append(out, c)
		}
	}
	return out
}

// Resolve returns the containers that a sidecar is in a pod, itself or its twins, with everything that it takes from the
// pod's own containers: environment, mounts, devices, resources. app are these containers. A twin comes as in a new pod: the
// first one works, and the second one runs the empty image.
func Resolve(c *v1beta1.SidecarContainer, pod *corev1.Pod, app []*corev1.Container) ([]corev1.Container, error) {
	one := *c.Container.DeepCopy()
	if c.ResourcesPolicy != nil {
		computed, err := resources(c.ResourcesPolicy, app)
		if err != nil {
			return nil, fmt.Errorf("container %s: %w", c.Name, err)
		}
		one.Resources = computed
	}
	env := []corev1.EnvVar{{Name: v1beta1.SidecarEnvKey, Value: "true"}}
	for i := range c.TransferEnv {
		env = append(env, transferred(&c.TransferEnv[i], pod, app)...)
	}
	if c.ShareVolumePolicy.Type == v1beta1.ShareVolumePolicyEnabled {
		env = append(env, shareMounts(&one, app)...)
	}
	if p := c.ShareVolumeDevicePolicy; p != nil && p.Type == v1beta1.ShareVolumePolicyEnabled {
		shareDevices(&one, app)
	}
	if !IsHot(c) {
		one.Env = mergeEnv(env, one.Env)
		return []corev1.Container{one}, nil
	}
	idle := *one.DeepCopy()
	one.Name, idle.Name = Twins(c.Name)
	idle.Image = c.UpgradeStrategy.HotUpgradeEmptyImage
	one.Env, idle.Env = mergeEnv(append(versions(one.Name), env...), one.Env), mergeEnv(append(versions(idle.Name), env...), idle.Env)
	return []corev1.Container{one, idle}, nil
}

// mergeEnv puts what a sidecar is given before what it says itself, so that the latter can refer to the former, and lets the
// latter win. Of two that are given the first one counts.
func mergeEnv(given, own []corev1.EnvVar) []corev1.EnvVar {
	var out []corev1.EnvVar
	has := func(list []corev1.EnvVar, name string) bool {
		return slices.ContainsFunc(list, func(e corev1.EnvVar) bool { return e.Name == name })
	}
	for _, e := range given {
		// The marks of a sidecar are not its own to set.
		if !has(out, e.Name) && (isMark(e.Name) || !has(own, e.Name)) {
			out = append(out, e)
		}
	}
	for _, e := range own {
		if !isMark(e.Name) || !has(out, e.Name) {
			out = append(out, e)
		}
	}
	return out
}

func isMark(name string) bool {
	return name == v1beta1.SidecarEnvKey || name == v1beta1.SidecarSetVersionEnvKey || name == v1beta1.SidecarSetVersionAltEnvKey
}

// versions are the variables by which a twin knows, when it starts, how often it and the other one were upgraded.
func versions(twin string) []corev1.EnvVar {
	from := func(name, prefix string) corev1.EnvVar {
		return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{
			APIVersion: "v1", FieldPath: fmt.Sprintf("metadata.annotations['%s']", prefix+twin),
		}}}
	}
	return []corev1.EnvVar{
		from(v1beta1.SidecarSetVersionEnvKey, v1beta1.SidecarSetVersionKeyPrefix),
		from(v1beta1.SidecarSetVersionAltEnvKey, v1beta1.SidecarSetVersionAltKeyPrefix),
	}
}

// transferred lists the variables that are copied from a container.
func transferred(t *v1beta1.TransferEnvVar, pod *corev1.Pod, app []*corev1.Container) []corev1.EnvVar {
	source := t.SourceContainerName
	if from := t.SourceContainerNameFrom; from != nil && from.FieldRef != nil {
		source = metadata(pod, from.FieldRef.FieldPath)
	}
	wanted := t.EnvNames
	if t.EnvName != "" {
		wanted = append([]string{t.EnvName}, wanted...)
	}
	var out []corev1.EnvVar
	for _, c := range app {
		if c.Name != source {
			continue
		}
		for _, name := range wanted {
			if i := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == name }); i >= 0 {
				out = append(out, *c.Env[i].DeepCopy())
			}
		}
	}
	return out
}

var metadataPath = regexp.MustCompile(`^metadata\.(labels|annotations)\['([^']+)'\]$`)

// IsMetadata says whether a field path names a label or an annotation.
func IsMetadata(path string) bool { return metadataPath.MatchString(path) }

// metadata reads the label or annotation that a field path names.
func metadata(pod *corev1.Pod, path string) string {
	found := metadataPath.FindStringSubmatch(path)
	switch {
	case found == nil:
		return ""
	case found[1] == "labels":
		return pod.Labels[found[2]]
	default:
		return pod.Annotations[found[2]]
	}
}

var reference = regexp.MustCompile(`\$\(([^)]+)\)`)

// shareMounts mounts what other containers mount, where the sidecar has nothing. It returns the variables that paths in
// volumes are made of.
func shareMounts(c *corev1.Container, app []*corev1.Container) []corev1.EnvVar {
	var env []corev1.EnvVar
	for _, other := range app {
		for _, m := range other.VolumeMounts {
			taken := slices.ContainsFunc(c.VolumeMounts, func(own corev1.VolumeMount) bool { return own.MountPath == m.MountPath })
			if taken || strings.TrimRight(m.MountPath, "/") == tokenPath {
				continue
			}
			c.VolumeMounts = append(c.VolumeMounts, *m.DeepCopy())
			for _, name := range reference.FindAllStringSubmatch(m.SubPathExpr, -1) {
				for _, e := range other.Env {
					if e.Name == name[1] {
						env = append(env, *e.DeepCopy())
					}
				}
			}
		}
	}
	return env
}

// shareDevices adds the block devices of other containers, where the sidecar has none.
func shareDevices(c *corev1.Container, app []*corev1.Container) {
	for _, other := range app {
		for _, d := range other.VolumeDevices {
			if !slices.ContainsFunc(c.VolumeDevices, func(own corev1.VolumeDevice) bool { return own.DevicePath == d.DevicePath }) {
				c.VolumeDevices = append(c.VolumeDevices, d)
			}
		}
	}
}
