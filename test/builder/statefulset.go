package builder

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// StatefulSetBuilder builds a StatefulSet.
type StatefulSetBuilder struct{ set v1beta1.StatefulSet }

// StatefulSet begins a StatefulSet of one pod with one container, main, that selects its pods by the label app.
func StatefulSet(name string) *StatefulSetBuilder {
	labels := map[string]string{"app": name}
	b := &StatefulSetBuilder{}
	b.set.Name = name
	b.set.Spec.ServiceName = name
	b.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	b.set.Spec.Template.Labels = map[string]string{"app": name}
	b.set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "a:1"}}
	return b
}

// Object returns the StatefulSet.
func (b *StatefulSetBuilder) Object() *v1beta1.StatefulSet { return b.set.DeepCopy() }

// Namespace sets the namespace.
func (b *StatefulSetBuilder) Namespace(namespace string) *StatefulSetBuilder {
	b.set.Namespace = namespace
	return b
}

// Replicas sets the wanted number of pods.
func (b *StatefulSetBuilder) Replicas(n int32) *StatefulSetBuilder {
	b.set.Spec.Replicas = &n
	return b
}

// Image sets the image of the container main.
func (b *StatefulSetBuilder) Image(image string) *StatefulSetBuilder {
	b.set.Spec.Template.Spec.Containers[0].Image = image
	return b
}

// Parallel creates and deletes pods without waiting for others.
func (b *StatefulSetBuilder) Parallel() *StatefulSetBuilder {
	b.set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
	return b
}

// Start numbers pods from an ordinal on.
func (b *StatefulSetBuilder) Start(ordinal int32) *StatefulSetBuilder {
	b.set.Spec.Ordinals = &v1beta1.StatefulSetOrdinals{Start: ordinal}
	return b
}

// Reserve keeps ordinals free: "3" or "4-7".
func (b *StatefulSetBuilder) Reserve(ordinals ...string) *StatefulSetBuilder {
	for _, o := range ordinals {
		b.set.Spec.ReserveOrdinals = append(b.set.Spec.ReserveOrdinals, intstr.Parse(o))
	}
	return b
}

// Claim adds a claim of one gigabyte for each pod.
func (b *StatefulSetBuilder) Claim(name string) *StatefulSetBuilder {
	claim := corev1.PersistentVolumeClaim{Spec: corev1.PersistentVolumeClaimSpec{
		AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
		Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
	}}
	claim.Name = name
	b.set.Spec.VolumeClaimTemplates = append(b.set.Spec.VolumeClaimTemplates, claim)
	return b
}

// StorageClass names the class of all claims.
func (b *StatefulSetBuilder) StorageClass(name string) *StatefulSetBuilder {
	for i := range b.set.Spec.VolumeClaimTemplates {
		b.set.Spec.VolumeClaimTemplates[i].Spec.StorageClassName = &name
	}
	return b
}

// GrowClaims lets claims that exist grow with their templates.
func (b *StatefulSetBuilder) GrowClaims() *StatefulSetBuilder {
	b.set.Spec.VolumeClaimUpdateStrategy.Type = v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType
	return b
}

// Retention says what becomes of claims: Retain or Delete.
func (b *StatefulSetBuilder) Retention(whenDeleted, whenScaled appsv1.PersistentVolumeClaimRetentionPolicyType) *StatefulSetBuilder {
	b.set.Spec.PersistentVolumeClaimRetentionPolicy = &v1beta1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: whenDeleted, WhenScaled: whenScaled,
	}
	return b
}

// InPlace updates pods in place where the change allows it.
func (b *StatefulSetBuilder) InPlace() *StatefulSetBuilder {
	b.rolling().PodUpdatePolicy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	b.set.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
	return b
}

// OnDelete gives the new revision only to pods that replace deleted ones.
func (b *StatefulSetBuilder) OnDelete() *StatefulSetBuilder {
	b.set.Spec.UpdateStrategy = v1beta1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	return b
}

// Partition keeps as many pods on the old revision.
func (b *StatefulSetBuilder) Partition(n int32) *StatefulSetBuilder {
	b.rolling().Partition = &n
	return b
}

// MaxUnavailable lets as many pods be unavailable during an update: 2 or "40%".
func (b *StatefulSetBuilder) MaxUnavailable(value string) *StatefulSetBuilder {
	v := intstr.Parse(value)
	b.rolling().MaxUnavailable = &v
	return b
}

// ScaleMaxUnavailable stops adding pods while as many are unavailable: 2 or "40%".
func (b *StatefulSetBuilder) ScaleMaxUnavailable(value string) *StatefulSetBuilder {
	v := intstr.Parse(value)
	b.set.Spec.ScaleStrategy = &v1beta1.StatefulSetScaleStrategy{MaxUnavailable: &v}
	return b
}

// Unordered updates pods by the trailing integer of the value of a label, larger first.
func (b *StatefulSetBuilder) Unordered(orderedKey string) *StatefulSetBuilder {
	b.rolling().UnorderedUpdate = &v1beta1.UnorderedUpdateStrategy{PriorityStrategy: &v1beta1.UpdatePriorityStrategy{
		OrderPriority: []v1beta1.UpdatePriorityOrderTerm{{OrderedKey: orderedKey}},
	}}
	return b
}

// MinReady lets a pod be available only once it was ready for as many seconds.
func (b *StatefulSetBuilder) MinReady(seconds int32) *StatefulSetBuilder {
	b.rolling().MinReadySeconds = &seconds
	return b
}

// Paused stops updates.
func (b *StatefulSetBuilder) Paused() *StatefulSetBuilder {
	b.rolling().Paused = true
	return b
}

// HistoryLimit keeps as many revisions that no pod has.
func (b *StatefulSetBuilder) HistoryLimit(n int32) *StatefulSetBuilder {
	b.set.Spec.RevisionHistoryLimit = &n
	return b
}

func (b *StatefulSetBuilder) rolling() *v1beta1.RollingUpdateStatefulSetStrategy {
	strategy := &b.set.Spec.UpdateStrategy
	strategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateStatefulSetStrategy{}
	}
	return strategy.RollingUpdate
}
