package story

import (
	"errors"
	"fmt"
	"slices"

	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/sidecar"
)

// available counts the active pods that are available.
func available(pods []replica.Replica) int {
	n := 0
	for i := range pods {
		if pods[i].Active() && pods[i].Available {
			n++
		}
	}
	return n
}

// SidecarFloor is the number of available pods below which no step may bring them. Pods that are away for reasons of their
// own are none of the set's.
func SidecarFloor(want *podset.Sidecars, pods []replica.Replica) int {
	return min(available(pods), want.Rules(pods).Replicas-want.MaxUnavailable)
}

// CheckSidecarPlan says which promise a plan for these pods breaks: one step for a pod, none that creates or deletes one, the
// partition, the selector, the pause, and a note for all that is wanted and makes no step.
func CheckSidecarPlan(want *podset.Sidecars, pods []replica.Replica, plan podset.Plan) error {
	updatable, updated, touched := 0, 0, map[string]bool{}
	for i := range pods {
		if r := &pods[i]; toUpdate(want, r) {
			updatable++
		}
	}
	updatable = max(updatable-want.Partition, 0)
	for _, s := range plan.Steps {
		switch {
		case s.Do != podset.Update && s.Do != podset.Apply:
			return fmt.Errorf("a set that owns no pod does %s", s.Do)
		case touched[s.Pod.Name]:
			return fmt.Errorf("two steps for pod %s", s.Pod.Name)
		case s.Do == podset.Update && (want.Paused || want.NotUpdate):
			return errors.New("an update although it is paused or not wanted")
		case s.Do == podset.Update && !toUpdate(want, s.Pod):
			return fmt.Errorf("pod %s is updated, and is not to be", s.Pod.Name)
		}
		touched[s.Pod.Name] = true
		if s.Do == podset.Update {
			updated++
		}
	}
	if updated > updatable {
		return fmt.Errorf("%d pods are updated, the partition lets %d", updated, updatable)
	}
	wished := slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return n.Wish == podset.WishUpdate && n.Because != "" })
	if updated < updatable && !wished {
		return errors.New("pods are old, and no note says why")
	}
	return nil
}

func toUpdate(want *podset.Sidecars, r *replica.Replica) bool {
	return r.Active() && !want.IsNew(r.Revision) && (want.Selects == nil || want.Selects(r)) && want.Blocked(r) == ""
}

// checkTwins checks that a sidecar that is upgraded hot serves at any time in every pod that was ever in service: one of its
// twins runs an image that is not the idle one.
func (s *SidecarSet) checkTwins(w *world.World, pods []replica.Replica) error {
	if s.served == nil {
		s.served = map[string]bool{}
	}
	for i := range pods {
		r := &pods[i]
		pod := w.Pod(r.Name)
		s.served[string(r.UID)] = s.served[string(r.UID)] || r.Available
		if !s.served[string(r.UID)] || !r.Active() {
			continue
		}
		for j := range s.Spec.Containers {
			c := &s.Spec.Containers[j]
			serves := func(twin string) bool {
				image := w.Running(pod, twin)
				return inplace.ContainerOf(pod, twin) == nil || image != "" && image != c.UpgradeStrategy.HotUpgradeEmptyImage
			}
			if sidecar.IsHot(c) && !slices.ContainsFunc(sidecar.NamesInPod(c), serves) {
				return fmt.Errorf("pod %s: no twin of %s serves", pod.Name, c.Name)
			}
		}
	}
	return nil
}
