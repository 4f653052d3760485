package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	namespace = "default"
	// changing is the container whose image changes; its neighbour stays as it is.
	changing    = "app"
	firstImage  = "registry.example/app:v1"
	secondImage = "registry.example/app:v2"
	thirdImage  = "registry.example/app:v3"
)

// newTemplate is a pod of two containers.
func newTemplate(name, image string) corev1.PodTemplateSpec {
	container := func(name, image string) corev1.Container {
		return corev1.Container{
			Name: name, Image: image,
			Ports: []corev1.ContainerPort{{ContainerPort: 8080, Name: "http-" + name}},
			Env:   []corev1.EnvVar{{Name: "PURPOSE", Value: "measuring"}},
			Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("100m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
			}},
		}
	}
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{container(changing, image), container("neighbour", "registry.example/neighbour:v1")},
		},
	}
	template.Spec.Containers[1].Ports[0].ContainerPort = 9090
	return template
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

// newCloneSet is a CloneSet that is updated in place, all pods at once.
func newCloneSet(name string, replicas int) *v1beta1.CloneSet {
	n, all := int32(replicas), intstr.FromString("100%")
	return &v1beta1.CloneSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: v1beta1.CloneSetSpec{
			Replicas: &n, Selector: selector(name), Template: newTemplate(name, firstImage),
			UpdateStrategy: v1beta1.CloneSetUpdateStrategy{
				Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType,
				RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{
					PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType, MaxUnavailable: &all,
				},
			},
		},
	}
}

// newDeployment is a Deployment whose pods may all be replaced at once.
func newDeployment(name string, replicas int) *appsv1.Deployment {
	n, all, none := int32(replicas), intstr.FromString("100%"), intstr.FromInt32(0)
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: &n, Selector: selector(name), Template: newTemplate(name, firstImage),
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &all, MaxSurge: &none},
			},
		},
	}
}
