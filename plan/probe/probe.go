// Package probe decides which containers of which pods are probed for PodProbeMarkers, and what is written on the pods for
// what the probes found.
//
// It promises: what a node probes follows from the pods and the markers that exist and from nothing else, so that a marker
// or a probe that is gone takes its own probes with it, by their exact names, and no others; of two markers that want the
// same condition, label or annotation of a pod the older one has it, whatever the order in which they are seen; and what
// stands on the pod already is not written again.
package probe

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1alpha1"
)

// separator stands between the names of a marker and of its probe, neither of which can hold it.
const separator = "#"

// Name is the name of a marker's probe on a node.
func Name(marker, probe string) string { return marker + separator + probe }

// MarkerOf is the marker of a probe on a node.
func MarkerOf(name string) string {
	marker, _, _ := strings.Cut(name, separator)
	return marker
}

// Matching lists the markers that are about a pod, the oldest first. All must be of its namespace; one that is being deleted
// is about nothing.
func Matching(markers []*v1alpha1.PodProbeMarker, pod *corev1.Pod) []*v1alpha1.PodProbeMarker {
	var out []*v1alpha1.PodProbeMarker
	for _, m := range markers {
		if Matches(m, pod) {
			out = append(out, m)
		}
	}
	slices.SortFunc(out, func(a, b *v1alpha1.PodProbeMarker) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), strings.Compare(a.Name, b.Name))
	})
	return out
}

// Matches says whether a marker is about a pod of its namespace.
func Matches(m *v1alpha1.PodProbeMarker, pod *corev1.Pod) bool {
	return Selector(m).Matches(labels.Set(pod.Labels))
}

// Selector selects the pods that a marker is about: none, if it is being deleted or its selector cannot be.
func Selector(m *v1alpha1.PodProbeMarker) labels.Selector {
	selector, err := metav1.LabelSelectorAsSelector(m.Spec.Selector)
	if m.DeletionTimestamp != nil || err != nil || selector.Empty() {
		return labels.Nothing()
	}
	return selector
}

// Probed says whether a pod can be probed: it runs on a node, or is about to, with its init containers done, and has an address.
func Probed(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Spec.NodeName != "" && pod.Status.PodIP != "" &&
		pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed &&
		slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodInitialized && c.Status == corev1.ConditionTrue
		})
}

// OfPod is what a node probes of a pod for the markers that are about it; ok is false when that is nothing. A probe of a
// container or of a named port that the pod does not have is left out.
func OfPod(pod *corev1.Pod, markers []*v1alpha1.PodProbeMarker) (probed v1alpha1.PodProbe, ok bool) {
	if !Probed(pod) {
		return probed, false
	}
	probed = v1alpha1.PodProbe{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID), IP: pod.Status.PodIP}
	for _, m := range markers {
		for i := range m.Spec.Probes {
			p := &m.Spec.Probes[i]
			c := containerOf(pod, p.ContainerName)
			if c == nil {
				continue
			}
			if spec, ok := withNumbers(&p.Probe, c); ok {
				probed.Probes = append(probed.Probes, v1alpha1.ContainerProbe{Name: Name(m.Name, p.Name), ContainerName: p.ContainerName, Probe: *spec})
			}
		}
	}
	return probed, len(probed.Probes) > 0
}

// Sort puts the pods of a node in their order.
func Sort(pods []v1alpha1.PodProbe) {
	slices.SortFunc(pods, func(a, b v1alpha1.PodProbe) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
}

// containerOf finds a container that runs as long as the pod: one of the spec, or an init container that is restarted always.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return &pod.Spec.Containers[i]
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.Name == name && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return c
		}
	}
	return nil
}

// withNumbers resolves the name of a port, which the node does not know. ok is false when the container has no such port.
func withNumbers(spec *v1alpha1.ContainerProbeSpec, c *corev1.Container) (resolved *v1alpha1.ContainerProbeSpec, ok bool) {
	resolved = spec.DeepCopy()
	var port *intstr.IntOrString
	switch {
	case resolved.HTTPGet != nil:
		port = &resolved.HTTPGet.Port
	case resolved.TCPSocket != nil:
		port = &resolved.TCPSocket.Port
	default:
		return resolved, true
	}
	if port.Type == intstr.Int {
		return resolved, true
	}
	for _, p := range c.Ports {
		if p.Name == port.StrVal {
			*port = intstr.FromInt32(p.ContainerPort)
			return resolved, true
		}
	}
	return nil, false
}
