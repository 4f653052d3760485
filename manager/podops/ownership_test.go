package podops

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/plan/podset"
)

func webRef() metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "StatefulSet", Name: "web", UID: "web", Controller: ptr.To(true)}
}

func TestAPodThatNobodyOwnsIsAdoptedAndKeepsItsOtherOwners(t *testing.T) {
	orphan := pod("0")
	orphan.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "friend", UID: "friend"}}
	w := newWorld(t, interceptor.Funcs{}, orphan)
	if err := w.Adopt(t.Context(), web, webRef(), orphan); err != nil {
		t.Fatal(err)
	}
	is := &corev1.Pod{}
	if err := w.Client.Get(t.Context(), client.ObjectKeyFromObject(orphan), is); err != nil {
		t.Fatal(err)
	}
	if owner := metav1.GetControllerOf(is); owner == nil || owner.UID != "web" || len(is.OwnerReferences) != 2 {
		t.Errorf("its owners are %v", is.OwnerReferences)
	}
	if w.Writes.Behind(web) == "" {
		t.Error("the adoption is not waited for")
	}
}

func TestAWorkloadThatIsGoneAdoptsNothing(t *testing.T) {
	kind := metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	there := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1", Finalizers: []string{"orphan"}}}
	w := newWorld(t, interceptor.Funcs{})
	if err := w.Client.Create(t.Context(), there); err != nil {
		t.Fatal(err)
	}
	if err := w.MayAdopt(t.Context(), there, kind); err != nil {
		t.Errorf("a workload that is there: %v", err)
	}
	before := there.DeepCopy()
	before.UID = "0"
	if err := w.MayAdopt(t.Context(), before, kind); err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("a workload that was replaced by one of the same name: %v", err)
	}
	if err := w.Client.Delete(t.Context(), there.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := w.MayAdopt(t.Context(), there, kind); err == nil || !strings.Contains(err.Error(), "is being deleted") {
		t.Errorf("a workload that is being deleted: %v", err)
	}
	there.Name = "other"
	if err := w.MayAdopt(t.Context(), there, kind); !apierrors.IsNotFound(err) {
		t.Errorf("a workload that is gone: %v", err)
	}
}

func TestAClaimThatIsThereAlreadyIsUsedUnlessItGoes(t *testing.T) {
	kept := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-web-0", UID: "1", Finalizers: []string{"in-use"}}}
	w := newWorld(t, interceptor.Funcs{})
	if err := w.Client.Create(t.Context(), kept.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	wanted := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-web-0"}}
	if err := w.createOne(t.Context(), web, KindClaim, wanted.DeepCopy()); err != nil {
		t.Errorf("a claim that is there: %v", err)
	}
	if err := w.Client.Delete(t.Context(), kept.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := w.createOne(t.Context(), web, KindClaim, wanted.DeepCopy()); err == nil || !strings.Contains(err.Error(), "data-web-0: an object of this name exists, and is being deleted") {
		t.Errorf("a claim that is being deleted: %v", err)
	}
}

func TestAClaimThatIsGoneIsNoFailureToChange(t *testing.T) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-web-0", UID: "1"}}
	w := newWorld(t, interceptor.Funcs{})
	patch := podset.ClaimPatch{Claim: claim, Body: []byte(`{"metadata":{"labels":{"a":"b"}}}`)}
	if err := w.PatchClaim(t.Context(), web, patch); err != nil {
		t.Errorf("got %v", err)
	}
	if err := w.Client.Create(t.Context(), claim.DeepCopy()); err != nil {
		t.Fatal(err)
	}
	if err := w.PatchClaim(t.Context(), web, patch); err != nil {
		t.Fatal(err)
	}
	is := &corev1.PersistentVolumeClaim{}
	if err := w.Client.Get(t.Context(), client.ObjectKeyFromObject(claim), is); err != nil {
		t.Fatal(err)
	}
	if is.Labels["a"] != "b" || w.Writes.Behind(web) == "" {
		t.Errorf("labels %v, waited for: %q", is.Labels, w.Writes.Behind(web))
	}
}

// robbed is a workload whose pods have lost a label and a claim.
type robbed struct{ plain }

func (*robbed) Restoration(_ podset.Step, pod *corev1.Pod) ([]byte, []*corev1.PersistentVolumeClaim, error) {
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "data-" + pod.Name}}
	return fmt.Appendf(nil, `{"metadata":{"uid":%q,"labels":{"name":%q}}}`, pod.UID, pod.Name), []*corev1.PersistentVolumeClaim{claim}, nil
}

func TestAPodIsRestoredWithItsClaims(t *testing.T) {
	w := newWorld(t, interceptor.Funcs{}, pod("a"))
	w.job.Workload = &robbed{}
	for range 2 { // the second time its claim is there
		if results, err := w.run(step(podset.Restore, "a")); err != nil || len(results) != 1 {
			t.Fatalf("results %v, %v", results, err)
		}
	}
	got, claim := &corev1.Pod{}, &corev1.PersistentVolumeClaim{}
	if err := w.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "web-a"}, got); err != nil || got.Labels["name"] != "web-a" {
		t.Errorf("it has the labels %v, %v", got.Labels, err)
	}
	if err := w.Client.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "data-web-a"}, claim); err != nil {
		t.Error(err)
	}
}
