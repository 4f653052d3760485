package inplace

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/revision"
)

// Patches are strategic merge patches of one pod, guarded by its UID, to be sent in the order of the fields: the status
// subresource (which takes labels and annotations, too), the pod, and its subresource resize. A nil one is not needed. One
// that fails keeps back the ones behind it; the next decision goes on from what the pod says then.
type Patches struct {
	Status []byte
	Pod    []byte
	Resize []byte
	// Restarts says that the update that begins takes the pod out of service: a container restarts for it.
	Restarts bool
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
// the first batch of containers follows at once, in one write with the revision label; with one, all that restarts a
// container is kept in an annotation until Continue. A change that restarts nothing leaves the pod in service. Resources
// follow in a write of their own, since the API takes them nowhere else; the write before says what they will be.
//
// What an earlier update has not finished is finished with this one, at the values of the newest template.
func Begin(pod *corev1.Pod, t Target, now time.Time) (Patches, error) {
	todo, labels, annotations := overtake(pod, t)
	restarts := todo.restartsAny(pod)
	meta := patchOf(pod)
	meta.setAll(labels, annotations)
	meta.label("controller-revision-hash", t.Revision)
	meta.label(v1beta1.DefaultPodTemplateHashLabel, t.Hash)
	meta.drop(v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld)
	if restarts || t.Hooked {
		meta.state(lifecycle.Updating, now)
	}
	gated := HasGate(pod, v1beta1.InPlaceUpdateReady)
	if restarts && gated && t.GraceSeconds > 0 {
		record := newRecord(pod, t.Revision, work{}, now) // for the time being, the spec stays as it is
		record.require()
		record.summarise()
		record.UpdateImages = record.UpdateImages || len(todo.images) > 0
		pending := v1beta1.UpdateSpec{
			Revision: t.Revision, GraceSeconds: t.GraceSeconds, ContainerImages: todo.images,
			ContainerRefMetadata: todo.metadata, UpdateEnvFromMetadata: len(todo.metadata) > 0, ContainerResources: todo.resources,
		}
		if err := errors.Join(meta.annotateJSON(v1beta1.InPlaceUpdateStateKey, record.InPlaceUpdateState),
			meta.annotateJSON(v1beta1.InPlaceUpdateGraceKey, pending)); err != nil {
			return Patches{}, err
		}
		meta.outOfService(now)
		return Patches{Status: meta.bytes(), Restarts: true}, nil
	}
	patches, err := change(meta, newRecord(pod, t.Revision, todo, now), todo, now)
	if restarts && gated {
		status := patchOf(pod)
		status.outOfService(now)
		patches.Status = status.bytes()
	}
	patches.Restarts = restarts
	return patches, err
}

// change makes the patches that change the containers of the first batch, together with the record that says so.
func change(p *podPatch, r *record, todo work, at time.Time) (Patches, error) {
	batch, later := todo.split(p.pod, r.underway)
	r.take(batch, later, at)
	if err := p.annotateJSON(v1beta1.InPlaceUpdateStateKey, r.InPlaceUpdateState); err != nil {
		return Patches{}, err
	}
	for _, meta := range batch.metadata {
		p.setValues(meta.Labels, meta.Annotations)
	}
	p.images(batch.images)
	return Patches{Pod: p.bytes(), Resize: resizePatch(p.pod, batch.resources)}, nil
}

// resizePatch makes the patch of the subresource resize. Nil: there is nothing to resize.
func resizePatch(pod *corev1.Pod, resources map[string]corev1.ResourceRequirements) []byte {
	if len(resources) == 0 {
		return nil
	}
	p := patchOf(pod)
	p.resources(resources)
	return p.bytes()
}

// Continue makes the patches that go on with an update: with what waited for a grace period, with the next batch of
// containers, or with resources that the record speaks of and nobody wrote. It is for pods whose grace period is over and
// for those in the stage NextBatch; for others it makes none.
func Continue(pod *corev1.Pod, now time.Time) (Patches, error) {
	if pending, ok := pendingOf(pod); ok {
		return endGrace(pod, pending, now)
	}
	state, ok := StateOf(pod)
	if !ok || ProgressOf(pod).Stage != NextBatch {
		return Patches{}, nil
	}
	if resources := unwritten(pod, &state); len(resources) > 0 {
		return Patches{Resize: resizePatch(pod, resources)}, nil
	}
	p := patchOf(pod)
	p.drop(v1beta1.InPlaceUpdateStateKeyOld)
	todo := nextOf(&state).left(pod)
	state.LastContainerStatuses = map[string]v1beta1.InPlaceUpdateContainerStatus{} // all of them are updated
	return change(p, &record{InPlaceUpdateState: state, pod: pod}, todo, now)
}

// endGrace makes the patches that change a pod as its annotation says. One of another revision than the pod's is dropped:
// whoever gave the pod another revision has decided otherwise.
func endGrace(pod *corev1.Pod, pending v1beta1.UpdateSpec, now time.Time) (Patches, error) {
	p := patchOf(pod)
	p.drop(v1beta1.InPlaceUpdateStateKeyOld, v1beta1.InPlaceUpdateGraceKey, v1beta1.InPlaceUpdateGraceKeyOld)
	todo := pendingWork(pending).left(pod)
	if label := pod.Labels["controller-revision-hash"]; pending.Revision != "" && revision.ShortHash(pending.Revision) != revision.ShortHash(label) {
		todo = work{}
	} else {
		labels, annotations, err := pendingMetadata(pending)
		if err != nil {
			return Patches{}, fmt.Errorf("pod %s/%s: read the change that waits for its grace period: %w", pod.Namespace, pod.Name, err)
		}
		p.setAll(labels, annotations)
	}
	state, _ := StateOf(pod)
	r := newRecord(pod, state.Revision, todo, now)
	if !state.UpdateTimestamp.IsZero() {
		r.UpdateTimestamp = state.UpdateTimestamp
	}
	return change(p, r, todo, now)
}

// Settle makes the patch that moves a pod to a state of its life cycle and opens every readiness gate of ours that
// nobody holds, in one write. It ends the record of a resize that is done.
func Settle(pod *corev1.Pod, to lifecycle.State, hash string, now time.Time) Patches {
	p := patchOf(pod)
	if lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]) != to {
		p.state(to, now)
	}
	if pod.Labels[v1beta1.DefaultPodTemplateHashLabel] == "" && hash != "" {
		p.label(v1beta1.DefaultPodTemplateHashLabel, hash)
	}
	p.endResize()
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

// Open makes the patch that follows the creation of a pod at once: it opens the readiness gates of ours, which no creation can do.
// A kubelet that starts the pod before its gates are open reports it twice. The scheduler writes the pod at the same time, so the
// patch is for whatever the pod has become: until then nobody else has a say in its service.
func Open(pod *corev1.Pod, now time.Time) Patches {
	p := patchOf(pod)
	for _, gate := range []corev1.PodConditionType{v1beta1.InPlaceUpdateReady, v1beta1.KruisePodReadyConditionType} {
		if HasGate(pod, gate) && !gateStands(pod, gate) {
			p.condition(corev1.PodCondition{Type: gate, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)})
		}
	}
	return Patches{Status: p.unlessEmpty()}
}

// Moving is how a pod moves to another state of its life cycle.
type Moving struct {
	// To is the state.
	To lifecycle.State
	// Specified adds the label that asks for the pod's deletion, so that no later decision takes it back.
	Specified bool
	// LeavesClaims marks the pod as one that leaves its claims to its successor. Otherwise an earlier mark is taken away.
	LeavesClaims bool
	// NotReady keeps the pod out of service until it is settled, where CanHold says that it can be.
	NotReady bool
}

// Move makes the patch that moves a pod to a state of its life cycle and does nothing else.
func Move(pod *corev1.Pod, m Moving, now time.Time) Patches {
	p := patchOf(pod)
	p.state(m.To, now)
	if m.Specified {
		p.label(v1beta1.SpecifiedDeleteKey, "true")
	}
	if m.LeavesClaims {
		p.setValues(nil, map[string]string{v1beta1.LeavesClaimsKey: "true"})
	} else {
		p.drop(v1beta1.LeavesClaimsKey)
	}
	if m.NotReady && CanHold(pod) {
		p.hold(holdFor(m.To), now)
		return Patches{Status: p.bytes()}
	}
	return Patches{Pod: p.bytes()}
}

// overtake is all that is to be changed: the change itself, and what an earlier update has not come to yet, so that a
// newer revision never skips a part of it. What the pod has already is left out.
func overtake(pod *corev1.Pod, t Target) (todo work, labels, annotations map[string]*string) {
	var earlier work
	if pending, ok := pendingOf(pod); ok {
		earlier = pendingWork(pending)
		var err error
		if labels, annotations, err = pendingMetadata(pending); err != nil {
			labels, annotations = nil, nil // it cannot be read, so it cannot be skipped either
		}
	}
	if state, ok := StateOf(pod); ok && !settled(pod) {
		earlier = work{resources: unwritten(pod, &state)}.over(nextOf(&state)).over(earlier)
	}
	labels, annotations = merged(labels, t.Change.Labels), merged(annotations, t.Change.Annotations)
	todo = work{images: t.Change.Images, metadata: t.Change.Env, resources: t.Change.Resources}
	if !earlier.empty() {
		kept, gone := earlier.at(t.Template)
		todo = kept.over(todo)
		for _, meta := range gone.metadata {
			remove(labels, meta.Labels)
			remove(annotations, meta.Annotations)
		}
	}
	return todo.left(pod), labels, annotations
}

func remove(from map[string]*string, keys map[string]string) {
	for key := range keys {
		from[key] = nil
	}
}

// pendingWork is what a grace period holds back.
func pendingWork(pending v1beta1.UpdateSpec) work {
	return work{images: pending.ContainerImages, metadata: pending.ContainerRefMetadata, resources: pending.ContainerResources}
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
