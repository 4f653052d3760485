package world_test

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

// withClaim is a world with a claim of 1Gi that a pod has.
func withClaim(t *testing.T, owners ...metav1.OwnerReference) *world.World {
	t.Helper()
	w := world.New()
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data", OwnerReferences: owners}}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	if err := w.CreateClaim(claim); err != nil {
		t.Fatal(err)
	}
	startPod(t, w)
	return w
}

func startPod(t *testing.T, w *world.World) {
	t.Helper()
	pod := builder.Pod("web").Image("web:1").Object()
	workload.Mount(&pod.Spec, "data", "data")
	if err := w.Create(pod); err != nil {
		t.Fatal(err)
	}
	w.Tick(time.Second)
}

func patch(w *world.World, body string) error {
	claim := w.Claim("data")
	return w.PatchClaim(podset.ClaimPatch{Claim: claim, Body: fmt.Appendf(nil, body, claim.UID)})
}

const larger = `{"metadata":{"uid":%q},"spec":{"resources":{"requests":{"storage":"2Gi"}}}}`

func size(w *world.World) string { return w.Claim("data").Status.Capacity.Storage().String() }

func TestAVolumeGrowsWithItsClaim(t *testing.T) {
	for name, test := range map[string]struct{ growth, atOnce, afterwards string }{
		"within a second":       {"", "2Gi", "2Gi"},
		"never":                 {world.GrowsNever, "1Gi", "1Gi"},
		"when its pod restarts": {world.GrowsAtRestart, "1Gi", "2Gi"},
	} {
		t.Run(name, func(t *testing.T) {
			w := withClaim(t)
			w.Growth = test.growth
			if err := patch(w, larger); err != nil {
				t.Fatal(err)
			}
			w.Tick(time.Second)
			if got := size(w); got != test.atOnce {
				t.Errorf("it has %s, want %s", got, test.atOnce)
			}
			w.Lose("web")
			startPod(t, w)
			if got := size(w); got != test.afterwards {
				t.Errorf("with another pod it has %s, want %s", got, test.afterwards)
			}
		})
	}
}

func TestAClaimChangesInItsSizeAndItsMetadataAlone(t *testing.T) {
	for name, test := range map[string]struct {
		body    string
		refused func(error) bool
	}{
		"smaller":     {`{"metadata":{"uid":%q},"spec":{"resources":{"requests":{"storage":"500Mi"}}}}`, apierrors.IsBadRequest},
		"otherwise":   {`{"metadata":{"uid":%q},"spec":{"volumeName":"other"}}`, apierrors.IsBadRequest},
		"another one": {`{"metadata":{"uid":"other","labels":{"a":%q}}}`, apierrors.IsConflict},
		"labels":      {`{"metadata":{"uid":%q,"labels":{"a":"b"}}}`, func(err error) bool { return err == nil }},
	} {
		if err := patch(withClaim(t), test.body); !test.refused(err) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAClaimGoesWithThePodThatOwnsIt(t *testing.T) {
	w := withClaim(t)
	uid := w.Pod("web").UID
	if err := patch(w, `{"metadata":{"uid":%q,"ownerReferences":[{"apiVersion":"v1","kind":"Pod","name":"web","uid":"`+string(uid)+`"}]}}`); err != nil {
		t.Fatal(err)
	}
	w.Tick(time.Second)
	if w.Claim("data").DeletionTimestamp != nil {
		t.Fatal("it goes before its pod does")
	}
	w.Lose("web")
	w.Tick(time.Second)
	w.Tick(time.Second)
	if w.Claim("data") != nil {
		t.Error("it stays")
	}
	kept := withClaim(t, metav1.OwnerReference{Kind: "StatefulSet", UID: types.UID("set")})
	kept.Lose("web")
	kept.Tick(time.Second)
	if kept.Claim("data").DeletionTimestamp != nil {
		t.Error("a claim of a set goes with a pod")
	}
}
