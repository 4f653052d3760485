package inplace

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
)

// podPatch is a strategic merge patch of a pod in the making. It names only what changes.
type podPatch struct {
	pod         *corev1.Pod
	labels      map[string]*string
	annotations map[string]*string
	conditions  []conditionPatch
	containers  []containerPatch
	// initContainers are native sidecars among the init containers.
	initContainers []containerPatch
	// exact makes the patch hold only for the pod as it was read.
	exact bool
}

type containerPatch struct {
	Name      string                       `json:"name"`
	Image     string                       `json:"image,omitempty"`
	Resources *corev1.ResourceRequirements `json:"resources,omitempty"`
}

// conditionPatch says the whole of a condition: what it leaves out would stay as it is.
type conditionPatch struct {
	corev1.PodCondition
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func patchOf(pod *corev1.Pod) *podPatch {
	return &podPatch{pod: pod, labels: map[string]*string{}, annotations: map[string]*string{}}
}

func (p *podPatch) label(key, value string) { p.labels[key] = &value }

func (p *podPatch) setAll(labels, annotations map[string]*string) {
	maps.Copy(p.labels, labels)
	maps.Copy(p.annotations, annotations)
}

func (p *podPatch) setValues(labels, annotations map[string]string) {
	for key, value := range labels {
		p.labels[key] = &value
	}
	for key, value := range annotations {
		p.annotations[key] = &value
	}
}

// drop removes the annotations that the pod has.
func (p *podPatch) drop(keys ...string) {
	for _, key := range keys {
		if _, ok := p.pod.Annotations[key]; ok {
			p.annotations[key] = nil
		}
	}
}

func (p *podPatch) annotateJSON(key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("pod %s/%s: encode annotation %s: %w", p.pod.Namespace, p.pod.Name, key, err)
	}
	s := string(text)
	p.annotations[key] = &s
	return nil
}

// endResize takes a resize that is done out of the pod's record, so that nobody needs to read the record again. What the
// containers have from then on is between them and whoever resizes them next.
func (p *podPatch) endResize() {
	if !strings.Contains(p.pod.Annotations[v1beta1.InPlaceUpdateStateKey], resizeMark) || !ProgressOf(p.pod).Unsettled {
		return
	}
	state, _ := StateOf(p.pod)
	state.ContainerResources = nil
	if text, err := json.Marshal(state); err == nil { // what was read from JSON can be written
		record := string(text)
		p.annotations[v1beta1.InPlaceUpdateStateKey] = &record
	}
}

func (p *podPatch) state(to lifecycle.State, now time.Time) {
	p.label(v1beta1.LifecycleStateKey, string(to))
	at := now.UTC().Format(time.RFC3339)
	p.annotations[v1beta1.LifecycleTimestampKey] = &at
}

// images sets images in the order of the pod's containers: a strategic merge in another order would move containers
// around, and a pod's containers cannot be moved.
func (p *podPatch) images(images map[string]string) {
	named := func(containers []corev1.Container) (patches []containerPatch) {
		for i := range containers {
			if image, ok := images[containers[i].Name]; ok {
				patches = append(patches, containerPatch{Name: containers[i].Name, Image: image})
			}
		}
		return patches
	}
	p.containers = append(p.containers, named(p.pod.Spec.Containers)...)
	p.initContainers = append(p.initContainers, named(p.pod.Spec.InitContainers)...)
}

// resources sets values of resources, in the order of the pod's containers, too.
func (p *podPatch) resources(resources map[string]corev1.ResourceRequirements) {
	for i := range p.pod.Spec.Containers {
		name := p.pod.Spec.Containers[i].Name
		if r, ok := resources[name]; ok {
			p.containers = append(p.containers, containerPatch{Name: name, Resources: &r})
		}
	}
}

func (p *podPatch) condition(c corev1.PodCondition) {
	p.conditions = append(p.conditions, conditionPatch{c, c.Reason, c.Message})
}

// outOfService turns the readiness gate False, and Ready with it, so that endpoints drop the pod before kubelet looks.
func (p *podPatch) outOfService(now time.Time) {
	at := metav1.NewTime(now)
	p.condition(corev1.PodCondition{
		Type: v1beta1.InPlaceUpdateReady, Status: corev1.ConditionFalse,
		Reason: v1beta1.StartInPlaceUpdateReason, LastTransitionTime: at,
	})
	p.notReady(v1beta1.StartInPlaceUpdateReason, now)
}

func (p *podPatch) empty() bool {
	return len(p.labels) == 0 && len(p.annotations) == 0 && len(p.conditions) == 0 && len(p.containers) == 0 && len(p.initContainers) == 0
}

func (p *podPatch) unlessEmpty() []byte {
	if p.empty() {
		return nil
	}
	return p.bytes()
}

// bytes encodes the patch. The UID guards it: a patch for a pod that was replaced under the same name is refused.
func (p *podPatch) bytes() []byte {
	meta := map[string]any{"uid": p.pod.UID}
	if p.exact {
		meta["resourceVersion"] = p.pod.ResourceVersion
	}
	if len(p.labels) > 0 {
		meta["labels"] = p.labels
	}
	if len(p.annotations) > 0 {
		meta["annotations"] = p.annotations
	}
	out := map[string]any{"metadata": meta}
	if len(p.conditions) > 0 {
		out["status"] = map[string]any{"conditions": p.conditions}
	}
	spec := map[string]any{}
	if len(p.containers) > 0 {
		spec["containers"] = p.containers
	}
	if len(p.initContainers) > 0 {
		spec["initContainers"] = p.initContainers
	}
	if len(spec) > 0 {
		out["spec"] = spec
	}
	text, err := json.Marshal(out)
	if err != nil { // maps of strings and API types always have a JSON form
		return nil
	}
	return text
}
