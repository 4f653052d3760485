package e2e

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

func keepsTheBudget(s *space, how v1beta1.PodUpdatePolicyType) {
	s.start("budget", 6, maxUnavailable(2), policy(how))
	before := s.podsNow("budget")
	end := s.guard("budget", serving(4), existing(6))
	s.untilDone(s.change("budget", image("1.10.3")))
	end()
	if how == v1beta1.InPlaceIfPossiblePodUpdatePolicyType {
		s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("budget")))
		return
	}
	s.untilGone("budget", before...)
	s.untilLeft("budget", 6)
}

// untilGone waits until pods have left the API server.
func (s *space) untilGone(set string, pods ...*corev1.Pod) {
	s.Helper()
	gone := uids(pods)
	s.until("the old pods are gone", func() string {
		for _, uid := range uids(s.pods(set)) {
			if slices.Contains(gone, uid) {
				return s.describe(set)
			}
		}
		return ""
	})
}

// untilLeft waits until a CloneSet has so many pods, those on their way out included.
func (s *space) untilLeft(set string, n int) {
	s.Helper()
	s.until(fmt.Sprintf("%d pods are left", n), func() string {
		if len(s.pods(set)) != n {
			return s.describe(set)
		}
		return ""
	})
}

// untilUpdated waits until at least n pods of a CloneSet are of the newest revision and available.
func (s *space) untilUpdated(set *v1beta1.CloneSet, n int32) {
	s.Helper()
	s.until("the update is under way", func() string {
		now := s.set(set.Name)
		if now.Status.ObservedGeneration < set.Generation || now.Status.UpdatedAvailableReplicas < n {
			return s.describe(set.Name)
		}
		return ""
	})
}

func partitionHolds(s *space) {
	s.start("half", 4)
	before := s.podsNow("half")
	end := s.guard("half", serving(3), existing(4), changed("1.10.3", 2))
	s.untilSaid(s.change("half", both(image("1.10.3"), partition(2))), v1beta1.CloneSetProgressPartitionAvailable)
	end()
	half := s.podsNow("half")
	s.same("the images", map[string]int{"1.10.2": 2, "1.10.3": 2}, tags(half))

	end = s.guard("half", serving(3), existing(4))
	s.untilDone(s.change("half", partition(0)))
	end()
	after := s.podsNow("half")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for _, pod := range after {
		if n := containerOf(pod, app).RestartCount; n != 1 {
			s.Errorf("the container of pod %s was restarted %d times, not once", pod.Name, n)
		}
	}
}

func pauseStops(s *space) {
	s.start("pause", 4, grace(2))
	s.untilUpdated(s.change("pause", image("1.10.3")), 1)
	s.untilSaid(s.change("pause", paused(true)), v1beta1.CloneSetPaused)
	s.until("the pods that were being updated are available", func() string {
		if s.set("pause").Status.AvailableReplicas < 4 {
			return s.describe("pause")
		}
		return ""
	})
	stopped := s.podsNow("pause")
	end := s.guard("pause", serving(4), existing(5), changed("1.10.3", tags(stopped)["1.10.3"]+1))
	set := s.change("pause", replicas(5))
	s.until("there are five pods", func() string {
		if now := s.set("pause").Status; now.ObservedGeneration < set.Generation || now.AvailableReplicas < 5 {
			return s.describe("pause")
		}
		return ""
	})
	s.untilSaid(set, v1beta1.CloneSetPaused)
	end()
	for _, pod := range stopped {
		now := &corev1.Pod{}
		if err := s.client.Get(s.Context(), client.ObjectKeyFromObject(pod), now); err != nil {
			s.Fatalf("looking for pod %s: %v", pod.Name, err)
		}
		s.same("the container of pod "+pod.Name+" while the update was paused", lives([]*corev1.Pod{pod}, app), lives([]*corev1.Pod{now}, app))
	}
	end = s.guard("pause", serving(4), existing(5))
	s.untilDone(s.change("pause", paused(false)))
	end()
	s.same("the images", map[string]int{"1.10.3": 5}, tags(s.podsNow("pause")))
}

func surgeStandsIn(s *space) {
	s.start("surge", 3, maxUnavailable(0), maxSurge(1), policy(v1beta1.RecreatePodUpdatePolicyType))
	before := s.podsNow("surge")
	end := s.guard("surge", serving(3), existing(4))
	s.untilDone(s.change("surge", image("1.10.3")))
	s.untilGone("surge", before...)

	// In place, too, an extra pod stands in for the one that is out of service.
	s.untilDone(s.change("surge", both(policy(v1beta1.InPlaceIfPossiblePodUpdatePolicyType), image("1.10.5"))))
	end()
	s.untilLeft("surge", 3)
	s.same("the images", map[string]int{"1.10.5": 3}, tags(s.podsNow("surge")))
	restarted := 0
	for _, n := range restarts(s.podsNow("surge")) {
		restarted += int(n)
	}
	if restarted == 0 {
		s.Errorf("no pod was updated in place:\n%s", s.describe("surge"))
	}
}

func scalesInTheMiddle(s *space) {
	s.start("scale", 4, grace(2))
	end := s.guard("scale", serving(3), existing(7))
	s.untilUpdated(s.change("scale", image("1.10.3")), 1)
	s.untilUpdated(s.change("scale", replicas(7)), 4)
	end()
	end = s.guard("scale", serving(2), existing(7))
	s.untilDone(s.change("scale", replicas(3)))
	end()
	s.untilLeft("scale", 3)
	s.same("the images", map[string]int{"1.10.3": 3}, tags(s.podsNow("scale")))
}

func namedPodsGo(s *space) {
	s.start("named", 3)
	before := s.podsNow("named")
	end := s.guard("named", serving(2), existing(3))

	// A label replaces a pod.
	marked := before[1]
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+v1beta1.SpecifiedDeleteKey+`":"true"}}}`))
	if err := s.client.Patch(s.Context(), marked.DeepCopy(), patch); err != nil {
		s.Fatalf("marking pod %s: %v", marked.Name, err)
	}
	s.untilGone("named", marked)
	s.untilDone(s.change("named", func(*v1beta1.CloneSet) {}))
	s.until("three pods serve", func() string {
		if pods := s.pods("named"); len(pods) != 3 || count(pods, serves) != 3 {
			return s.describe("named")
		}
		return ""
	})
	replaced := s.podsNow("named")
	for _, pod := range []*corev1.Pod{before[0], before[2]} {
		if !slices.Contains(uids(replaced), string(pod.UID)) {
			s.Errorf("pod %s went with the one that was marked", pod.Name)
		}
	}

	// A name in podsToDelete chooses the pod that a scale-in takes, and is taken off the list afterwards.
	named := replaced[0]
	s.untilDone(s.change("named", both(replicas(2), func(set *v1beta1.CloneSet) {
		set.Spec.ScaleStrategy.PodsToDelete = []string{named.Name}
	})))
	end()
	s.untilGone("named", named)
	s.same("the pods that were not named", uids(replaced[1:]), uids(s.podsNow("named")))
	s.until("podsToDelete is empty", func() string {
		if len(s.set("named").Spec.ScaleStrategy.PodsToDelete) > 0 {
			return s.describe("named")
		}
		return ""
	})
}
