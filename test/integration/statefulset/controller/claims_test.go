package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/test/builder"
)

const (
	retain   = appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	deletion = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
)

func (w *world) claim(name string) *corev1.PersistentVolumeClaim {
	w.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	w.Get(name, claim)
	return claim
}

// owners shows with whom the claims go: "data-web-0 StatefulSet/web, data-web-1".
func (w *world) owners() string {
	w.Helper()
	list := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	var words []string
	for _, claim := range list.Items {
		word := claim.Name
		for _, ref := range claim.OwnerReferences {
			word += fmt.Sprintf(" %s/%s", ref.Kind, ref.Name)
		}
		words = append(words, word)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func (w *world) wantOwners(when, want string) {
	w.Helper()
	if got := w.owners(); got != want {
		w.Errorf("%s there are the claims %q, want %q", when, got, want)
	}
}

func TestClaimsAreKeptUnlessSomebodySaysOtherwise(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(2).Claim("data"))
	uid := w.claim("data-web-1").UID
	w.scale(1)
	w.Finish()
	w.wantOwners("after a scale-in", "data-web-0, data-web-1")
	w.scale(2)
	w.Finish()
	w.wantAvailable("after a scale-out", 2)
	if w.claim("data-web-1").UID != uid {
		t.Error("the pod that came back has another claim")
	}
}

func TestClaimsGoWithWhomThePolicySays(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data").Retention(deletion, deletion))
	w.wantOwners("with both", "data-web-0 StatefulSet/web, data-web-1 StatefulSet/web, data-web-2 StatefulSet/web")
	w.scale(2)
	w.step("when one is scaled in", "web-0 a:1, web-1 a:1, -web-2 a:1")
	w.wantOwners("when one is scaled in", "data-web-0 StatefulSet/web, data-web-1 StatefulSet/web, data-web-2 Pod/web-2")
	w.change(func(s *v1beta1.StatefulSetSpec) { s.PersistentVolumeClaimRetentionPolicy.WhenDeleted = retain })
	w.Finish()
	w.wantOwners("when they are to outlive the set", "data-web-0, data-web-1, data-web-2 Pod/web-2")
}

func TestAPodWaitsUntilTheClaimOfTheOneBeforeItIsGone(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(2).Claim("data").Retention(retain, deletion))
	before := w.claim("data-web-1").UID
	w.scale(1)
	w.Turn()
	w.play("web-1") // ends; its claim is collected some time later
	w.scale(2)
	w.step("while the claim is to be collected", "web-0 a:1")
	if got, want := w.message(), "claim data-web-1 goes with Pod web-1, which is gone"; !strings.Contains(got, want) {
		t.Errorf("the status says %q, and not %q", got, want)
	}
	if err := w.API.Delete(w.Context(), w.claim("data-web-1")); err != nil { // as the garbage collector does
		t.Fatal(err)
	}
	w.Finish()
	w.wantAvailable("in the end", 2)
	if w.claim("data-web-1").UID == before {
		t.Error("the pod has the claim that was to go")
	}
}

// TestTheGarbageCollectorDeletesWhatIsToGo lets the garbage collector of Kubernetes itself run. It does not run beside other
// tests, whose claims would be collected.
func TestTheGarbageCollectorDeletesWhatIsToGo(t *testing.T) {
	w := worldIn(t, server.Namespace(t), statefulset.Options{Options: gates()})
	w.Create(builder.StatefulSet(web).Namespace(w.Namespace).Replicas(2).Claim("data").Retention(deletion, deletion).Object())
	w.Finish()
	server.RunControllers(t, "garbage-collector-controller", "persistentvolumeclaim-protection-controller")
	w.scale(1)
	w.Turn()
	w.play("web-1")
	w.awaitClaims("data-web-0")
	w.scale(2)
	w.Finish()
	w.wantAvailable("in the end", 2)
	if err := w.API.Delete(w.Context(), w.Object()); err != nil {
		t.Fatal(err)
	}
	w.awaitClaims()
}

// awaitClaims waits until there are just these claims.
func (w *world) awaitClaims(want ...string) {
	w.Helper()
	var got []string
	err := wait.PollUntilContextTimeout(w.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		for _, pod := range w.Pods() {
			w.Play(pod.Name)
		}
		list := &corev1.PersistentVolumeClaimList{}
		err := w.API.List(ctx, list, client.InNamespace(w.Namespace))
		got = nil
		for _, claim := range list.Items {
			got = append(got, claim.Name)
		}
		slices.Sort(got)
		return slices.Equal(got, want), err
	})
	if err != nil {
		w.Fatalf("waiting for the claims %v, there are %v: %v", want, got, err)
	}
}

// provide binds the claims and gives them what they ask for, as a storage provisioner does.
func (w *world) provide() {
	w.Helper()
	list := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	for i := range list.Items {
		claim := &list.Items[i]
		claim.Status.Phase = corev1.ClaimBound
		claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: claim.Spec.Resources.Requests[corev1.ResourceStorage]}
		if err := w.API.Status().Update(w.Context(), claim); err != nil {
			w.Fatal(err)
		}
	}
}

// sizes shows what the claims ask for: "1Gi 1Gi 2Gi".
func (w *world) sizes() string {
	w.Helper()
	list := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.PersistentVolumeClaim) int { return strings.Compare(a.Name, b.Name) })
	var words []string
	for _, claim := range list.Items {
		words = append(words, claim.Spec.Resources.Requests.Storage().String())
	}
	return strings.Join(words, " ")
}

func (w *world) wantSizes(when, want string) {
	w.Helper()
	if got := w.sizes(); got != want {
		w.Errorf("%s the claims ask for %s, want %s", when, got, want)
	}
}

func grow(s *v1beta1.StatefulSetSpec) {
	s.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse("2Gi")
}

func TestClaimsGrowOneAfterTheOtherWithoutARestart(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data").StorageClass("growing").GrowClaims())
	w.provide()
	before := w.uids()
	w.change(grow) // and nothing else
	w.Turn()
	w.wantSizes("at first", "1Gi 1Gi 2Gi")
	w.Turn()
	w.wantSizes("while it grows", "1Gi 1Gi 2Gi")
	if annotation := w.claim("data-web-2").Annotations["apps.kruise.io/owned-by-asts"]; annotation != web {
		t.Errorf("the claim says that it was made larger by %q", annotation)
	}
	for range 3 {
		w.provide()
		w.Turn()
	}
	w.wantSizes("in the end", "2Gi 2Gi 2Gi")
	w.Finish()
	want := v1beta1.VolumeClaimStatus{VolumeClaimName: "data", CompatibleReplicas: 3, CompatibleReadyReplicas: 3}
	if got := w.Object().Status.VolumeClaims; len(got) != 1 || got[0] != want {
		t.Errorf("status.volumeClaims %v, want %v", got, want)
	}
	after := w.uids()
	for name, uid := range before {
		if after[name] != uid {
			t.Errorf("pod %s was replaced", name)
		}
	}
}

func TestTheClaimsOfAPodGrowBeforeItIsUpdated(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(2).Claim("data").StorageClass("growing").GrowClaims())
	w.provide()
	w.change(grow)
	w.image("a:2")
	w.step("at first", "web-0 a:1, web-1 a:1")
	w.wantSizes("at first", "1Gi 2Gi")
	w.step("while its claim grows", "web-0 a:1, web-1 a:1")
	w.provide()
	w.step("once it has grown", "web-0 a:1, -web-1 a:1")
	for range 10 {
		w.Cluster()
		w.provide()
		w.Turn()
	}
	w.wantPods("in the end", "web-0 a:2, web-1 a:2")
	w.wantSizes("in the end", "2Gi 2Gi")
}

func TestClaimsThatAreForNewPodsAloneStayAsTheyAre(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(1).Claim("data").StorageClass("growing"))
	w.provide()
	w.change(grow)
	w.Finish()
	w.scale(2)
	w.Finish()
	w.wantSizes("in the end", "1Gi 2Gi")
}
