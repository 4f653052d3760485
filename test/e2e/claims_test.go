package e2e

import (
	"fmt"
	"maps"
	"os"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// withClaims gives each pod of a CloneSet a volume of its own.
func withClaims(set *v1beta1.CloneSet) {
	set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{
		ObjectMeta: metav1.ObjectMeta{Name: "data"},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Mi")}},
		},
	}}
	set.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/data"}}
}

func claimsAreReused(set *v1beta1.CloneSet) { set.Spec.ScaleStrategy.EnablePVCReuse = true }

func claimsFollow(s *space) {
	s.watch(&corev1.PersistentVolumeClaim{})
	s.start("store", 2, withClaims)
	pods, claims := s.podsNow("store"), s.claims(s.client)
	s.leaveMarks(pods)

	s.untilDone(s.change("store", image("1.10.3")))
	s.same("the claims", claims, s.claims(s.client))
	s.same("what the pods keep", s.identities(pods), s.identities(s.podsNow("store")))
	s.same("the marks", instances(pods), s.marks(s.podsNow("store")))

	s.untilDone(s.change("store", replicas(1)))
	s.until("the claim of the pod that is gone is gone", func() string {
		pods, left := s.pods("store"), s.claims(s.seen)
		if len(pods) != 1 || len(left) != 1 || left[claimOf(pods[0])] == "" {
			return fmt.Sprintf("the claims %v, and %s", left, s.describe("store"))
		}
		return ""
	})
	for name, uid := range s.claims(s.client) {
		s.same("the claim "+name, claims[name], uid)
	}
}

func claimsSurvive(s *space) {
	s.watch(&corev1.PersistentVolumeClaim{})
	s.start("vault", 2, withClaims, claimsAreReused, policy(v1beta1.RecreatePodUpdatePolicyType))
	pods, claims := s.podsNow("vault"), s.claims(s.client)
	s.leaveMarks(pods)
	kept := instances(pods)

	// A pod that vanishes leaves its place and its volume to the next one.
	s.kubectl(s.T, "", "delete", "--namespace", s.name, "pod/"+pods[0].Name)
	s.untilGone("vault", pods[0])
	s.untilPods("two pods serve again", 2, serves)
	s.same("the claims after a pod vanished", claims, s.claims(s.client))
	s.same("the marks after a pod vanished", kept, s.marks(s.podsNow("vault")))

	// So does one that is recreated.
	before := s.podsNow("vault")
	end := s.guard("vault", serving(1), existing(2))
	s.untilDone(s.change("vault", image("1.10.3")))
	end()
	s.untilGone("vault", before...)
	s.same("the claims after the pods were recreated", claims, s.claims(s.client))
	s.same("the marks after the pods were recreated", kept, s.marks(s.podsNow("vault")))

	// One that is taken away for good does not.
	s.untilDone(s.change("vault", replicas(1)))
	last := s.podsNow("vault")[0]
	s.untilClaims(map[string]types.UID{claimOf(last): claims[claimOf(last)]})
}

func claimsGo(s *space) {
	s.watch(&corev1.PersistentVolumeClaim{})
	s.start("loose", 2, withClaims, policy(v1beta1.RecreatePodUpdatePolicyType))
	pods, claims := s.podsNow("loose"), s.claims(s.client)
	s.leaveMarks(pods)
	gone, stays := pods[0], pods[1]

	s.kubectl(s.T, "", "delete", "--namespace", s.name, "pod/"+gone.Name)
	s.untilGone("loose", gone)
	s.untilPods("two pods serve again", 2, serves)
	now := s.podsNow("loose")
	fresh := now[slices.IndexFunc(now, func(pod *corev1.Pod) bool { return pod.UID != stays.UID })]
	after := s.claims(s.client)
	s.untilClaims(map[string]types.UID{claimOf(stays): claims[claimOf(stays)], claimOf(fresh): after[claimOf(fresh)]})
	s.same("the marks", map[string]string{instance(stays): instance(stays), instance(fresh): ""}, s.marks(now))

	s.untilDone(s.change("loose", image("1.10.3")))
	s.untilGone("loose", now...)
	s.until("the claims of the old pods are gone", func() string {
		left := s.claims(s.seen)
		for name := range left {
			if _, old := after[name]; old || len(left) != 2 {
				return fmt.Sprint(left)
			}
		}
		return ""
	})
	for id, mark := range s.marks(s.podsNow("loose")) {
		s.same("the mark in the volume of "+id, "", mark)
	}
}

// claimsChange asks for more in a claim template, which recreates the pods with other claims; then for less, which what they have is
// enough for.
func claimsChange(s *space) {
	s.watch(&corev1.PersistentVolumeClaim{})
	s.start("swap", 2, withClaims, claimsAreReused)
	before, old := s.podsNow("swap"), s.claims(s.client)
	s.leaveMarks(before)

	end := s.guard("swap", serving(1))
	s.untilDone(s.change("swap", claiming("2Mi")))
	s.untilGone("swap", before...)
	fresh := s.podsNow("swap")
	s.until("there are other claims, and those of before are gone", func() string {
		now := s.claims(s.seen)
		if len(now) != 2 || slices.ContainsFunc(slices.Collect(maps.Keys(now)), func(name string) bool { return old[name] != "" }) {
			return fmt.Sprint(now)
		}
		return ""
	})
	for id, mark := range s.marks(fresh) {
		s.same("the mark in the volume of "+id, "", mark)
	}
	s.leaveMarks(fresh)

	claims := s.claims(s.client)
	s.untilDone(s.change("swap", claiming("1Mi")))
	s.untilGone("swap", fresh...)
	end()
	s.same("the claims that are large enough", claims, s.claims(s.client))
	s.same("the marks in them", instances(fresh), s.marks(s.podsNow("swap")))
}

// claiming has the pods of a CloneSet ask for a volume of a size.
func claiming(size string) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage] = resource.MustParse(size)
	}
}

func instance(pod *corev1.Pod) string { return pod.Labels[v1beta1.CloneSetInstanceID] }

func claimOf(pod *corev1.Pod) string {
	return "data-" + metav1.GetControllerOf(pod).Name + "-" + instance(pod)
}

// instances are the instance ids of pods, each with itself as its mark.
func instances(pods []*corev1.Pod) map[string]string {
	all := map[string]string{}
	for _, pod := range pods {
		all[instance(pod)] = instance(pod)
	}
	return all
}

// leaveMarks writes the instance id of each pod into its volume, and checks that its claim has the right name.
func (s *space) leaveMarks(pods []*corev1.Pod) {
	s.Helper()
	claims := s.claims(s.client)
	for _, pod := range pods {
		if claims[claimOf(pod)] == "" {
			s.Fatalf("pod %s has no claim %s among %v", pod.Name, claimOf(pod), claims)
		}
		if err := os.WriteFile(s.within(pod, app, "/data/mark"), []byte(instance(pod)), 0o600); err != nil {
			s.Fatalf("leaving a mark in a volume: %v", err)
		}
	}
}

// marks are the marks in the volumes of pods, by instance id; "" where there is none.
func (s *space) marks(pods []*corev1.Pod) map[string]string {
	s.Helper()
	all := map[string]string{}
	for _, pod := range pods {
		mark, err := os.ReadFile(s.within(pod, app, "/data/mark"))
		if err != nil && !os.IsNotExist(err) {
			s.Fatalf("looking for the mark in the volume of pod %s: %v", pod.Name, err)
		}
		all[instance(pod)] = string(mark)
	}
	return all
}

// untilClaims waits until the namespace has exactly these claims.
func (s *space) untilClaims(wanted map[string]types.UID) {
	s.Helper()
	s.until(fmt.Sprintf("the claims are %v", wanted), func() string {
		if have := s.claims(s.seen); !maps.Equal(have, wanted) {
			return fmt.Sprint(have)
		}
		return ""
	})
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
