package disruption

import (
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/sidecar"
)

// Active says whether a pod is neither on its way out nor ended.
func Active(pod *corev1.Pod) bool {
	return pod.DeletionTimestamp == nil && pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed
}

// Available says whether a pod serves: it is active, running and ready, nobody marked it as unavailable, and what runs is what
// its spec says.
func Available(pod *corev1.Pod) bool { return Unavailable(pod) == "" }

// The reasons why a pod does not serve that say nothing of what is wrong with it.
const (
	NotActive = "it has ended, or is being deleted"
	NotReady  = "it is not ready"
)

// Unavailable says why a pod does not serve; empty for one that does.
func Unavailable(pod *corev1.Pod) string {
	switch {
	case !Active(pod):
		return NotActive
	case pod.Status.Phase != corev1.PodRunning || !Ready(pod):
		return NotReady
	}
	if label := mark(pod); label != "" {
		return "label " + label + " marks it as unavailable"
	}
	return inconsistent(pod)
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

// mark is the first label that says that the pod is unavailable; empty where there is none.
func mark(pod *corev1.Pod) (first string) {
	for key := range pod.Labels {
		if strings.HasPrefix(key, appsv1beta1.UnavailablePodLabelPrefix) && (first == "" || key < first) {
			first = key
		}
	}
	return first
}

func marked(pod *corev1.Pod) bool { return mark(pod) != "" }

// inconsistent says how what kubelet runs differs from what the spec says, as far as the pod tells: kubelet has not seen the spec,
// another image runs than the one that is named by digest, or an update in place or an upgrade of injected sidecars is under way. A
// hot upgrade is until its old twin is idle, although the pod may be ready all the time: that restarts a container, too.
func inconsistent(pod *corev1.Pod) string {
	if seen := pod.Status.ObservedGeneration; seen != 0 && seen < pod.Generation {
		return "kubelet has not seen its spec yet"
	}
	for i := range pod.Spec.Containers {
		if c := &pod.Spec.Containers[i]; runsAnother(pod, c) {
			return "container " + c.Name + " runs another image than its spec says"
		}
	}
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && runsAnother(pod, c) {
			return "container " + c.Name + " runs another image than its spec says"
		}
	}
	switch {
	case inplace.ProgressOf(pod).Stage != inplace.Done:
		return "its update in place is under way"
	case sidecar.UpgradesOf(pod).UnderWay:
		return "an upgrade of its sidecars is under way"
	default:
		return ""
	}
}

// runsAnother says whether a container runs another image than the one that its spec names by digest.
func runsAnother(pod *corev1.Pod, c *corev1.Container) bool {
	_, wanted, byDigest := strings.Cut(c.Image, "@")
	if !byDigest {
		return false
	}
	status := inplace.StatusOf(pod, c.Name)
	if status == nil {
		return false
	}
	_, runs, known := strings.Cut(status.ImageID, "@")
	return known && runs != wanted
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
	if static(before) || inplace.QOSClass(&before.Spec) != inplace.QOSClass(&after.Spec) {
		return false
	}
	rest := after.Spec.DeepCopy()
	return resize(before.Spec.Containers, rest.Containers) && resize(before.Spec.InitContainers, rest.InitContainers) &&
		equality.Semantic.DeepEqual(before.Spec, *rest)
}

// resize takes back what kubelet gives to containers as they run; those among the init containers are native sidecars. It says
// whether that is all that changes of their resources.
func resize(before, after []corev1.Container) bool {
	if len(before) != len(after) {
		return false
	}
	for i := range after {
		old, c := &before[i], &after[i]
		for name := range changedResources(old, c) {
			if name != corev1.ResourceCPU && name != corev1.ResourceMemory || restarts(c, name) {
				return false
			}
		}
		c.Resources.Limits, c.Resources.Requests = old.Resources.Limits, old.Resources.Requests
	}
	return true
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
