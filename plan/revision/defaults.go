package revision

import (
	"maps"
	"reflect"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
)

// Alike returns two templates as they would be if neither wrote out what is the default anyway. Other managers wrote the
// defaults of Kubernetes into templates; the same manifest applied again takes them out, and must be no rollout.
//
// The defaults are those of the API's documentation. They are part of what v1 means, so there will be no others for the
// fields that exist; a default that this program does not know counts as a difference.
func Alike(a, b *corev1.PodTemplateSpec) (*corev1.PodTemplateSpec, *corev1.PodTemplateSpec) {
	a, b = a.DeepCopy(), b.DeepCopy()
	plainPod(&a.Spec)
	plainPod(&b.Spec)
	alikeContainers(a.Spec.InitContainers, b.Spec.InitContainers)
	alikeContainers(a.Spec.Containers, b.Spec.Containers)
	return a, b
}

// alikeContainers deals with the defaults that depend on another field: the pull policy of an image, and requests that follow
// from limits. They count only where the one writes them out and the other does not, since both may change together.
func alikeContainers(a, b []corev1.Container) {
	for i := range min(len(a), len(b)) {
		x, y := &a[i], &b[i]
		switch {
		case x.ImagePullPolicy == "" && y.ImagePullPolicy == pullPolicy(y.Image):
			y.ImagePullPolicy = ""
		case y.ImagePullPolicy == "" && x.ImagePullPolicy == pullPolicy(x.Image):
			x.ImagePullPolicy = ""
		}
		if equality.Semantic.DeepEqual(Requests(x.Resources), Requests(y.Resources)) && equality.Semantic.DeepEqual(x.Resources.Limits, y.Resources.Limits) {
			y.Resources.Requests, y.Resources.Limits = x.Resources.Requests, x.Resources.Limits
		}
	}
}

// pullPolicy is the default for an image.
func pullPolicy(image string) corev1.PullPolicy {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return corev1.PullIfNotPresent
	}
	if tagged, ok := reference.TagNameOnly(named).(reference.Tagged); ok && tagged.Tag() == "latest" {
		return corev1.PullAlways
	}
	return corev1.PullIfNotPresent
}

// Requests are the requests of a container or pod, with those that it does not say and that are its limits therefore.
func Requests(r corev1.ResourceRequirements) corev1.ResourceList {
	out := maps.Clone(r.Limits)
	if out == nil {
		out = corev1.ResourceList{}
	}
	maps.Copy(out, r.Requests)
	return out
}

// unwrite empties a field that has its default.
func unwrite[T comparable](field *T, def T) {
	var none T
	if *field == def {
		*field = none
	}
}

// unset empties a field that points to its default.
func unset[T any](field **T, def T) {
	if *field != nil && reflect.DeepEqual(**field, def) {
		*field = nil
	}
}

// plainPod takes the defaults out of the template of a pod.
func plainPod(p *corev1.PodSpec) {
	unwrite(&p.DNSPolicy, corev1.DNSClusterFirst)
	unwrite(&p.RestartPolicy, corev1.RestartPolicyAlways)
	unwrite(&p.SchedulerName, corev1.DefaultSchedulerName)
	unwrite(&p.DeprecatedServiceAccount, p.ServiceAccountName)
	unset(&p.SecurityContext, corev1.PodSecurityContext{})
	unset(&p.TerminationGracePeriodSeconds, corev1.DefaultTerminationGracePeriodSeconds)
	for _, containers := range [][]corev1.Container{p.InitContainers, p.Containers} {
		for i := range containers {
			plainContainer(&containers[i], p.HostNetwork)
		}
	}
	for i := range p.Volumes {
		plainVolume(&p.Volumes[i].VolumeSource)
	}
}

func plainContainer(c *corev1.Container, hostNetwork bool) {
	unwrite(&c.TerminationMessagePath, corev1.TerminationMessagePathDefault)
	unwrite(&c.TerminationMessagePolicy, corev1.TerminationMessageReadFile)
	for i := range c.Ports {
		unwrite(&c.Ports[i].Protocol, corev1.ProtocolTCP)
		if hostNetwork {
			unwrite(&c.Ports[i].HostPort, c.Ports[i].ContainerPort)
		}
	}
	for i := range c.Env {
		if from := c.Env[i].ValueFrom; from != nil && from.FieldRef != nil {
			unwrite(&from.FieldRef.APIVersion, "v1")
		}
	}
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil {
			plainProbe(probe)
		}
	}
	if c.Lifecycle != nil {
		for _, handler := range []*corev1.LifecycleHandler{c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			if handler != nil {
				plainGet(handler.HTTPGet)
			}
		}
	}
}

func plainProbe(p *corev1.Probe) {
	unwrite(&p.TimeoutSeconds, 1)
	unwrite(&p.PeriodSeconds, 10)
	unwrite(&p.SuccessThreshold, 1)
	unwrite(&p.FailureThreshold, 3)
	plainGet(p.HTTPGet)
	if p.GRPC != nil {
		unset(&p.GRPC.Service, "")
	}
}

func plainGet(get *corev1.HTTPGetAction) {
	if get != nil {
		unwrite(&get.Path, "/")
		unwrite(&get.Scheme, corev1.URISchemeHTTP)
	}
}

func plainVolume(v *corev1.VolumeSource) {
	switch {
	case v.Secret != nil:
		unset(&v.Secret.DefaultMode, corev1.SecretVolumeSourceDefaultMode)
	case v.ConfigMap != nil:
		unset(&v.ConfigMap.DefaultMode, corev1.ConfigMapVolumeSourceDefaultMode)
	case v.HostPath != nil:
		unset(&v.HostPath.Type, corev1.HostPathUnset)
	case v.DownwardAPI != nil:
		unset(&v.DownwardAPI.DefaultMode, corev1.DownwardAPIVolumeSourceDefaultMode)
		plainFiles(v.DownwardAPI.Items)
	case v.Projected != nil:
		unset(&v.Projected.DefaultMode, corev1.ProjectedVolumeSourceDefaultMode)
		for i := range v.Projected.Sources {
			source := &v.Projected.Sources[i]
			if source.DownwardAPI != nil {
				plainFiles(source.DownwardAPI.Items)
			}
			if token := source.ServiceAccountToken; token != nil {
				unset(&token.ExpirationSeconds, 60*60)
			}
		}
	}
}

func plainFiles(files []corev1.DownwardAPIVolumeFile) {
	for i := range files {
		if files[i].FieldRef != nil {
			unwrite(&files[i].FieldRef.APIVersion, "v1")
		}
	}
}
