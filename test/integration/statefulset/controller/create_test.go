package controller

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

func TestAPodIsMadeAsTheContractSays(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Claim("data"))
	w.Turn()
	pod := w.Pod("web-0")
	hash := strings.TrimPrefix(w.Object().Status.UpdateRevision, "web-")
	want := map[string]string{
		"app":                                "web",
		"controller-revision-hash":           "web-" + hash,
		"pod-template-hash":                  hash,
		"lifecycle.apps.kruise.io/state":     "Normal",
		"statefulset.kubernetes.io/pod-name": "web-0",
		"apps.kubernetes.io/pod-index":       "0",
	}
	if diff := cmp.Diff(want, pod.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{w.controllerRef()}, pod.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
	if pod.Spec.Hostname != "web-0" || pod.Spec.Subdomain != "web" {
		t.Errorf("it is found as %s.%s, want web-0.web", pod.Spec.Hostname, pod.Spec.Subdomain)
	}
	claim := &corev1.PersistentVolumeClaim{}
	w.Get("data-web-0", claim)
	if diff := cmp.Diff(map[string]string{"app": "web"}, claim.Labels); diff != "" || len(claim.OwnerReferences) > 0 {
		t.Errorf("its claim is owned by %v and has the labels (-want +got):\n%s", claim.OwnerReferences, diff)
	}
	if volume := pod.Spec.Volumes[0]; volume.Name != "data" || volume.PersistentVolumeClaim.ClaimName != "data-web-0" {
		t.Errorf("it has the volume %v", volume)
	}
}

func TestARevisionIsMadeAsTheContractSays(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web))
	w.Turn()
	r := w.Revisions()[0]
	hash := strings.TrimPrefix(r.Name, "web-")
	if diff := cmp.Diff(map[string]string{"app": "web", "controller.kubernetes.io/hash": hash}, r.Labels); diff != "" || r.Revision != 1 {
		t.Errorf("revision %d has the labels (-want +got):\n%s", r.Revision, diff)
	}
	if diff := cmp.Diff([]metav1.OwnerReference{w.controllerRef()}, r.OwnerReferences); diff != "" {
		t.Errorf("owners (-want +got):\n%s", diff)
	}
}

func TestPodsAreCreatedOneAfterTheOther(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(3))
	w.step("at first", "web-0 a:1")
	w.step("while the first one is not ready", "web-0 a:1")
	w.play("web-0")
	w.step("once it is", "web-0 a:1, web-1 a:1")
	w.step("while the second one is not ready", "web-0 a:1, web-1 a:1")
	if got, want := w.message(), "waiting for web-1"; !strings.Contains(got, want) {
		t.Errorf("the status says %q, and not %q", got, want)
	}
	w.play("web-1")
	w.step("once that is, too", "web-0 a:1, web-1 a:1, web-2 a:1")
	w.Finish()
	w.wantAvailable("in the end", 3)
}

func TestPodsAreCreatedAtOnceWhereNoneWaits(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(3).Parallel())
	w.step("at first", "web-0 a:1, web-1 a:1, web-2 a:1")
}

func TestNoMorePodsAreCreatedThanMayBeUnavailable(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(4).Parallel().ScaleMaxUnavailable("2"))
	w.step("at first", "web-0 a:1, web-1 a:1")
	w.play("web-1")
	w.step("once one of them is available", "web-0 a:1, web-1 a:1, web-2 a:1")
	w.Finish()
	w.wantAvailable("in the end", 4)
}

func TestTheFirstOrdinalAndReservedOnes(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Start(2).Reserve("3", "5-7"))
	w.wantPods("in the end", "web-2 a:1, web-4 a:1, web-8 a:1")
	w.change(func(s *v1beta1.StatefulSetSpec) { s.ReserveOrdinals = s.ReserveOrdinals[1:] })
	w.Finish()
	w.wantPods("with one ordinal no longer reserved", "web-2 a:1, web-3 a:1, web-4 a:1")
	w.change(func(s *v1beta1.StatefulSetSpec) { s.Ordinals = nil })
	w.Finish()
	w.wantPods("numbered from 0", "web-0 a:1, web-1 a:1, web-2 a:1")
}

func TestTheStatusOfACompleteSet(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data"))
	status := w.Object().Status
	for i := range status.Conditions {
		status.Conditions[i].LastTransitionTime = metav1.Time{}
	}
	revision := w.Revisions()[0].Name
	want := v1beta1.StatefulSetStatus{
		ObservedGeneration: 1, Replicas: 3, ReadyReplicas: 3, AvailableReplicas: 3, CurrentReplicas: 3, UpdatedReplicas: 3,
		UpdatedReadyReplicas: 3, UpdatedAvailableReplicas: 3, UpdateRevision: revision, CurrentRevision: revision, LabelSelector: "app=web",
		VolumeClaims: []v1beta1.VolumeClaimStatus{{VolumeClaimName: "data", CompatibleReplicas: 3}},
		Conditions: []v1beta1.StatefulSetCondition{{
			Type: "Progressing", Status: "True", Reason: "StatefulSetAvailable", Message: "all 3 pods updated and available",
		}},
	}
	if diff := cmp.Diff(want, status); diff != "" {
		t.Errorf("status (-want +got):\n%s", diff)
	}
}

func TestAPodThatFailedIsReplacedUnderItsName(t *testing.T) {
	for _, phase := range []corev1.PodPhase{corev1.PodFailed, corev1.PodSucceeded} {
		t.Run(string(phase), func(t *testing.T) {
			w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data"))
			before := w.uids()
			pod := w.Pod("web-1")
			pod.Status.Phase = phase
			if err := w.API.Status().Update(w.Context(), pod); err != nil {
				t.Fatal(err)
			}
			w.Finish()
			w.wantAvailable("in the end", 3)
			after := w.uids()
			if before["web-1"] == after["web-1"] || before["web-0"] != after["web-0"] || before["web-2"] != after["web-2"] {
				t.Errorf("pods %v became %v", before, after)
			}
		})
	}
}

func TestWhatAPodHasLostIsGivenBackWithoutARestart(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(2).Parallel().Claim("data"))
	w.Turn()
	before, lost := w.uids(), w.claim("data-web-1")
	if err := w.API.Delete(w.Context(), lost); err != nil { // its pod has not begun to run
		t.Fatal(err)
	}
	w.DropClaims()
	w.Patch(w.Pod("web-0"), `{"metadata":{"labels":{"statefulset.kubernetes.io/pod-name":null,"apps.kubernetes.io/pod-index":"9"}}}`)
	w.Turn()
	w.wantOwners("when a claim was deleted", "data-web-0, data-web-1")
	if w.claim("data-web-1").UID == lost.UID {
		t.Error("the claim was not deleted")
	}
	want := map[string]string{"statefulset.kubernetes.io/pod-name": "web-0", "apps.kubernetes.io/pod-index": "0"}
	for key, value := range want {
		if got := w.Pod("web-0").Labels[key]; got != value {
			t.Errorf("label %s is %q, want %q", key, got, value)
		}
	}
	w.Finish()
	w.wantAvailable("in the end", 2)
	if diff := cmp.Diff(before, w.uids()); diff != "" {
		t.Errorf("pods (-before +after):\n%s", diff)
	}
}
