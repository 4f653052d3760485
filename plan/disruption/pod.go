package disruption

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// Active says whether a pod is neither on its way out nor ended.
func Active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// Available says whether a pod serves: it is active, running and ready, nobody marked it as unavailable, and what runs is what
// its spec says.
func Available(pod *corev1.Pod) bool {
	return Active(pod) && pod.Status.Phase == corev1.PodRunning && Ready(pod) && !marked(pod) && consistent(pod)
}

// Ready says whether kubelet calls a pod ready.
func Ready(pod *corev1.Pod) bool {
	c := readyCondition(pod)
	return c != nil && c.Status == corev1.ConditionTrue
}

func readyCondition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == corev1.PodReady {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// marked says whether a label says that the pod is unavailable.
func marked(pod *corev1.Pod) bool {
	for key := range pod.Labels {
		if strings.HasPrefix(key, appsv1beta1.UnavailablePodLabelPrefix) {
			return true
		}
	}
	return false
}

// consistent says whether kubelet runs what the spec says, as far as the pod tells: kubelet has seen the spec, images that are
// named by digest are those that run, and no update in place is under way.
func consistent(pod *corev1.Pod) bool {
	if seen := pod.Status.ObservedGeneration; seen != 0 && seen < pod.Generation {
		return false
	}
	for i := range pod.Spec.Containers {
		_, wanted, byDigest := strings.Cut(pod.Spec.Containers[i].Image, "@")
		if !byDigest {
			continue
		}
		for j := range pod.Status.ContainerStatuses {
			status := &pod.Status.ContainerStatuses[j]
			_, runs, known := strings.Cut(status.ImageID, "@")
			if status.Name == pod.Spec.Containers[i].Name && known && runs != wanted {
				return false
			}
		}
	}
	return inplace.ProgressOf(pod).Stage == inplace.Done
}

// Change says which operation it is to make one pod out of another. ok is false where that takes nothing out of service: the
// spec stays, and no label comes that marks the pod as unavailable.
func Change(before, after *corev1.Pod) (o v1beta1.PubOperation, ok bool) {
	if !marked(before) && marked(after) {
		return v1beta1.PubUpdateOperation, true
	}
	if equality.Semantic.DeepEqual(before.Spec, after.Spec) {
		return "", false
	}
	if resizes(before, after) {
		return v1beta1.PubResizeOperation, true
	}
	return v1beta1.PubUpdateOperation, true
}

// resizes says whether all that changes is cpu and memory, which kubelet gives to the containers as they run.
func resizes(before, after *corev1.Pod) bool {
	if len(before.Spec.Containers) != len(after.Spec.Containers) || static(before) || inplace.QOSClass(&before.Spec) != inplace.QOSClass(&after.Spec) {
		return false
	}
	rest := after.Spec.DeepCopy()
	for i := range rest.Containers {
		old, c := &before.Spec.Containers[i], &rest.Containers[i]
		for name := range changedResources(old, c) {
			if name != corev1.ResourceCPU && name != corev1.ResourceMemory || restarts(c, name) {
				return false
			}
		}
		c.Resources.Limits, c.Resources.Requests = old.Resources.Limits, old.Resources.Requests
	}
	return equality.Semantic.DeepEqual(before.Spec, *rest)
}

// changedResources are the names of the resources of which a container gets another amount.
func changedResources(before, after *corev1.Container) map[corev1.ResourceName]bool {
	out := map[corev1.ResourceName]bool{}
	for _, lists := range [][2]corev1.ResourceList{
		{before.Resources.Limits, after.Resources.Limits}, {before.Resources.Requests, after.Resources.Requests},
	} {
		for _, list := range lists {
			for name := range list {
				a, had := lists[0][name]
				b, has := lists[1][name]
				if had != has || a.Cmp(b) != 0 {
					out[name] = true
				}
			}
		}
	}
	return out
}

func restarts(c *corev1.Container, name corev1.ResourceName) bool {
	for _, p := range c.ResizePolicy {
		if p.ResourceName == name && p.RestartPolicy == corev1.RestartContainer {
			return true
		}
	}
	return false
}

// static says whether kubelet runs the pod from a file of its node.
func static(pod *corev1.Pod) bool {
	if source := pod.Annotations["kubernetes.io/config.source"]; source != "" && source != "api" {
		return true
	}
	ref := metav1.GetControllerOfNoCopy(pod)
	return ref != nil && ref.Kind == "Node" && ref.APIVersion == "v1"
}
