package controller

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// What an older manager left behind: null times in template and revision, a hash that is not ours, and owners in the older
// version.
const (
	oldHash     = "6d5f4c8b9d"
	oldTemplate = `{"metadata":{"creationTimestamp":null,"labels":{"app":"web"}},
		"spec":{"containers":[{"name":"main","image":"a:1","resources":{}}]}}`
)

func oldOwner(set *unstructured.Unstructured) []metav1.OwnerReference {
	return []metav1.OwnerReference{{
		APIVersion: "apps.kruise.io/v1alpha1", Kind: "CloneSet", Name: web, UID: set.GetUID(),
		Controller: ptr.To(true), BlockOwnerDeletion: ptr.To(true),
	}}
}

// takeOver makes a set, its revision and its pods as an older manager left them, two pods that serve.
func takeOver(t *testing.T, revisionLabel string) *world {
	t.Helper()
	w := newWorld(t, nil)
	set := &unstructured.Unstructured{}
	text := `{"apiVersion":"apps.kruise.io/v1beta1","kind":"CloneSet","metadata":{"name":"web"},
		"spec":{"replicas":2,"selector":{"matchLabels":{"app":"web"}},"template":` + oldTemplate + `,
		"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"podUpdatePolicy":"InPlaceIfPossible"}}}}`
	if err := json.Unmarshal([]byte(text), &set.Object); err != nil {
		t.Fatal(err)
	}
	set.SetNamespace(w.Namespace)
	w.create(set)
	after := w.set()
	after.Status = v1beta1.CloneSetStatus{CurrentRevision: "web-" + oldHash, UpdateRevision: "web-" + oldHash, Replicas: 2, UpdatedReplicas: 2}
	if err := w.API.Status().Update(t.Context(), after); err != nil {
		t.Fatal(err)
	}
	revision := &appsv1.ControllerRevision{Revision: 7, Data: runtime.RawExtension{
		Raw: []byte(`{"spec":{"template":{"$patch":"replace",` + strings.TrimPrefix(oldTemplate, "{") + `}}`),
	}}
	revision.Namespace, revision.Name = w.Namespace, "web-"+oldHash
	revision.Labels = map[string]string{"app": "web", "controller.kubernetes.io/hash": oldHash}
	revision.OwnerReferences = oldOwner(set)
	w.create(revision)
	for _, id := range []string{"aaaaa", "bbbbb"} {
		w.oldPod(set, id, revisionLabel)
	}
	return w
}

// oldPod makes a pod that an older manager made, and that serves.
func (w *world) oldPod(set *unstructured.Unstructured, id, revisionLabel string) {
	w.Helper()
	pod := builder.Pod("web-"+id).Namespace(w.Namespace).
		Label("app", "web").Label("apps.kruise.io/cloneset-instance-id", id).Label("controller-revision-hash", revisionLabel).
		Label("lifecycle.apps.kruise.io/state", "Normal").
		Gate(v1beta1.InPlaceUpdateReady).Gate(v1beta1.KruisePodReadyConditionType).Object()
	pod.OwnerReferences = oldOwner(set)
	w.create(pod)
	w.Play(pod.Name)
	w.gates(pod.Name, corev1.ConditionTrue)
	w.Play(pod.Name)
}

// gates sets the condition of both gates.
func (w *world) gates(name string, status corev1.ConditionStatus) {
	w.Helper()
	pod := w.Pod(name)
	var conditions []corev1.PodCondition
	for _, c := range pod.Status.Conditions {
		if c.Type != v1beta1.InPlaceUpdateReady && c.Type != v1beta1.KruisePodReadyConditionType {
			conditions = append(conditions, c)
		}
	}
	conditions = append(conditions,
		corev1.PodCondition{Type: v1beta1.InPlaceUpdateReady, Status: status, LastTransitionTime: metav1.NewTime(w.Clock.Now())},
		corev1.PodCondition{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(w.Clock.Now())})
	pod.Status.Conditions = conditions
	if err := w.API.Status().Update(w.Context(), pod); err != nil {
		w.Fatal(err)
	}
}

func TestWhatAnOlderManagerMadeIsTakenOverWithoutAWrite(t *testing.T) {
	for name, label := range map[string]string{"with long revision labels": "web-" + oldHash, "with short revision labels": oldHash} {
		t.Run(name, func(t *testing.T) {
			w := takeOver(t, label)
			before := w.uids()
			w.rest()
			if got := writesOf(w.Writes()); len(got) != 0 {
				t.Errorf("written of pods: %v", got)
			}
			if diff := cmp.Diff(before, w.uids()); diff != "" {
				t.Errorf("pods (-before +after):\n%s", diff)
			}
			if r := w.revisions(); len(r) != 1 || r[0].Name != "web-"+oldHash || r[0].Revision != 7 {
				t.Errorf("%d revisions, the newest is %s with the number %d; want that of before alone", len(r), r[len(r)-1].Name, r[len(r)-1].Revision)
			}
			s := w.set().Status
			if s.UpdatedReplicas != 2 || s.AvailableReplicas != 2 || s.UpdateRevision != "web-"+oldHash || s.CurrentRevision != "web-"+oldHash {
				t.Errorf("status %+v", s)
			}

			w.image("a:2")
			w.rest()
			if diff := cmp.Diff(before, w.uids()); diff != "" {
				t.Errorf("pods after an update in place (-before +after):\n%s", diff)
			}
			w.wantImages("after an update in place", "a:2 ×2")
			if n := w.available(); n != 2 {
				t.Errorf("%d pods are available after it, want 2", n)
			}
		})
	}
}

func TestAnUpdateThatAnOlderManagerBeganIsFinished(t *testing.T) {
	w := takeOver(t, "web-"+oldHash)
	pod := w.Pod("web-aaaaa")
	uid := pod.UID
	// It ran another image before, whose ID the older manager wrote down, and nothing else.
	pod.Labels[v1beta1.LifecycleStateKey] = "Updating"
	pod.Annotations = map[string]string{v1beta1.InPlaceUpdateStateKey: `{"revision":"web-` + oldHash + `","updateTimestamp":"2026-01-01T00:00:00Z",
		"lastContainerStatuses":{"main":{"imageID":"sha256:a:0"}},"updateImages":true}`}
	if err := w.API.Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	w.gates("web-aaaaa", corev1.ConditionFalse)
	w.Play("web-aaaaa")
	w.rest()
	if n := w.available(); n != 2 || w.Pod("web-aaaaa").UID != uid {
		t.Errorf("%d pods are available, want 2, and the pod of before among them", n)
	}
	if diff := cmp.Diff(map[string]int{"web-aaaaa": 1}, writesOf(w.Writes())); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}
