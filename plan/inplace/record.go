package inplace

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

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

// record is the record of an update in the making.
type record struct {
	v1beta1.InPlaceUpdateState
	pod *corev1.Pod
	// back are containers that run already what they are changed back to: kubelet may never notice that there was
	// anything else, so nobody must wait for a restart.
	back map[string]bool
	// underway are containers that an earlier update restarts and that are not ready since.
	underway map[string]bool
}

// newRecord begins the record of an update. It goes on waiting for what an earlier update changed and nobody has carried
// out yet; todo is all that is to be changed now.
func newRecord(pod *corev1.Pod, revision string, todo work, now time.Time) *record {
	if earlier, ok := StateOf(pod); ok && !settled(pod) {
		return recordAfter(pod, &earlier, revision, todo, now)
	}
	return recordAfter(pod, nil, revision, todo, now)
}

// recordAfter begins the record of an update that follows the one of another record; nil for none.
func recordAfter(pod *corev1.Pod, earlier *v1beta1.InPlaceUpdateState, revision string, todo work, now time.Time) *record {
	r := &record{pod: pod, back: map[string]bool{}, underway: map[string]bool{}, InPlaceUpdateState: v1beta1.InPlaceUpdateState{
		Revision: revision,
		// A time in an object has whole seconds. Cut off, it would make the grace period that counts from it too short.
		UpdateTimestamp:       metav1.NewTime(now.Add(time.Second - 1).Truncate(time.Second)),
		LastContainerStatuses: map[string]v1beta1.InPlaceUpdateContainerStatus{},
	}}
	if earlier == nil {
		return r
	}
	if check := earlier.PreCheckBeforeNext; check != nil {
		for _, name := range check.ContainersRequiredReady {
			r.underway[name] = !ready(pod, name)
		}
	}
	for name, before := range earlier.LastContainerStatuses {
		if restarted(pod, earlier, name, before) {
			r.underway[name] = !ready(pod, name)
			continue
		}
		r.underway[name] = true
		if neverLeft(pod, name, before, todo) {
			r.back[name] = true
			before = v1beta1.InPlaceUpdateContainerStatus{ContainerID: before.ContainerID, EnvFromMetadata: before.EnvFromMetadata}
			if !before.EnvFromMetadata {
				continue
			}
		}
		r.LastContainerStatuses[name] = before
	}
	for _, name := range envOfOthers(pod, earlier) {
		if before := r.LastContainerStatuses[name]; !envRenewed(pod, earlier, name, before) {
			before.EnvFromMetadata = true
			r.LastContainerStatuses[name] = before
		}
	}
	for name, wanted := range earlier.ContainerResources {
		if c := containerOf(pod, name); c != nil && has(c.Resources, wanted) && !resized(pod, c) {
			r.resize(name, wanted)
			r.underway[name] = r.underway[name] || restartsFor(c, wanted)
		}
	}
	return r
}

// neverLeft says whether a container still is what it was before an earlier update, and is to be that again: a change and
// its rollback in one breath.
func neverLeft(pod *corev1.Pod, name string, before v1beta1.InPlaceUpdateContainerStatus, todo work) bool {
	now, c := containerStatus(pod, name), containerOf(pod, name)
	if now == nil || c == nil || now.State.Running == nil || now.ContainerID != before.ContainerID {
		return false
	}
	image, changed := todo.images[name]
	if !changed {
		image = c.Image
	}
	return awaitsImage(before) && (sameImage(startedFrom(before), image) || sameImage(now.Image, image))
}

// startedFrom is the image that a container ran before its update.
func startedFrom(before v1beta1.InPlaceUpdateContainerStatus) string {
	if before.StartedImage != "" {
		return before.StartedImage
	}
	return before.Image
}

// take writes a batch into the record: what its containers ran before, what they get, and what comes later.
func (r *record) take(batch, later work, at time.Time) {
	for _, name := range batch.names() {
		c := containerOf(r.pod, name)
		if c == nil {
			continue
		}
		if wanted, ok := batch.resources[name]; ok {
			r.resize(name, wanted)
		}
		_, env := batch.metadata[name]
		if _, image := batch.images[name]; env || image && !r.back[name] {
			r.LastContainerStatuses[name] = r.before(c, batch)
		}
	}
	r.NextContainerImages, r.NextContainerRefMetadata, r.NextContainerResources = later.images, later.metadata, later.resources
	r.PreCheckBeforeNext = nil
	if !later.empty() {
		r.require(batch.names()...)
	}
	if !batch.empty() {
		r.ContainerBatchesRecord = append(slices.Clip(r.ContainerBatchesRecord),
			v1beta1.InPlaceUpdateContainerBatch{Timestamp: metav1.NewTime(at), Containers: batch.names()})
	}
	r.summarise()
}

// require writes down which containers must be ready before the next ones are changed: those of a batch, and those that go before
// the next ones and that an earlier update restarts.
func (r *record) require(batch ...string) {
	for i := range r.pod.Spec.Containers {
		name := r.pod.Spec.Containers[i].Name
		if _, ordered := priority(r.pod, i); ordered && r.underway[name] && !slices.Contains(batch, name) {
			batch = append(batch, name)
		}
	}
	if len(batch) > 0 {
		r.PreCheckBeforeNext = &v1beta1.InPlaceUpdatePreCheckBeforeNext{ContainersRequiredReady: batch}
	}
}

// before is what a container runs before the batch restarts it for its image or its environment, together with what an earlier update still waits for.
func (r *record) before(c *corev1.Container, batch work) v1beta1.InPlaceUpdateContainerStatus {
	out, waiting := r.LastContainerStatuses[c.Name]
	now := containerStatus(r.pod, c.Name)
	if now == nil {
		now = &corev1.ContainerStatus{}
	}
	same := waiting && now.ContainerID == out.ContainerID // the earlier update has not restarted it
	if _, ok := batch.images[c.Name]; ok && !r.back[c.Name] {
		started := startedFrom(out)
		runs := same && out.ContainerID != "" && out.Image == started
		if waiting && !runs && !slices.Contains(out.OvertakenImages, out.Image) { // kubelet may have begun to start it from that one
			out.OvertakenImages = append(slices.Clip(out.OvertakenImages), out.Image)
		}
		out.Image, out.ImageID, out.StartedImage = c.Image, now.ImageID, ""
		if same && started != c.Image {
			out.StartedImage = started
		}
	}
	if _, ok := batch.metadata[c.Name]; ok {
		out.EnvFromMetadata = true
	}
	out.ContainerID = now.ContainerID
	return out
}

// resize writes down new resources of a container.
func (r *record) resize(name string, wanted corev1.ResourceRequirements) {
	all := merged(r.ContainerResources, nil)
	all[name] = mergedResources(all[name], wanted)
	r.ContainerResources = all
}

// summarise says what kinds of changes the record is about.
func (r *record) summarise() {
	r.UpdateImages, r.UpdateEnvFromMetadata = len(r.NextContainerImages) > 0, false
	for _, before := range r.LastContainerStatuses {
		r.UpdateImages = r.UpdateImages || awaitsImage(before)
		r.UpdateEnvFromMetadata = r.UpdateEnvFromMetadata || before.EnvFromMetadata
	}
	r.UpdateResources = len(r.ContainerResources)+len(r.NextContainerResources) > 0
}

// nextOf is the work that a record leaves for later batches.
func nextOf(state *v1beta1.InPlaceUpdateState) work {
	return work{images: state.NextContainerImages, metadata: state.NextContainerRefMetadata, resources: state.NextContainerResources}
}
