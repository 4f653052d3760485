package controller

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

func (w *world) controllerRef() metav1.OwnerReference {
	w.Helper()
	return metav1.OwnerReference{
		APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: web, UID: w.Object().UID,
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}
}

func TestAPodIsMadeAsTheContractSays(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(1))
	w.Turn()
	pod := w.active()[0]
	hash := strings.TrimPrefix(w.Object().Status.UpdateRevision, "web-")
	id := strings.TrimPrefix(pod.Name, "web-")
	if len(id) != 5 {
		t.Errorf("the pod %s does not end in an instance id of five characters", pod.Name)
	}
	want := map[string]string{
		"app":                                 "web",
		"apps.kruise.io/cloneset-instance-id": id,
		"controller-revision-hash":            "web-" + hash,
		"pod-template-hash":                   hash,
		"lifecycle.apps.kruise.io/state":      "Normal",
	}
	if diff := cmp.Diff(want, pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{w.controllerRef()}, pod.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	gates := []corev1.PodReadinessGate{{ConditionType: "InPlaceUpdateReady"}, {ConditionType: "KruisePodReady"}}
	if diff := cmp.Diff(gates, pod.Spec.ReadinessGates); diff != "" {
		t.Errorf("readiness gates (-want +got):\n%s", diff)
	}
	w.Finish()
	pod = w.active()[0]
	if !isTrue(&pod, corev1.PodReady) || pod.Labels[v1beta1.LifecycleStateKey] != "Normal" {
		t.Errorf("in the end the pod is in the state %s with %v", pod.Labels[v1beta1.LifecycleStateKey], pod.Status.Conditions)
	}
}

func TestARevisionIsMadeAsTheContractSays(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(1).Annotation("team", "shop"))
	w.Turn()
	revisions := w.Revisions()
	if len(revisions) != 1 {
		t.Fatalf("%d revisions, want 1", len(revisions))
	}
	r := revisions[0]
	hash, named := strings.CutPrefix(r.Name, "web-")
	if !named || r.Revision != 1 || r.Name != w.Object().Status.UpdateRevision {
		t.Errorf("revision %s with the number %d, want web-<hash> with 1, as in status.updateRevision %s", r.Name, r.Revision, w.Object().Status.UpdateRevision)
	}
	if diff := cmp.Diff(map[string]string{"app": "web", "controller.kubernetes.io/hash": hash}, r.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"team": "shop"}, r.Annotations); diff != "" {
		t.Errorf("annotations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{w.controllerRef()}, r.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	var data struct {
		Spec struct {
			Template map[string]any `json:"template"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(r.Data.Raw, &data); err != nil {
		t.Fatal(err)
	}
	template := data.Spec.Template
	if template["$patch"] != "replace" || template["spec"] == nil || template["metadata"] == nil || len(template) != 3 {
		t.Errorf("data %s, want {spec: {template: {metadata, spec, $patch: replace}}}", r.Data.Raw)
	}
}

func TestCreatingAPodTakesTwoWrites(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(3))
	w.Finish()
	writes := writesOf(w.Writes())
	want := map[string]int{"": 3}
	for _, pod := range w.active() {
		want[pod.Name] = 1
	}
	if diff := cmp.Diff(want, writes); diff != "" {
		t.Errorf("writes by pod, creations without a name (-want +got):\n%s", diff)
	}
}

func TestTheStatusOfACompleteSet(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3))
	status := w.Object().Status
	for i := range status.Conditions {
		status.Conditions[i].LastUpdateTime, status.Conditions[i].LastTransitionTime = metav1.Time{}, metav1.Time{}
	}
	revision := w.Revisions()[0].Name
	want := v1beta1.CloneSetStatus{
		ObservedGeneration: 1, Replicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, UpdatedReplicas: 3,
		UpdatedReadyReplicas: 3, UpdatedAvailableReplicas: 3, ExpectedUpdatedReplicas: 3,
		UpdateRevision: revision, CurrentRevision: revision, LabelSelector: "app=web",
		Conditions: []v1beta1.CloneSetCondition{{
			Type: "Progressing", Status: "True", Reason: "CloneSetAvailable", Message: "all 3 pods updated and available",
		}},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestTheStatusOfAnEmptySetHasEveryCount(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(0))
	status := w.Object().Status
	if status.ObservedGeneration != 1 || status.UpdateRevision == "" || len(w.Pods()) != 0 {
		t.Errorf("status %+v with %d pods", status, len(w.Pods()))
	}
}

func TestACompleteSetIsLeftAlone(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3))
	version := w.Object().ResourceVersion
	for range 3 {
		w.Turn()
	}
	if writes := w.Writes(); len(writes) != 0 || w.Object().ResourceVersion != version {
		t.Errorf("written: %v", writes)
	}
}

func TestATemplateMayHaveTheGatesAlready(t *testing.T) {
	set := builder.CloneSet(web).Replicas(1)
	w := newWorld(t, set)
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "example.com/traffic"}, {ConditionType: v1beta1.InPlaceUpdateReady}}
	})
	w.Turn()
	var gates []string
	for _, gate := range w.active()[0].Spec.ReadinessGates {
		gates = append(gates, string(gate.ConditionType))
	}
	if want := []string{"example.com/traffic", "InPlaceUpdateReady", "KruisePodReady"}; !slices.Equal(gates, want) {
		t.Errorf("readiness gates %v, want %v", gates, want)
	}
}

// A name that the new revision should have is taken: by an object of somebody else.
func TestAHashThatIsTakenIsPassedOver(t *testing.T) {
	w := newWorld(t, builder.CloneSet(web).Replicas(1))
	w.Turn()
	taken := w.Revisions()[0]
	// The same set once more: its revision has the name of one that another set left behind.
	if err := w.API.Delete(t.Context(), w.Object()); err != nil {
		t.Fatal(err)
	}
	w.Create(builder.CloneSet(web).Namespace(w.Namespace).Replicas(1).Object())
	for range 3 { // the first attempt meets the collision, and counts it
		if err := w.Reconcile(w.Key); err != nil && !strings.Contains(err.Error(), "already exists") {
			t.Fatal(err)
		}
	}
	set := w.Object()
	if set.Status.CollisionCount == nil || *set.Status.CollisionCount != 1 {
		t.Errorf("collision count %v, want 1", set.Status.CollisionCount)
	}
	var own *appsv1.ControllerRevision
	for _, r := range w.Revisions() {
		if metav1.IsControlledBy(&r, set) {
			own = &r
		}
	}
	if own == nil || own.Name == taken.Name || set.Status.UpdateRevision != own.Name {
		t.Fatalf("the set's own revision is %v, and it reports %s", own, set.Status.UpdateRevision)
	}
	for _, pod := range w.active() {
		if metav1.IsControlledBy(&pod, set) && pod.Labels["controller-revision-hash"] != own.Name {
			t.Errorf("pod %s has the revision %s, want %s", pod.Name, pod.Labels["controller-revision-hash"], own.Name)
		}
	}
	if c := w.conditionOf(v1beta1.CloneSetConditionFailedScale); c != nil {
		t.Errorf("FailedScale stays: %s", c.Message)
	}
}
