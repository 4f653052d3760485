package main

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// workload is an object that has pods.
type workload struct {
	object client.Object
	// template is that of the object.
	template *corev1.PodTemplateSpec
	// controller is the one of kruise-manager that works on it; empty for one of kube-controller-manager.
	controller string
	// agents are the user agents of whoever works on it.
	agents []string
	// changes of the image are made one after the other.
	changes []change
	// counts are the fields of the status that are the number of pods when all are updated and available.
	counts []string
}

// change is a way to change the image.
type change struct {
	phase string
	// prepare changes what else the object needs for it; it may be nil.
	prepare func()
}

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

func named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name}
}

func selector(name string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
}

func percent(text string) *intstr.IntOrString { return new(intstr.FromString(text)) }

// newCloneSet is a CloneSet that is updated in place, all pods at once.
func newCloneSet(name string, replicas int) workload {
	rolling := &v1beta1.RollingUpdateCloneSetStrategy{
		PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType, MaxUnavailable: percent("100%"),
	}
	set := &v1beta1.CloneSet{
		ObjectMeta: named(name),
		Spec: v1beta1.CloneSetSpec{
			Replicas: new(int32(replicas)), Selector: selector(name), Template: newTemplate(name, firstImage),
			UpdateStrategy: v1beta1.CloneSetUpdateStrategy{Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType, RollingUpdate: rolling},
		},
	}
	return workload{
		object: set, template: &set.Spec.Template, controller: "cloneset", agents: []string{processManager},
		changes: []change{{phase: phaseChangeAll}, {phaseChange20, func() { set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = percent("20%") }}},
		counts:  []string{"replicas", "availableReplicas", "updatedAvailableReplicas"},
	}
}

// newDeployment is a Deployment whose pods may all be replaced at once.
func newDeployment(name string, replicas int) workload {
	d := &appsv1.Deployment{
		ObjectMeta: named(name),
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(replicas)), Selector: selector(name), Template: newTemplate(name, firstImage),
			Strategy: appsv1.DeploymentStrategy{
				Type:          appsv1.RollingUpdateDeploymentStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: percent("100%"), MaxSurge: new(intstr.FromInt32(0))},
			},
		},
	}
	return workload{
		object: d, template: &d.Spec.Template, agents: []string{"deployment-controller", "replicaset-controller"},
		changes: []change{{phase: phaseChangeAll}},
		counts:  []string{"replicas", "updatedReplicas", "availableReplicas"},
	}
}

// newStatefulSet is a StatefulSet that makes all pods at once, and updates all at once, in place and then by recreation.
func newStatefulSet(name string, replicas int) workload {
	rolling := &v1beta1.RollingUpdateStatefulSetStrategy{
		PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType, MaxUnavailable: percent("100%"),
	}
	set := &v1beta1.StatefulSet{
		ObjectMeta: named(name),
		Spec: v1beta1.StatefulSetSpec{
			Replicas: new(int32(replicas)), Selector: selector(name), Template: newTemplate(name, firstImage), ServiceName: name,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			UpdateStrategy:      v1beta1.StatefulSetUpdateStrategy{Type: appsv1.RollingUpdateStatefulSetStrategyType, RollingUpdate: rolling},
		},
	}
	set.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
	return workload{
		object: set, template: &set.Spec.Template, controller: "statefulset", agents: []string{processManager},
		changes: []change{{phase: phaseChangeAll}, {phaseRecreate, func() { set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = v1beta1.RecreatePodUpdatePolicyType }}},
		counts:  []string{"replicas", "availableReplicas", "updatedAvailableReplicas"},
	}
}

// newNativeStatefulSet is the same as far as Kubernetes knows it.
func newNativeStatefulSet(name string, replicas int) workload {
	set := &appsv1.StatefulSet{
		ObjectMeta: named(name),
		Spec: appsv1.StatefulSetSpec{
			Replicas: new(int32(replicas)), Selector: selector(name), Template: newTemplate(name, firstImage), ServiceName: name,
			PodManagementPolicy: appsv1.ParallelPodManagement,
			UpdateStrategy: appsv1.StatefulSetUpdateStrategy{
				Type:          appsv1.RollingUpdateStatefulSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateStatefulSetStrategy{MaxUnavailable: percent("100%")},
			},
		},
	}
	return workload{
		object: set, template: &set.Spec.Template, agents: []string{"statefulset-controller"},
		changes: []change{{phase: phaseRecreate}},
		counts:  []string{"replicas", "updatedReplicas", "availableReplicas"},
	}
}

// newDaemonSet is a DaemonSet that updates all nodes at once, in place and then by recreation.
func newDaemonSet(name string, _ int) workload {
	rolling := &v1beta1.RollingUpdateDaemonSet{
		Type: v1beta1.InplaceRollingUpdateType, MaxUnavailable: percent("100%"), MaxSurge: new(intstr.FromInt32(0)),
	}
	set := &v1beta1.DaemonSet{
		ObjectMeta: named(name),
		Spec: v1beta1.DaemonSetSpec{
			Selector: selector(name), Template: newTemplate(name, firstImage),
			UpdateStrategy: v1beta1.DaemonSetUpdateStrategy{Type: v1beta1.RollingUpdateDaemonSetStrategyType, RollingUpdate: rolling},
		},
	}
	return workload{
		object: set, template: &set.Spec.Template, controller: "daemonset", agents: []string{processManager},
		changes: []change{{phase: phaseChangeAll}, {phaseRecreate, func() { set.Spec.UpdateStrategy.RollingUpdate.Type = v1beta1.StandardRollingUpdateType }}},
		counts:  onNodes(),
	}
}

// newNativeDaemonSet is the same as far as Kubernetes knows it.
func newNativeDaemonSet(name string, _ int) workload {
	set := &appsv1.DaemonSet{
		ObjectMeta: named(name),
		Spec: appsv1.DaemonSetSpec{
			Selector: selector(name), Template: newTemplate(name, firstImage),
			UpdateStrategy: appsv1.DaemonSetUpdateStrategy{
				Type:          appsv1.RollingUpdateDaemonSetStrategyType,
				RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxUnavailable: percent("100%"), MaxSurge: new(intstr.FromInt32(0))},
			},
		},
	}
	return workload{
		object: set, template: &set.Spec.Template, agents: []string{"daemon-set-controller"},
		changes: []change{{phase: phaseRecreate}},
		counts:  onNodes(),
	}
}

func onNodes() []string {
	return []string{"desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable"}
}
