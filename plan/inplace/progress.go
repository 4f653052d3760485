package inplace

import (
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
)

// Stage says how far a pod's latest update in place is.
type Stage uint8

// The stages.
const (
	// Done is a pod with no update under way: none was ever begun, or kubelet has carried it out.
	Done Stage = iota
	// Grace is a pod that was taken out of service and waits for its grace period before it is changed.
	Grace
	// Running is a pod whose spec was changed and where kubelet has not restarted every container yet.
	Running
)

// Progress is what a pod says of its latest update in place.
type Progress struct {
	Stage Stage
	// GraceUntil is the end of the grace period, in the stage Grace.
	GraceUntil time.Time
	// Waiting names a container that is not updated yet, in the stage Running. Empty: kubelet has not seen the change.
	Waiting string
}

// ProgressOf reads how far a pod is. An annotation that cannot be read counts as no update: nothing could be done with it.
func ProgressOf(pod *corev1.Pod) Progress {
	if settled(pod) {
		return Progress{}
	}
	state, ok := StateOf(pod)
	if pending, waits := pendingOf(pod); waits {
		until := pod.CreationTimestamp.Time
		if ok {
			until = state.UpdateTimestamp.Time
		}
		return Progress{Stage: Grace, GraceUntil: until.Add(time.Duration(pending.GraceSeconds) * time.Second)}
	}
	if !ok {
		return Progress{}
	}
	for _, name := range slices.Sorted(maps.Keys(state.LastContainerStatuses)) {
		if !restarted(pod, state, name, state.LastContainerStatuses[name]) {
			return Progress{Stage: Running, Waiting: name}
		}
	}
	if !observed(pod) {
		return Progress{Stage: Running}
	}
	return Progress{}
}

// settled recognises the great majority of pods, those in no update, without decoding their annotations.
func settled(pod *corev1.Pod) bool {
	if !lifecycle.Serves(lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey])) {
		return false
	}
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == v1beta1.InPlaceUpdateReady && c.Status == corev1.ConditionFalse {
			return false
		}
	}
	return true
}

// StateOf reads the record of the pod's latest update in place, under its present or its older name.
func StateOf(pod *corev1.Pod) (v1beta1.InPlaceUpdateState, bool) {
	var state v1beta1.InPlaceUpdateState
	ok := fromAnnotation(pod, &state, v1beta1.InPlaceUpdateStateKey, v1beta1.InPlaceUpdateStateKeyOld)
	return state, ok
}

// pendingOf reads the change that waits for its grace period.
func pendingOf(pod *corev1.Pod) (v1beta1.UpdateSpec, bool) {
	var spec v1beta1.UpdateSpec
	ok := fromAnnotation(pod, &spec, v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld)
	return spec, ok
}

func fromAnnotation(pod *corev1.Pod, into any, keys ...string) bool {
	for _, key := range keys {
		if text, ok := pod.Annotations[key]; ok {
			return json.Unmarshal([]byte(text), into) == nil
		}
	}
	return false
}

// restarted says whether kubelet reports that it started the container anew, from what it reported before the update.
//
// A new container ID is the proof, whatever the image's digest is, so a new tag of the same digest completes. Only where
// the image ID is new but kubelet still names the image of before (an earlier update overtaken by this one) it is not
// enough. Records of other managers hold no container ID: there the image ID, or the image's name, has to do.
func restarted(pod *corev1.Pod, state v1beta1.InPlaceUpdateState, name string, before v1beta1.InPlaceUpdateContainerStatus) bool {
	now := containerStatus(pod, name)
	if now == nil || now.ContainerID == "" && now.ImageID == "" {
		return false
	}
	if !observed(pod) {
		return false
	}
	wanted := specImage(pod, name)
	if now.ImageID != before.ImageID {
		overtaken := before.Image != "" && !sameImage(now.Image, wanted) && sameImage(now.Image, before.Image)
		return !overtaken
	}
	if before.ContainerID != "" {
		return now.ContainerID != before.ContainerID
	}
	if running := now.State.Running; running != nil && running.StartedAt.After(state.UpdateTimestamp.Time) {
		return true
	}
	return sameImage(now.Image, wanted)
}

// observed says whether the status speaks of the spec as it is. Kubelets that do not report a generation are taken at
// their word.
func observed(pod *corev1.Pod) bool {
	seen := pod.Status.ObservedGeneration
	return seen == 0 || seen >= pod.Generation
}

func containerStatus(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for i := range pod.Status.ContainerStatuses {
		if pod.Status.ContainerStatuses[i].Name == name {
			return &pod.Status.ContainerStatuses[i]
		}
	}
	return nil
}

func specImage(pod *corev1.Pod, name string) string {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name == name {
			return pod.Spec.Containers[i].Image
		}
	}
	return ""
}

// sameImage compares two image names as runtimes understand them: busybox is docker.io/library/busybox:latest.
func sameImage(a, b string) bool { return a == b || a != "" && normal(a) == normal(b) }

func normal(image string) string {
	named, err := reference.ParseNormalizedNamed(image)
	if err != nil {
		return image
	}
	return reference.TagNameOnly(named).String()
}
