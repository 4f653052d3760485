package e2e

import (
	"fmt"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

func scaledBySubresource(s *space) {
	s.start("sub", 4, grace(2), maxUnavailable(1), partition(1))
	kubectl := s.shell(root)
	end := s.guard("sub", serving(3), existing(7))
	s.untilUpdated(s.change("sub", image("1.10.3")), 1)

	// Up, as a user does.
	if says := kubectl("scale", "cloneset", "sub", "--replicas=7"); says != "cloneset.apps.kruise.io/sub scaled\n" {
		s.Errorf("kubectl scale printed %q", says)
	}
	s.untilAvailable("sub", 7)
	if n := tags(s.podsNow("sub"))["1.10.2"]; n < 1 {
		s.Errorf("the partition of 1 was not kept: %s", s.describe("sub"))
	}
	end()

	// Down, as an autoscaler does, in the middle of another update.
	s.untilUpdated(s.change("sub", image("1.10.5")), 1)
	end = s.guard("sub", serving(2), existing(7))
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "sub"}}
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"replicas":3}}`))
	if err := s.client.SubResource("scale").Patch(s.Context(), set, patch); err != nil {
		s.Fatalf("patching the scale of sub: %v", err)
	}
	s.untilLeft("sub", 3)
	s.untilSaid(s.change("sub", func(*v1beta1.CloneSet) {}), v1beta1.CloneSetProgressPartitionAvailable)
	end()
	s.same("the pods of the newest image, but for the partition", 2, tags(s.podsNow("sub"))["1.10.5"])
	s.untilDone(s.change("sub", partition(0)))
	s.same("the images", map[string]int{"1.10.5": 3}, tags(s.podsNow("sub")))
}

// scaledByAutoscaler lets a real autoscaler scale. Nothing in the lab measures pods, so it does by its bounds what it would do
// by a metric: it keeps the number of pods between them.
func scaledByAutoscaler(s *space) {
	s.start("auto", 4, partition(2))
	end := s.guard("auto", serving(3), existing(6))
	s.untilSaid(s.change("auto", image("1.10.3")), v1beta1.CloneSetProgressPartitionAvailable)
	scaler := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "auto"},
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: v1beta1.GroupVersion.String(), Kind: "CloneSet", Name: "auto"},
			MinReplicas:    new(int32(6)), MaxReplicas: 8,
		},
	}
	s.create(scaler)
	s.untilAvailable("auto", 6)
	s.same("the images: four pods may be new", map[string]int{"1.10.2": 2, "1.10.3": 4}, tags(s.podsNow("auto")))
	end()

	// The update is to go on while the autoscaler takes pods away.
	end = s.guard("auto", serving(2), existing(6))
	narrow := scaler.DeepCopy()
	narrow.Spec.MinReplicas, narrow.Spec.MaxReplicas = new(int32(1)), 3
	if err := s.client.Patch(s.Context(), narrow, client.MergeFrom(scaler)); err != nil {
		s.Fatalf("changing the autoscaler: %v", err)
	}
	s.change("auto", both(partition(0), grace(1), image("1.10.5")))
	s.untilLeft("auto", 3)
	s.untilDone(s.change("auto", func(*v1beta1.CloneSet) {}))
	end()
	s.same("the images", map[string]int{"1.10.5": 3}, tags(s.podsNow("auto")))
}

// untilAvailable waits until a CloneSet wants, has and counts so many pods as available.
func (s *space) untilAvailable(name string, n int32) {
	s.Helper()
	s.until(fmt.Sprintf("%d pods of %s are available", n, name), func() string {
		set := s.set(name)
		status := set.Status
		if *set.Spec.Replicas != n || status.ObservedGeneration < set.Generation || status.Replicas != n || status.AvailableReplicas != n {
			return s.describe(name)
		}
		return ""
	})
}
