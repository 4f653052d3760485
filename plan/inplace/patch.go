package inplace

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
)

// Patches are strategic merge patches of one pod, guarded by its UID: first the one of the status subresource (which
// takes labels and annotations, too), then the one of the pod. A nil one is not needed.
type Patches struct {
	Status []byte
	Pod    []byte
}

// Target is where an update in place leads to.
type Target struct {
	// Revision is the new value of the label controller-revision-hash.
	Revision string
	// Hash is the new value of the label pod-template-hash.
	Hash string
	// Template is the new pod template.
	Template *corev1.PodTemplateSpec
	// Change leads from the pod's template to the new one.
	Change Change
	// GraceSeconds is how long the pod is out of service before it is changed.
	GraceSeconds int32
	// Hooked is true for workloads with an inPlaceUpdate hook: their pods walk through every state.
	Hooked bool
}

// Begin makes the patches that begin an update in place.
//
// A pod whose containers restart is first taken out of service, where it has the readiness gate. Without a grace period
// the new spec follows at once, in one write with the revision label; with one, the whole change is kept in an
// annotation until Apply. A change that restarts nothing is one write, and the pod stays in service.
func Begin(pod *corev1.Pod, t Target, now time.Time) (Patches, error) {
	change := overtake(pod, t)
	meta := patchOf(pod)
	meta.setAll(change.Labels, change.Annotations)
	meta.label("controller-revision-hash", t.Revision)
	meta.label(v1beta1.DefaultPodTemplateHashLabel, t.Hash)
	if err := meta.annotateJSON(v1beta1.InPlaceUpdateStateKey, stateFor(pod, t.Revision, change, now)); err != nil {
		return Patches{}, err
	}
	meta.drop(v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld)
	if change.Restarts() || t.Hooked {
		meta.state(lifecycle.Updating, now)
	}
	if !change.Restarts() {
		return Patches{Pod: meta.bytes()}, nil
	}

	gated := HasGate(pod, v1beta1.InPlaceUpdateReady)
	if t.GraceSeconds > 0 && gated {
		pending := v1beta1.UpdateSpec{Revision: t.Revision, ContainerImages: change.Images, GraceSeconds: t.GraceSeconds}
		if err := meta.annotateJSON(v1beta1.InPlaceUpdateGraceKey, pending); err != nil {
			return Patches{}, err
		}
		meta.outOfService(now)
		return Patches{Status: meta.bytes()}, nil
	}
	meta.images(change.Images)
	patches := Patches{Pod: meta.bytes()}
	if gated {
		status := patchOf(pod)
		status.outOfService(now)
		patches.Status = status.bytes()
	}
	return patches, nil
}

// Apply makes the patch that ends a grace period: it changes the spec as the annotation says. A pod without such an
// annotation needs no patch.
func Apply(pod *corev1.Pod) (Patches, error) {
	pending, ok := pendingOf(pod)
	if !ok {
		return Patches{}, nil
	}
	p := patchOf(pod)
	labels, annotations, err := pendingMetadata(pending)
	if err != nil {
		return Patches{}, fmt.Errorf("pod %s/%s: read the change that waits for its grace period: %w", pod.Namespace, pod.Name, err)
	}
	p.setAll(labels, annotations)
	p.drop(v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld)
	p.images(pending.ContainerImages)
	return Patches{Pod: p.bytes()}, nil
}

// Settle makes the patch that moves a pod to a state of its life cycle and opens every readiness gate of ours that
// nobody holds, in one write.
func Settle(pod *corev1.Pod, to lifecycle.State, hash string, now time.Time) Patches {
	p := patchOf(pod)
	if lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]) != to {
		p.state(to, now)
	}
	if pod.Labels[v1beta1.DefaultPodTemplateHashLabel] == "" && hash != "" {
		p.label(v1beta1.DefaultPodTemplateHashLabel, hash)
	}
	if lifecycle.Serves(to) || to == lifecycle.Updated || to == lifecycle.PreparingNormal {
		if gate := v1beta1.InPlaceUpdateReady; HasGate(pod, gate) && !gateStands(pod, gate) {
			p.condition(corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)})
		}
		p.release(now)
	}
	if p.empty() {
		return Patches{}
	}
	return Patches{Status: p.bytes()}
}

// Moving is how a pod moves to another state of its life cycle.
type Moving struct {
	// To is the state.
	To lifecycle.State
	// Specified adds the label that asks for the pod's deletion, so that no later decision takes it back.
	Specified bool
	// NotReady keeps the pod out of service until it is settled, where it has the readiness gate.
	NotReady bool
}

// Move makes the patch that moves a pod to a state of its life cycle and does nothing else.
func Move(pod *corev1.Pod, m Moving, now time.Time) Patches {
	p := patchOf(pod)
	p.state(m.To, now)
	if m.Specified {
		p.label(v1beta1.SpecifiedDeleteKey, "true")
	}
	if m.NotReady && HasGate(pod, v1beta1.KruisePodReadyConditionType) {
		p.hold(holdFor(m.To), now)
		return Patches{Status: p.bytes()}
	}
	return Patches{Pod: p.bytes()}
}

// overtake adds to a change what a grace period still holds back, so that a newer revision never skips a part of it,
// and leaves out images that the pod already has.
func overtake(pod *corev1.Pod, t Target) Change {
	change := t.Change
	images := maps.Clone(change.Images)
	if pending, ok := pendingOf(pod); ok {
		images = merged(images, imagesOf(t.Template, pending.ContainerImages))
		if labels, annotations, err := pendingMetadata(pending); err == nil {
			change.Labels = merged(labels, change.Labels)
			change.Annotations = merged(annotations, change.Annotations)
		}
	}
	maps.DeleteFunc(images, func(name, image string) bool { return specImage(pod, name) == image })
	change.Images = images
	return change
}

// imagesOf are the template's images of the named containers.
func imagesOf(template *corev1.PodTemplateSpec, names map[string]string) map[string]string {
	out := map[string]string{}
	for i := range template.Spec.Containers {
		c := &template.Spec.Containers[i]
		if _, ok := names[c.Name]; ok {
			out[c.Name] = c.Image
		}
	}
	return out
}

// stateFor records what the changed containers run before the update, and goes on waiting for what an earlier update
// changed and kubelet has not restarted yet.
func stateFor(pod *corev1.Pod, revision string, change Change, now time.Time) v1beta1.InPlaceUpdateState {
	waiting := unfinished(pod)
	state := v1beta1.InPlaceUpdateState{
		Revision: revision,
		// A time in an object has whole seconds. Cut off, it would make the grace period that counts from it too short.
		UpdateTimestamp:       metav1.NewTime(now.Add(time.Second - 1).Truncate(time.Second)),
		LastContainerStatuses: map[string]v1beta1.InPlaceUpdateContainerStatus{},
		UpdateImages:          change.Restarts() || len(waiting) > 0,
	}
	maps.Copy(state.LastContainerStatuses, waiting)
	if !change.Restarts() {
		return state
	}
	names := slices.Sorted(maps.Keys(change.Images))
	for _, name := range names {
		before := v1beta1.InPlaceUpdateContainerStatus{Image: specImage(pod, name)}
		cs := containerStatus(pod, name)
		if cs != nil {
			before.ImageID, before.ContainerID = cs.ImageID, cs.ContainerID
		}
		if earlier, ok := waiting[name]; ok && neverLeft(cs, earlier, change.Images[name]) {
			delete(state.LastContainerStatuses, name)
			continue
		}
		state.LastContainerStatuses[name] = before
	}
	state.ContainerBatchesRecord = []v1beta1.InPlaceUpdateContainerBatch{{Timestamp: metav1.NewTime(now), Containers: names}}
	return state
}

// unfinished is what an earlier update waits for, by container.
func unfinished(pod *corev1.Pod) map[string]v1beta1.InPlaceUpdateContainerStatus {
	if ProgressOf(pod).Stage != Running {
		return nil
	}
	state, _ := StateOf(pod)
	maps.DeleteFunc(state.LastContainerStatuses, func(name string, before v1beta1.InPlaceUpdateContainerStatus) bool {
		return restarted(pod, state, name, before)
	})
	return state.LastContainerStatuses
}

// neverLeft says whether a container still runs the image that is wanted now, although an earlier update wanted another:
// a change and its rollback in one breath. Kubelet may never notice, so nobody must wait for a restart.
func neverLeft(now *corev1.ContainerStatus, earlier v1beta1.InPlaceUpdateContainerStatus, wanted string) bool {
	return now != nil && now.State.Running != nil && now.ContainerID == earlier.ContainerID &&
		(sameImage(earlier.Image, wanted) || sameImage(now.Image, wanted))
}

// pendingMetadata reads the labels and annotations of a change that another manager put into a grace period.
func pendingMetadata(pending v1beta1.UpdateSpec) (labels, annotations map[string]*string, err error) {
	if len(pending.MetaDataPatch) == 0 {
		return nil, nil, nil
	}
	var p struct {
		Metadata struct {
			Labels      map[string]*string `json:"labels"`
			Annotations map[string]*string `json:"annotations"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal(pending.MetaDataPatch, &p); err != nil {
		return nil, nil, fmt.Errorf("metaDataPatch: %w", err)
	}
	return p.Metadata.Labels, p.Metadata.Annotations, nil
}

// HasGate says whether a pod has a readiness gate.
func HasGate(pod *corev1.Pod, gate corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Spec.ReadinessGates, func(g corev1.PodReadinessGate) bool { return g.ConditionType == gate })
}

// gateStands says whether a gate's condition must be left as it is: it is True already, or somebody holds KruisePodReady.
func gateStands(pod *corev1.Pod, gate corev1.PodConditionType) bool {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Type == gate {
			return c.Status == corev1.ConditionTrue || gate == v1beta1.KruisePodReadyConditionType && c.Status == corev1.ConditionFalse
		}
	}
	return false
}
