package story

import (
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// Census counts pods as the promises of package podset speak of them.
type Census struct {
	// Active are all pods that have not ended and are not ending; Leaving those of them in PreparingDelete, Doomed those
	// that somebody asked to go, and Staying the rest.
	Active, Leaving, Doomed, Staying int
	// Old and Away are those of the staying pods that are not of the newest revision, and not available.
	Old, Away int
	// Available are the active pods that are available.
	Available int
	// Ended are the pods that ended and that somebody asked to go.
	Ended int
}

// CensusOf counts the pods.
func CensusOf(pool *podset.Pool, pods []replica.Replica) (c Census) {
	for i := range pods {
		r := &pods[i]
		if !r.Active() {
			if !r.Terminating && isDoomed(pool, r) {
				c.Ended++
			}
			continue
		}
		c.Active++
		if r.Available {
			c.Available++
		}
		switch {
		case r.State == lifecycle.PreparingDelete:
			c.Leaving++
		case isDoomed(pool, r):
			c.Doomed++
		default:
			c.Staying++
			if !pool.IsNew(r.Revision) {
				c.Old++
			}
			if !r.Available {
				c.Away++
			}
		}
	}
	return c
}

func isDoomed(pool *podset.Pool, r *replica.Replica) bool {
	return r.SpecifiedDelete || pool.Doomed[r.Name]
}

// Updatable is how many staying pods the partition lets be updated.
func (c Census) Updatable(pool *podset.Pool) int { return max(c.Old-pool.Partition, 0) }

// Floor is the number of available pods below which no step may bring them.
func (c Census) Floor(pool *podset.Pool) int {
	return min(c.Available, pool.Replicas-pool.MaxUnavailable)
}

// CheckPlan says which promise a plan for these pods breaks: one step for a pod, its life cycle, the partition, the pause, the
// number of pods, and a note for all that is wanted and makes no step.
func CheckPlan(pool *podset.Pool, pods []replica.Replica, plan podset.Plan) error {
	if _, err := Moves(plan, pool.IsNew); err != nil {
		return err
	}
	c := CensusOf(pool, pods)
	created, takenBack, oldTaken, touched := 0, 0, 0, map[string]bool{}
	left := rest{Census: c}
	for _, s := range plan.Steps {
		if s.Do == podset.Create {
			created++
			left.scales = true
			continue
		}
		if touched[s.Pod.Name] {
			return fmt.Errorf("two steps for pod %s", s.Pod.Name)
		}
		touched[s.Pod.Name] = true
		left.take(pool, s, plan.Scaling)
		if s.Do == podset.Move && s.State == lifecycle.PreparingNormal {
			takenBack++
		}
		takes := s.Do == podset.Update || s.Do == podset.Delete || s.Do == podset.Move && s.State == lifecycle.PreparingDelete
		if takes && s.Pod.State != lifecycle.PreparingDelete && !isDoomed(pool, s.Pod) && !pool.IsNew(s.Pod.Revision) {
			oldTaken++
		}
		updates := s.Do == podset.Update || s.Do == podset.Move && s.State == lifecycle.PreparingUpdate
		if updates && (pool.Paused || pool.OnDelete) {
			return errors.New("an update although it is paused or on delete")
		}
		if s.Do == podset.Update && revision.ShortHash(s.To) == revision.ShortHash(s.Pod.Revision) {
			return fmt.Errorf("pod %s is updated to the revision that it has", s.Pod.Name)
		}
	}
	surplus := c.Staying + c.Doomed - pool.Replicas
	if pool.OnDelete || pool.Paused {
		if oldTaken > max(surplus, 0) {
			return errors.New("old pods go although the update is paused or on delete, and there are none too many")
		}
	} else if oldTaken > c.Updatable(pool) {
		return fmt.Errorf("%d old pods go, the partition lets %d", oldTaken, c.Updatable(pool))
	}
	inUse := c.Active
	if pool.ExcludePreparingDelete {
		inUse += takenBack - c.Leaving
	}
	if created > 0 && inUse+created > pool.Replicas+pool.MaxSurge {
		return fmt.Errorf("%d pods with those created, %d and %d above are allowed", inUse+created, pool.Replicas, pool.MaxSurge)
	}
	return errors.Join(checkResizes(pool, pods, plan), left.checkNotes(pool, plan))
}

// checkResizes checks that no more pods that serve are resized at a time than pods of a revision may be broken: kubelet may put a
// resize off, or refuse it.
func checkResizes(pool *podset.Pool, pods []replica.Replica, plan podset.Plan) error {
	begun := map[string]int{}
	for _, s := range plan.Steps {
		if s.Do == podset.Update && s.Pod.Available && pool.Change(s.Pod.Revision, s.To).Resizes() {
			begun[s.To]++
		}
	}
	limit := max(pool.MaxUnavailable+max(CensusOf(pool, pods).Active-pool.Replicas, 0), 1)
	for to, n := range begun {
		broken := 0
		for i := range pods {
			r := &pods[i]
			stays := r.Active() && r.State != lifecycle.PreparingDelete && !isDoomed(pool, r)
			broken += yes(stays && revision.ShortHash(r.Revision) == revision.ShortHash(to) && (!r.Available || r.Stage != inplace.Done))
		}
		if broken+n > limit {
			return fmt.Errorf("%d pods are resized while %d of their revision are broken or resized, at most %d may be", n, broken, limit)
		}
	}
	return nil
}

// rest is what a plan leaves to be done: pods that leave, are doomed, or are old and have no step.
type rest struct {
	Census
	// begun counts the old pods with a step that may be on their way to an update, touched all pods with a step.
	begun, touched int
	// scales is true when a step adds or removes a pod.
	scales bool
}

// take takes a step about a pod off what is left to be done.
func (c *rest) take(pool *podset.Pool, s podset.Step, scaling bool) {
	if !s.Pod.Active() {
		c.Ended--
		return
	}
	c.touched++
	goes := s.Do == podset.Delete || s.Do == podset.Move && s.State == lifecycle.PreparingDelete
	c.scales = c.scales || goes || s.Do == podset.Move && s.State == lifecycle.PreparingNormal
	switch {
	case s.Pod.State == lifecycle.PreparingDelete:
		c.Leaving--
	case isDoomed(pool, s.Pod):
		c.Doomed--
	case !pool.IsNew(s.Pod.Revision) && !scaling:
		c.begun++
	}
}

// checkNotes checks that a plan says why every wish waits that makes no step.
func (c *rest) checkNotes(pool *podset.Pool, plan podset.Plan) error {
	has := func(wishes ...podset.Wish) bool {
		return slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return n.Because != "" && slices.Contains(wishes, n.Wish) })
	}
	switch {
	case c.Staying+c.Doomed != pool.Replicas && !c.scales && c.touched == 0 && !has(podset.WishScaleIn, podset.WishScaleOut, podset.WishUpdate):
		return errors.New("the number of pods is wrong, and no note says why")
	case c.Doomed > 0 && !has(podset.WishScaleIn):
		return errors.New("pods were asked to go, and no note says why they stay")
	case c.Ended > 0 && !has(podset.WishScaleIn):
		return errors.New("pods that ended were asked to go, and no note says why they stay")
	case c.Leaving > 0 && !has(podset.WishScaleIn):
		return errors.New("pods wait for their hook, and no note says so")
	case min(c.Updatable(pool), pool.Replicas-pool.Partition-(c.Staying-c.Old)) > c.begun && !has(podset.WishUpdate):
		return errors.New("pods are old, and no note says why")
	case c.Away > 0 && !has(podset.WishAvailable):
		return errors.New("pods are unavailable, and no note says so")
	}
	return nil
}

// CheckService checks that a pod counts as available only when it serves as it should.
func CheckService(w *world.World, pods []replica.Replica) error {
	for i := range pods {
		if pods[i].Available {
			if err := CheckServing(w, w.Pod(pods[i].Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// CheckServing checks that a pod that is available runs what its spec says, and has its labels and annotations in the
// environments of its containers where an agent sees to that. Kubelets that do not report the generation that they saw leave a
// gap, in which a change of images and its rollback look like nothing; so do images that are twins.
func CheckServing(w *world.World, pod *corev1.Pod) error {
	for _, container := range pod.Spec.Containers {
		running := w.Running(pod, container.Name)
		if running != container.Image && !w.OldKubelet && !startedFromTwin(w, pod, &container) {
			return fmt.Errorf("pod %s is available with %q in %s, its spec says %q", pod.Name, running, container.Name, container.Image)
		}
		if w.Agent && !w.TookIn(pod, container.Name) {
			return fmt.Errorf("pod %s is available, and %s has other labels or annotations in its environment", pod.Name, container.Name)
		}
	}
	return nil
}

// startedFromTwin says whether kubelet last reported a container that it had started from another image of the same digest,
// in a pod without the gate that waits for kubelet's next look. When an update overtakes another between kubelet's order to
// start a container and its report of it, the report is the same as of a container that runs already what it should, because
// a runtime may name any tag of a digest. Both run the same bytes; kubelet starts the one once more.
func startedFromTwin(w *world.World, pod *corev1.Pod, c *corev1.Container) bool {
	reported := inplace.StatusOf(pod, c.Name)
	return !inplace.HasGate(pod, v1beta1.InPlaceUpdateReady) &&
		reported != nil && reported.Image != c.Image && w.Digest(reported.Image) == w.Digest(c.Image)
}

// CheckOwnership checks that no two pods have the same instance id, and that no pod that stays misses its claims. Pods of
// somebody else may lose theirs to whoever deletes them.
func CheckOwnership(w *world.World) error {
	ids := map[string]string{}
	for _, pod := range w.Pods {
		if controller := metav1.GetControllerOfNoCopy(pod); controller != nil && controller.UID != setUID {
			continue
		}
		id := pod.Labels[v1beta1.CloneSetInstanceID]
		if other, taken := ids[id]; taken && id != "" {
			return fmt.Errorf("pods %s and %s have the same instance id %s", other, pod.Name, id)
		}
		ids[id] = pod.Name
		for _, v := range pod.Spec.Volumes {
			if v.PersistentVolumeClaim == nil || pod.DeletionTimestamp != nil {
				continue
			}
			if claim := w.Claim(v.PersistentVolumeClaim.ClaimName); claim == nil || claim.DeletionTimestamp != nil {
				return fmt.Errorf("pod %s stays, and its claim %s does not", pod.Name, v.PersistentVolumeClaim.ClaimName)
			}
		}
	}
	return nil
}
