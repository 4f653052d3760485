package e2e

import (
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

func claimsFollow(s *space) {
	s.watch(&corev1.PersistentVolumeClaim{})
	s.start("store", 2, func(set *v1beta1.CloneSet) {
		set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
			ObjectMeta: metav1.ObjectMeta{Name: "data"},
			Spec: corev1.PersistentVolumeClaimSpec{
				AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
			},
		}}
		set.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
	})
	pods, claims := s.podsNow("store"), s.claims(s.client)
	for _, pod := range pods {
		claim := "data-store-" + pod.Labels[v1beta1.CloneSetInstanceID]
		if claims[claim] == "" {
			s.Fatalf("pod %s has no claim %s among %v", pod.Name, claim, claims)
		}
		if err := os.WriteFile(s.within(pod, app, "/data/mark"), []byte(pod.Name), 0o600); err != nil {
			s.Fatalf("leaving a mark in a volume: %v", err)
		}
	}

	s.untilDone(s.change("store", image("1.10.3")))
	s.same("the claims", claims, s.claims(s.client))
	s.same("what the pods keep", s.identities(pods), s.identities(s.podsNow("store")))
	for _, pod := range s.podsNow("store") {
		if mark, err := os.ReadFile(s.within(pod, app, "/data/mark")); err != nil || string(mark) != pod.Name {
			s.Errorf("the volume of pod %s has lost its mark: %q, %v", pod.Name, mark, err)
		}
	}

	s.untilDone(s.change("store", replicas(1)))
	s.until("the claim of the pod that is gone is gone", func() string {
		pods, left := s.pods("store"), s.claims(s.seen)
		if len(pods) != 1 || len(left) != 1 || left["data-store-"+pods[0].Labels[v1beta1.CloneSetInstanceID]] == "" {
			return fmt.Sprintf("the claims %v, and %s", left, s.describe("store"))
		}
		return ""
	})
	for name, uid := range s.claims(s.client) {
		s.same("the claim "+name, claims[name], uid)
	}
}

// claims are the UIDs of the bound claims of the namespace, by name.
func (s *space) claims(reader client.Reader) map[string]types.UID {
	s.Helper()
	var list corev1.PersistentVolumeClaimList
	if err := reader.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
		s.Fatalf("listing the claims of %s: %v", s.name, err)
	}
	all := map[string]types.UID{}
	for i := range list.Items {
		if claim := &list.Items[i]; claim.Status.Phase == corev1.ClaimBound {
			all[claim.Name] = claim.UID
		}
	}
	return all
}
