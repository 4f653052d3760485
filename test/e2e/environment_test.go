package e2e

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"kruise.io/kruise/api/apps/v1beta1"
)

// renewsEnvironment changes a label that a container takes into its environment, whose image has neither a shell nor the
// command env.
func renewsEnvironment(s *space) {
	s.start("tiers", 2, func(set *v1beta1.CloneSet) {
		set.Spec.Template.Labels = map[string]string{app: set.Name, "tier": "silver"}
		set.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "test", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['tier']"},
		}}}
	})
	before := s.podsNow("tiers")
	for _, pod := range before {
		s.untilTier(pod, "silver")
	}
	end := s.guard("tiers", serving(1), existing(2))
	s.untilDone(s.change("tiers", func(set *v1beta1.CloneSet) { set.Spec.Template.Labels["tier"] = "gold" }))
	end()
	after := s.podsNow("tiers")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
	for _, pod := range after {
		s.untilTier(pod, "gold")
	}
}

// renewsEnvironmentOfOrdinals does the same with an annotation and the pods of a StatefulSet.
func renewsEnvironmentOfOrdinals(s *space) {
	s.watch(&v1beta1.StatefulSet{})
	s.beginOrdinals("tiers", 2, inPlaceInParallel, func(set *v1beta1.StatefulSet) {
		set.Spec.VolumeClaimTemplates = nil
		set.Spec.Template.Annotations = map[string]string{"tier": "silver"}
		container := &set.Spec.Template.Spec.Containers[0]
		container.VolumeMounts = nil
		container.Env = []corev1.EnvVar{{Name: "test", ValueFrom: &corev1.EnvVarSource{
			FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.annotations['tier']"},
		}}}
	})
	s.untilOrdinals("tiers")
	before := s.podsNow("tiers")
	for _, pod := range before {
		s.untilTier(pod, "silver")
	}
	s.changeOrdinals("tiers", func(set *v1beta1.StatefulSet) { set.Spec.Template.Annotations["tier"] = "gold" })
	after := s.podsNow("tiers")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
	for _, pod := range after {
		s.untilTier(pod, "gold")
	}
}

// untilTier waits until the demo server in a pod says that it has a tier in its environment.
func (s *space) untilTier(pod *corev1.Pod, tier string) {
	s.Helper()
	var last string
	err := wait.PollUntilContextTimeout(s.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		says, err := page(ctx, pod.Status.PodIP+":8080")
		last = fmt.Sprint(says, err)
		return err == nil && says["test"] == tier, nil
	})
	if err != nil {
		s.Fatalf("waited in vain for tier %s in pod %s; last seen: %s", tier, pod.Name, last)
	}
}
