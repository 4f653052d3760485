package statefulset

import (
	"context"
	"errors"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

// still is a cache that shows everything.
type still struct{}

func (still) Version() string                            { return "" }
func (still) Lives(types.NamespacedName, types.UID) bool { return false }

func TestAPodWhoseClaimsCannotBeGivenToItIsNotDeleted(t *testing.T) {
	const deletion = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	set := builder.StatefulSet("web").Namespace("shop").Replicas(0).Parallel().Claim("data").Retention(deletion, deletion).Object()
	set.UID = "set"
	options := workload.Options{AutoDeleteClaims: true}
	template, err := workload.NewStatefulSet(set, workload.Owned{}, options)
	if err != nil {
		t.Fatal(err)
	}
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme)
	owned, claims := workload.Owned{}, map[string]*corev1.PersistentVolumeClaim{}
	for _, ordinal := range []string{"0", "1"} {
		pod, made, err := template.NewPod(podset.Step{Do: podset.Create, Slot: ordinal, To: template.Update})
		if err != nil {
			t.Fatal(err)
		}
		pod.UID = types.UID("pod-" + ordinal)
		owned.Pods = append(owned.Pods, pod)
		for _, claim := range made {
			claim.UID = types.UID(claim.Name)
			claims[claim.Name] = claim
			api.WithObjects(claim.DeepCopy())
		}
	}
	owned.Claim = func(name string) *corev1.PersistentVolumeClaim { return claims[name] }
	refuse := api.WithInterceptorFuncs(interceptor.Funcs{
		Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, o ...client.PatchOption) error {
			if obj.GetName() == "data-web-0" {
				return errors.New("it is protected")
			}
			return c.Patch(ctx, obj, patch, o...)
		},
	}).Build()
	writes := seen.New(map[string]seen.Cache{podops.KindClaim: still{}})
	w := newWork(&Controller{Base: &podops.Base{Executor: podops.Executor{Client: refuse, Live: refuse, Writes: writes}}, options: options}, set)
	if w.view, err = workload.NewStatefulSet(set, owned, options); err != nil {
		t.Fatal(err)
	}
	if err := w.Decide(time.Unix(1_000_000, 0)); err != nil {
		t.Fatal(err)
	}

	steps, err := w.settleOwners(t.Context())
	if err == nil || len(w.told) != 1 || w.told[0].Reason != "FailedUpdatePVC" || !w.told[0].Warning {
		t.Errorf("the failure is %v, and told are %v", err, w.told)
	}
	if len(w.plan.Steps) != 2 || len(steps) != 1 || steps[0].Pod.Name != "web-1" {
		t.Errorf("of the steps %v are left %v, want that of web-1", w.plan.Steps, steps)
	}
	given := &corev1.PersistentVolumeClaim{}
	if err := refuse.Get(t.Context(), client.ObjectKey{Namespace: "shop", Name: "data-web-1"}, given); err != nil {
		t.Fatal(err)
	}
	if owners := given.OwnerReferences; len(owners) != 1 || owners[0].UID != "pod-1" {
		t.Errorf("the claim of web-1 goes with %v", owners)
	}
}
