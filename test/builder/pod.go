package builder

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// PodBuilder builds a pod.
type PodBuilder struct{ pod corev1.Pod }

// Pod begins a pod with one container, main.
func Pod(name string) *PodBuilder {
	b := &PodBuilder{}
	b.pod.Name = name
	b.pod.Labels = map[string]string{}
	b.pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	return b
}

// Object returns the pod.
func (b *PodBuilder) Object() *corev1.Pod { return b.pod.DeepCopy() }

// Namespace sets the namespace.
func (b *PodBuilder) Namespace(namespace string) *PodBuilder {
	b.pod.Namespace = namespace
	return b
}

// Label sets a label.
func (b *PodBuilder) Label(key, value string) *PodBuilder {
	b.pod.Labels[key] = value
	return b
}

// Image sets the image of the container main.
func (b *PodBuilder) Image(image string) *PodBuilder {
	b.pod.Spec.Containers[0].Image = image
	return b
}

// Gate adds a readiness gate.
func (b *PodBuilder) Gate(gate corev1.PodConditionType) *PodBuilder {
	b.pod.Spec.ReadinessGates = append(b.pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
	return b
}

// OwnedBy sets the controller.
func (b *PodBuilder) OwnedBy(ref metav1.OwnerReference) *PodBuilder {
	b.pod.OwnerReferences = append(b.pod.OwnerReferences, ref)
	return b
}
