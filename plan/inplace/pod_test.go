package inplace_test

import (
	"encoding/json"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// pod is a pod of the template at its work, with revision demo-v1; edits make it another.
func pod(edits ...func(*corev1.Pod)) *corev1.Pod {
	t := template()
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "demo-a", UID: "uid-a", Generation: 1, CreationTimestamp: metav1.NewTime(start().Add(-time.Hour)),
			Labels: t.Labels, Annotations: t.Annotations,
		},
		Spec: t.Spec,
	}
	p.Labels["controller-revision-hash"] = "demo-v1"
	p.Labels[v1beta1.DefaultPodTemplateHashLabel] = "v1"
	p.Labels[v1beta1.LifecycleStateKey] = string(lifecycle.Normal)
	p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
	for _, kind := range []corev1.PodConditionType{corev1.PodScheduled, corev1.ContainersReady, corev1.PodReady, v1beta1.InPlaceUpdateReady} {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: kind, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start().Add(-time.Hour)),
		})
	}
	for _, c := range p.Spec.Containers {
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, ImageID: "sha256:" + c.Image, ContainerID: "containerd://first-" + c.Name, Ready: true,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start().Add(-time.Hour))}},
		})
	}
	p.Status.Phase, p.Status.ObservedGeneration = corev1.PodRunning, 1
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func withoutGate(p *corev1.Pod) {
	p.Spec.ReadinessGates = nil
	p.Status.Conditions = p.Status.Conditions[:3]
}

// restart is what kubelet reports after it restarted a container from the spec, given the name that the runtime uses.
func restart(container, reportedImage, imageID string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Status.ObservedGeneration = p.Generation
		for i := range p.Status.ContainerStatuses {
			if cs := &p.Status.ContainerStatuses[i]; cs.Name == container {
				cs.Image, cs.ImageID, cs.ContainerID = reportedImage, imageID, cs.ContainerID+"-again"
				cs.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start().Add(time.Minute))}
			}
		}
	}
}

// observe is what kubelet reports when it has seen the spec and done nothing yet.
func observe(p *corev1.Pod) { p.Status.ObservedGeneration = p.Generation }

// to is a target with a template of revision demo-v2, or another one.
func to(t *testing.T, p *corev1.Pod, after *corev1.PodTemplateSpec, edits ...func(*inplace.Target)) inplace.Target {
	t.Helper()
	before := &corev1.PodTemplateSpec{ObjectMeta: *template().ObjectMeta.DeepCopy(), Spec: *p.Spec.DeepCopy()}
	before.Spec.ReadinessGates = nil
	change, err := inplace.Compare(before, after, inplace.Options{Resources: true, EnvFromMetadata: true})
	if err != nil || !change.Possible() {
		t.Fatalf("no change in place: %v %s", err, change.Blocked)
	}
	target := inplace.Target{Revision: "demo-v2", Hash: "v2", Template: after, Change: change}
	for _, edit := range edits {
		edit(&target)
	}
	return target
}

func grace(seconds int32) func(*inplace.Target) {
	return func(t *inplace.Target) { t.GraceSeconds = seconds }
}

func revision(name, hash string) func(*inplace.Target) {
	return func(t *inplace.Target) { t.Revision, t.Hash = name, hash }
}

// begin begins an update and returns the pod that comes of it.
func begin(t *testing.T, p *corev1.Pod, target inplace.Target) *corev1.Pod {
	t.Helper()
	patches, err := inplace.Begin(p, target, start())
	if err != nil {
		t.Fatal(err)
	}
	return apply(t, p, patches)
}

// apply applies patches as the API server does: the status endpoint takes status, labels and annotations, the other one
// all but the status, and raises the generation with the spec.
func apply(t *testing.T, p *corev1.Pod, patches inplace.Patches) *corev1.Pod {
	t.Helper()
	if patches.Status != nil {
		after := merge(t, p, patches.Status)
		after.Spec = p.Spec
		p = after
	}
	if patches.Pod != nil {
		after := merge(t, p, patches.Pod)
		after.Status = p.Status
		for i := range p.Spec.Containers {
			if name := after.Spec.Containers[i].Name; name != p.Spec.Containers[i].Name {
				t.Fatalf("container %s moved to place %d: the API refuses this", name, i)
			}
			if after.Spec.Containers[i].Image != p.Spec.Containers[i].Image {
				after.Generation = p.Generation + 1
			}
		}
		p = after
	}
	if patches.Resize != nil { // takes nothing but resources
		merged, after := merge(t, p, patches.Resize), p.DeepCopy()
		for i := range p.Spec.Containers {
			after.Spec.Containers[i].Resources = merged.Spec.Containers[i].Resources
		}
		after.Generation = p.Generation + 1
		p = after
	}
	return p
}

func merge(t *testing.T, p *corev1.Pod, patch []byte) *corev1.Pod {
	t.Helper()
	before, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	after := &corev1.Pod{}
	if err := json.Unmarshal(merged, after); err != nil {
		t.Fatal(err)
	}
	if after.UID != p.UID {
		t.Fatalf("the patch is for the pod %s: the API refuses it for %s", after.UID, p.UID)
	}
	return after
}

func edited(p *corev1.Pod, edits ...func(*corev1.Pod)) *corev1.Pod {
	p = p.DeepCopy()
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func images(p *corev1.Pod) map[string]string {
	out := map[string]string{}
	for _, c := range p.Spec.Containers {
		out[c.Name] = c.Image
	}
	return out
}

func condition(p *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			return &p.Status.Conditions[i]
		}
	}
	return &corev1.PodCondition{}
}

func state(p *corev1.Pod) lifecycle.State {
	return lifecycle.State(p.Labels[v1beta1.LifecycleStateKey])
}
