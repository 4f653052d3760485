package inplace

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// RecordImages makes the record of an update of images in a pod whose own record is somebody else's affair: that of sidecars,
// native ones among the init containers included. earlier is the record of the update before; nil for none. The new one
// goes on waiting for what that one changed and nobody has carried out yet.
func RecordImages(pod *corev1.Pod, earlier *v1beta1.InPlaceUpdateState, revision string, images map[string]string, now time.Time) v1beta1.InPlaceUpdateState {
	todo := work{images: images}
	r := recordAfter(pod, earlier, revision, todo, now)
	r.take(todo, work{}, now)
	return r.InPlaceUpdateState
}

// CarriedOut says whether kubelet has started all containers anew that a record speaks of, by the rules by which an update in
// place is done, and has seen the pod's spec as it is.
func CarriedOut(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState) bool {
	waiting, _ := unfinished(pod, state)
	return waiting == "" && observed(pod)
}

// Awaits says whether a record speaks of a container that kubelet has not started anew yet, so that what it reports of the
// container is what was before.
func Awaits(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState, container string) bool {
	before, changed := state.LastContainerStatuses[container]
	return changed && !restarted(pod, state, container, before)
}

// StatusOf is what kubelet reports of a container, native sidecars included; nil for one that it does not know.
func StatusOf(pod *corev1.Pod, container string) *corev1.ContainerStatus {
	return containerStatus(pod, container)
}

// ContainerOf is a container of a pod, native sidecars included; nil for one that it does not have.
func ContainerOf(pod *corev1.Pod, name string) *corev1.Container { return containerOf(pod, name) }

// SetImages makes the patch that gives containers other images and writes annotations. Others may write the same
// annotations, so it holds only for the pod as it was read.
func SetImages(pod *corev1.Pod, images, annotations map[string]string) []byte {
	p := patchOf(pod)
	p.exact = true
	p.setValues(nil, annotations)
	p.images(images)
	return p.bytes()
}

// SetCondition makes the patch of a pod's status that writes a condition. Others may write the same one, so it holds only
// for the pod as it was read.
func SetCondition(pod *corev1.Pod, c corev1.PodCondition) []byte {
	p := patchOf(pod)
	p.exact = true
	p.condition(c)
	return p.bytes()
}
