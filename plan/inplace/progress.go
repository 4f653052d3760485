package inplace

import (
	"maps"
	"slices"
	"strings"
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
	// Done is a pod with no update under way: none was ever begun, or it has been carried out.
	Done Stage = iota
	// Grace is a pod that was taken out of service and waits for its grace period before it is changed.
	Grace
	// Running is a pod that was changed and where that has not been carried out yet.
	Running
	// NextBatch is a pod whose next containers can be changed now: Continue does it.
	NextBatch
)

// Progress is what a pod says of its latest update in place.
type Progress struct {
	Stage Stage
	// GraceUntil is the end of the grace period, in the stage Grace.
	GraceUntil time.Time
	// Waiting names a container that is not updated yet, in the stage Running. Empty: kubelet has not seen the change.
	Waiting string
	// Trouble says in a few words what keeps the update from going on, if the pod says it.
	Trouble string
	// Unsettled is true in the stage Done while the pod's record still speaks of a resize. Settle ends that.
	Unsettled bool
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
	switch {
	case !ok:
		return Progress{}
	case len(unwritten(pod, &state)) > 0:
		return Progress{Stage: NextBatch}
	}
	if name, trouble := unfinished(pod, &state); name != "" {
		return Progress{Stage: Running, Waiting: name, Trouble: trouble}
	}
	if !nextOf(&state).empty() {
		if name := notReady(pod, &state); name != "" {
			return Progress{Stage: Running, Waiting: name}
		}
		return Progress{Stage: NextBatch}
	}
	if !observed(pod) {
		return Progress{Stage: Running}
	}
	return Progress{Unsettled: len(state.ContainerResources) > 0}
}

// resizeMark is in records of resizes that are under way, and in no others.
const resizeMark = `"containerResources":`

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
	return !strings.Contains(pod.Annotations[v1beta1.InPlaceUpdateStateKey], resizeMark)
}

// unfinished names a container of the batches so far that is not updated yet, and says what is in the way.
func unfinished(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState) (name, trouble string) {
	for _, name := range slices.Sorted(maps.Keys(state.ContainerResources)) {
		if c := containerOf(pod, name); c != nil && (!observed(pod) || !resized(pod, c) || resizing(pod)) {
			return name, resizeTrouble(pod)
		}
	}
	if state.UpdateResources && len(state.ContainerResources) == 0 { // by another manager
		for i := range pod.Spec.Containers {
			c := &pod.Spec.Containers[i]
			if cs := containerStatus(pod, c.Name); cs != nil && cs.Resources != nil && !resized(pod, c) {
				return c.Name, resizeTrouble(pod)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(state.LastContainerStatuses)) {
		before := state.LastContainerStatuses[name]
		if !restarted(pod, state, name, before) {
			if before.EnvFromMetadata && !awaitsImage(before) {
				trouble = "env: waiting for the node's agent to restart " + name
			}
			return name, trouble
		}
	}
	for _, name := range envOfOthers(pod, state) {
		if !envRenewed(pod, state, name, state.LastContainerStatuses[name]) {
			return name, "env: waiting for the node's agent to restart " + name
		}
	}
	return "", ""
}

// notReady names a container of the latest batch that is not ready, so that the next one must wait.
func notReady(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState) string {
	if state.PreCheckBeforeNext == nil {
		return ""
	}
	for _, name := range state.PreCheckBeforeNext.ContainersRequiredReady {
		if containerOf(pod, name) != nil && !ready(pod, name) {
			return name
		}
	}
	return ""
}

// ready says whether kubelet reports a container as ready.
func ready(pod *corev1.Pod, name string) bool {
	cs := containerStatus(pod, name)
	return cs != nil && cs.Ready
}

// restarted says whether a container was started anew since it was recorded, with all that it waits for.
func restarted(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState, name string, before v1beta1.InPlaceUpdateContainerStatus) bool {
	if before.EnvFromMetadata && !envRenewed(pod, state, name, before) {
		return false
	}
	return !awaitsImage(before) || runsImage(pod, state, name, before)
}

// awaitsImage says whether a container waits for another image. Records of other managers say no more than the image ID, or
// have the resources alone of a container that is resized.
func awaitsImage(before v1beta1.InPlaceUpdateContainerStatus) bool {
	return before.Image != "" || before.ImageID != "" || !before.EnvFromMetadata && zero(before.Resources)
}

// runsImage says whether kubelet reports that it started the container anew, from what it reported before the update.
//
// A new container ID is the proof, whatever the image's digest is, so a new tag of the same digest completes. Only where
// the image ID is new but kubelet still names the image of before (an earlier update overtaken by this one) it is not
// enough. Records of other managers hold no container ID: there the image ID, or the image's name, has to do.
func runsImage(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState, name string, before v1beta1.InPlaceUpdateContainerStatus) bool {
	now := containerStatus(pod, name)
	if now == nil || now.ContainerID == "" && now.ImageID == "" {
		return false
	}
	if !observed(pod) {
		return false
	}
	wanted := specImage(pod, name)
	if now.ImageID != before.ImageID {
		earlier := append(slices.Clip(before.OvertakenImages), before.Image, startedFrom(before))
		overtaken := before.Image != "" && !sameImage(now.Image, wanted) &&
			slices.ContainsFunc(earlier, func(image string) bool { return sameImage(now.Image, image) })
		return !overtaken
	}
	if before.ContainerID != "" {
		return now.ContainerID != before.ContainerID
	}
	return startedAfter(now, state) || sameImage(now.Image, wanted)
}

// startedAfter says whether a container was started after the update began.
func startedAfter(now *corev1.ContainerStatus, state *v1beta1.InPlaceUpdateState) bool {
	return now.State.Running != nil && now.State.Running.StartedAt.After(state.UpdateTimestamp.Time)
}

// observed says whether the status speaks of the spec as it is. Kubelets that do not report a generation are taken at
// their word.
func observed(pod *corev1.Pod) bool {
	seen := pod.Status.ObservedGeneration
	return seen == 0 || seen >= pod.Generation
}

// containerStatus finds what kubelet reports of a container. Native sidecars are among the init containers, and no two
// containers of a pod have the same name.
func containerStatus(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		for i := range statuses {
			if statuses[i].Name == name {
				return &statuses[i]
			}
		}
	}
	return nil
}

// containerOf finds a container of a pod's spec in the same way.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, containers := range [][]corev1.Container{pod.Spec.Containers, pod.Spec.InitContainers} {
		for i := range containers {
			if containers[i].Name == name {
				return &containers[i]
			}
		}
	}
	return nil
}

func specImage(pod *corev1.Pod, name string) string {
	if c := containerOf(pod, name); c != nil {
		return c.Image
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
