// Package builder makes objects for tests, so that a test says only what it is about.
//
// It promises that what it makes is let in by the API server as it is, and that every call of Object returns a value of
// its own, so that one builder may serve many times.
package builder

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// CloneSetBuilder builds a CloneSet.
type CloneSetBuilder struct{ set v1beta1.CloneSet }

// CloneSet begins a CloneSet of one pod with one container, main, that selects its pods by the label app.
func CloneSet(name string) *CloneSetBuilder {
	labels := map[string]string{"app": name}
	b := &CloneSetBuilder{}
	b.set.Name = name
	b.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	b.set.Spec.Template.Labels = map[string]string{"app": name}
	b.set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	return b
}

// Object returns the CloneSet.
func (b *CloneSetBuilder) Object() *v1beta1.CloneSet { return b.set.DeepCopy() }

// Namespace sets the namespace.
func (b *CloneSetBuilder) Namespace(namespace string) *CloneSetBuilder {
	b.set.Namespace = namespace
	return b
}

// Annotation sets an annotation of the CloneSet.
func (b *CloneSetBuilder) Annotation(key, value string) *CloneSetBuilder {
	metav1.SetMetaDataAnnotation(&b.set.ObjectMeta, key, value)
	return b
}

// Replicas sets the wanted number of pods.
func (b *CloneSetBuilder) Replicas(n int32) *CloneSetBuilder {
	b.set.Spec.Replicas = &n
	return b
}

// Image sets the image of the container main.
func (b *CloneSetBuilder) Image(image string) *CloneSetBuilder {
	b.set.Spec.Template.Spec.Containers[0].Image = image
	return b
}

// Env sets a variable in the container main.
func (b *CloneSetBuilder) Env(name, value string) *CloneSetBuilder {
	c := &b.set.Spec.Template.Spec.Containers[0]
	c.Env = append(c.Env, corev1.EnvVar{Name: name, Value: value})
	return b
}

// TemplateLabel sets a label of the pods.
func (b *CloneSetBuilder) TemplateLabel(key, value string) *CloneSetBuilder {
	b.set.Spec.Template.Labels[key] = value
	return b
}

// Spread has the pods spread over the values of a label of nodes.
func (b *CloneSetBuilder) Spread(key string) *CloneSetBuilder {
	spec := &b.set.Spec.Template.Spec
	spec.TopologySpreadConstraints = append(spec.TopologySpreadConstraints, corev1.TopologySpreadConstraint{
		MaxSkew: 1, TopologyKey: key, WhenUnsatisfiable: corev1.ScheduleAnyway, LabelSelector: b.set.Spec.Selector,
	})
	return b
}

// Claim adds a claim of one gigabyte for each pod.
func (b *CloneSetBuilder) Claim(name string) *CloneSetBuilder {
	claim := corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	claim.Name = name
	b.set.Spec.VolumeClaimTemplates = append(b.set.Spec.VolumeClaimTemplates, claim)
	return b
}

// ReuseClaims lets new pods take the claims of pods that vanished.
func (b *CloneSetBuilder) ReuseClaims() *CloneSetBuilder {
	b.set.Spec.ScaleStrategy.EnablePVCReuse = true
	return b
}

// InPlace updates pods in place where the change allows it.
func (b *CloneSetBuilder) InPlace() *CloneSetBuilder {
	b.rolling().PodUpdatePolicy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	return b
}

// Partition keeps as many pods on the old revision: 2 or "40%".
func (b *CloneSetBuilder) Partition(value string) *CloneSetBuilder {
	v := intstr.Parse(value)
	b.rolling().Partition = &v
	return b
}

// MaxUnavailable lets as many pods be unavailable during an update: 2 or "40%".
func (b *CloneSetBuilder) MaxUnavailable(value string) *CloneSetBuilder {
	v := intstr.Parse(value)
	b.rolling().MaxUnavailable = &v
	return b
}

// MaxSurge lets as many pods be above replicas during an update: 2 or "40%".
func (b *CloneSetBuilder) MaxSurge(value string) *CloneSetBuilder {
	v := intstr.Parse(value)
	b.rolling().MaxSurge = &v
	return b
}

// ScaleMaxUnavailable stops adding pods while as many are unavailable: 2 or "40%".
func (b *CloneSetBuilder) ScaleMaxUnavailable(value string) *CloneSetBuilder {
	v := intstr.Parse(value)
	b.set.Spec.ScaleStrategy.MaxUnavailable = &v
	return b
}

// Paused stops updates.
func (b *CloneSetBuilder) Paused() *CloneSetBuilder {
	b.rolling().Paused = true
	return b
}

// HistoryLimit keeps as many revisions that no pod has.
func (b *CloneSetBuilder) HistoryLimit(n int32) *CloneSetBuilder {
	b.set.Spec.RevisionHistoryLimit = &n
	return b
}

func (b *CloneSetBuilder) rolling() *v1beta1.RollingUpdateCloneSetStrategy {
	strategy := &b.set.Spec.UpdateStrategy
	strategy.Type = v1beta1.RollingUpdateCloneSetUpdateStrategyType
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{}
	}
	return strategy.RollingUpdate
}
