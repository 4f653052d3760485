package controller

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// wantClaims fails the test unless the claims are those of the active pods.
func (w *world) wantClaims(when string) {
	w.Helper()
	var want []string
	for _, name := range w.names() {
		want = append(want, "data-"+name)
	}
	if got := w.claims(); !slices.Equal(got, want) {
		w.Errorf("%s: claims %v, want those of the pods, %v", when, got, want)
	}
}

func TestEachPodHasAClaimOfItsOwn(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).Claim("data"))
	w.wantClaims("in the beginning")
	for _, pod := range w.active() {
		id := strings.TrimPrefix(pod.Name, "web-")
		claim := &corev1.PersistentVolumeClaim{}
		w.Get("data-"+pod.Name, claim)
		if diff := cmp.Diff(map[string]string{"app": "web", "apps.kruise.io/cloneset-instance-id": id}, claim.Labels); diff != "" {
			t.Errorf("labels of the claim (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]metav1.OwnerReference{w.controllerRef()}, claim.OwnerReferences); diff != "" {
			t.Errorf("owners of the claim (-want +got):\n%s", diff)
		}
		if !slices.ContainsFunc(pod.Spec.Volumes, func(v corev1.Volume) bool {
			return v.Name == "data" && v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == claim.Name
		}) {
			t.Errorf("pod %s has the volumes %v, and not its claim", pod.Name, pod.Spec.Volumes)
		}
	}
}

func TestWhatTheSetDeletesItDeletesWithItsClaims(t *testing.T) {
	for name, reuse := range map[string]bool{"claims are reused": true, "claims are not reused": false} {
		t.Run(name, func(t *testing.T) {
			set := builder.CloneSet(web).Replicas(3).Claim("data")
			if reuse {
				set.ReuseClaims()
			}
			w := running(t, set)
			w.change(func(s *v1beta1.CloneSetSpec) { s.Replicas = ptr.To(int32(2)) })
			w.Finish()
			w.wantClaims("after a scale-in")
			w.image("a:2")
			w.Finish()
			w.wantClaims("after an update by recreating")
			w.label(w.names()[0], v1beta1.SpecifiedDeleteKey, "true")
			w.Finish()
			w.wantClaims("after the deletion of a pod that was asked to go")
		})
	}
}

func TestAPodThatAHookHeldLeavesItsClaimsOnlyToWhatReplacesItForAnUpdate(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).Claim("data").ReuseClaims().MaxUnavailable("1").TemplateLabel("hold", "yes"))
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Lifecycle = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"hold": "yes"}}}
		s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(1))
	})
	w.image("a:2")
	w.Finish()
	var updated, asked string
	for _, pod := range w.active() {
		if pod.Labels[v1beta1.LifecycleStateKey] == "PreparingDelete" {
			updated = pod.Name
		} else {
			asked = pod.Name
		}
	}
	if updated == "" {
		t.Fatalf("no pod is held for its update: %v", w.names())
	}
	w.label(updated, "hold", "")
	w.Finish()
	if !slices.Contains(w.names(), updated) || !slices.Contains(w.claims(), "data-"+updated) {
		t.Errorf("pods %v and claims %v, want a successor of %s with its claim", w.names(), w.claims(), updated)
	}
	w.label(asked, v1beta1.SpecifiedDeleteKey, "true") // it is of the old revision, behind the partition
	w.Finish()
	if state := w.Pod(asked).Labels[v1beta1.LifecycleStateKey]; state != "PreparingDelete" {
		t.Fatalf("pod %s is in state %s", asked, state)
	}
	w.label(asked, "hold", "")
	w.Finish()
	w.wantClaims("in the end")
	if slices.Contains(w.claims(), "data-"+asked) || w.images() != "a:1 ×1, a:2 ×1" {
		t.Errorf("claims %v and pods of %s, want no claim of %s and one pod of each revision", w.claims(), w.images(), asked)
	}
}

func TestAnUpdateInPlaceKeepsTheClaims(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).Claim("data").InPlace())
	before := w.claims()
	w.image("a:2")
	w.Finish()
	if got := w.claims(); !slices.Equal(got, before) {
		t.Errorf("claims %v became %v", before, got)
	}
}

func TestTheClaimOfAPodThatVanishedIsReusedOrDropped(t *testing.T) {
	for name, reuse := range map[string]bool{"reused": true, "dropped": false} {
		t.Run(name, func(t *testing.T) {
			set := builder.CloneSet(web).Replicas(2).Claim("data")
			if reuse {
				set.ReuseClaims()
			}
			w := running(t, set)
			names, claims := w.names(), w.claims()
			w.Vanish(names[0])
			w.Finish()
			w.wantClaims("in the end")
			if got := w.claims(); slices.Equal(got, claims) != reuse {
				t.Errorf("claims %v became %v", claims, got)
			}
			if got := w.names(); slices.Equal(got, names) != reuse || w.available() != 2 {
				t.Errorf("pods %v became %v, %d of them available", names, got, w.available())
			}
		})
	}
}

func TestTheClaimOfAPodThatEndsSlowlyIsKeptUntilThen(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).Claim("data"))
	ending := w.names()[0]
	w.DeletePod(ending)
	w.Turn()
	w.Turn()
	if got := w.claims(); len(got) != 3 || !slices.Contains(got, "data-"+ending) {
		t.Errorf("claims %v, want that of the pod that ends among them", got)
	}
	w.Finish()
	w.wantClaims("once it has ended")
}

func TestAPodThatIsLetGoKeepsItsClaim(t *testing.T) {
	for name, reuse := range map[string]bool{"claims are reused": true, "claims are not reused": false} {
		t.Run(name, func(t *testing.T) {
			set := builder.CloneSet(web).Replicas(2).Claim("data")
			if reuse {
				set.ReuseClaims()
			}
			w := running(t, set)
			stray := w.names()[0]
			w.label(stray, "app", "debug")
			w.Finish()
			if len(w.Pods()) != 3 || w.Object().Status.AvailableReplicas != 2 {
				t.Errorf("%d pods, %d of them the set's; want 3 and 2", len(w.Pods()), w.Object().Status.AvailableReplicas)
			}
			w.wantClaims("with a stray pod")
		})
	}
}
