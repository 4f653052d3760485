package story

import (
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/types"

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
		s.served = map[types.UID]bool{}
	}
	for i := range pods {
		r := &pods[i]
		pod := w.Pod(r.Name)
		s.served[r.UID] = s.served[r.UID] || r.Available
		if !s.served[r.UID] || !r.Active() {
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

// checkTaken checks that a plan takes no more pods out of service than maxUnavailable leaves, after those that upgrades took
// before and that are not back. It counts by what was seen to happen, and not by what pods say of it.
func (s *SidecarSet) checkTaken(r *SidecarRound) error {
	if s.taken == nil {
		s.taken = map[types.UID]bool{}
	}
	away := 0
	for i := range r.Pods {
		p := &r.Pods[i]
		if s.taken[p.UID] = s.taken[p.UID] && p.Active() && !p.Available; s.taken[p.UID] {
			away++
		}
	}
	takes := 0
	for _, step := range r.Plan.Steps {
		if step.Do == podset.Update && step.Pod.Available && r.Want.Change(step.Pod.Revision, step.To).Restarts() {
			takes++
		}
	}
	if takes > max(r.Want.MaxUnavailable-away, 0) {
		return fmt.Errorf("%d pods that serve are upgraded while %d are away for it, and maxUnavailable is %d", takes, away, r.Want.MaxUnavailable)
	}
	return nil
}

// noteTaken notes the pods that served and that a plan, as far as it was carried out, upgrades.
func (s *SidecarSet) noteTaken(w *world.World, r *SidecarRound) error {
	view, err := s.View(w)
	if err != nil {
		return err
	}
	revisions := map[types.UID]string{}
	for _, p := range view.Replicas(w.Now) {
		revisions[p.UID] = p.Revision
	}
	for _, step := range r.Plan.Steps {
		if step.Do == podset.Update && step.Pod.Available && revisions[step.Pod.UID] != step.Pod.Revision {
			s.taken[step.Pod.UID] = true
		}
	}
	return nil
}
