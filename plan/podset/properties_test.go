package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

// enough is a number of rounds, one second each, in which any rollout of at most 12 pods must come to its end: each pod
// takes about a dozen seconds for itself, with hooks, grace and minReadySeconds, and may be replaced more than once.
const enough = 600

func TestEveryPromiseHoldsWhateverHappensAndTheEndIsReachedAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRollout(t)
		happen := map[string]func(){
			"scale": r.scale, "image": r.image, "metadata": r.metadata, "env": r.env, "strategy": r.strategy,
			"lose": r.lose, "remove": r.remove, "doom": r.doom, "kubelet": r.kubelet, "rank": r.rank, "tick": r.tick, "hooks": r.hooks, "round": r.round,
		}
		// What moves things on is drawn more often than what disturbs.
		names := []string{"scale", "image", "metadata", "env", "strategy", "lose", "remove", "doom", "kubelet", "hooks", "rank",
			"tick", "tick", "tick", "tick", "tick", "round", "round", "round", "round", "round"}
		for range rapid.IntRange(0, 60).Draw(t, "events") {
			happen[rapid.SampledFrom(names).Draw(t, "event")]()
		}
		r.finish()
	})
}

func TestABadImageStopsWithinTheBudgetAndAFixOrARollbackRecovers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRollout(t)
		r.fairStrategy()
		r.settle()
		for range rapid.IntRange(0, 4).Draw(t, "ranked pods") {
			r.rank()
		}
		r.c.Spec.Template.Spec.Containers[0].Image = badImage
		for range 60 {
			r.reconcile(1000)
			r.hooks()
			r.tick()
		}
		_, pool := r.view()
		if available, least := countAvailable(r.observe()), pool.Replicas-pool.MaxUnavailable; available < least {
			r.fatal(fmt.Sprintf("%d pods are available with a bad image, at least %d must be", available, least))
		}
		r.c.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2"}).Draw(t, "fix")
		r.settle()
	})
}

// fairStrategy leaves nothing in the strategy that could keep a pod on an old revision.
func (r *rollout) fairStrategy() {
	u := &r.c.Spec.UpdateStrategy
	u.Type, u.RollingUpdate.Paused, u.RollingUpdate.Partition = v1beta1.RollingUpdateCloneSetUpdateStrategyType, false, nil
	if u.RollingUpdate.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
		u.RollingUpdate.PodUpdatePolicy = v1beta1.InPlaceIfPossiblePodUpdatePolicyType
	}
}

// finish ends the trouble, either by repairing what is bad or by asking for something good, and waits for the end.
func (r *rollout) finish() {
	if rapid.Bool().Draw(r.T, "the registry is repaired") {
		clear(r.w.Bad)
	} else {
		r.c.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:3"}).Draw(r.T, "good image")
		r.fairStrategy()
	}
	r.settle()
}

// settle runs controller and cluster until nothing happens any more, and checks what is reached.
func (r *rollout) settle() {
	rest := 0
	for range enough {
		plan := r.reconcile(1000)
		if rest++; len(plan.Steps) > 0 || !plan.Wake.IsZero() {
			rest = 0
		}
		if rest > 6 { // longer than a container takes to start
			r.checkEnd(plan)
			return
		}
		r.hooks()
		r.tick()
	}
	r.fatal(fmt.Sprintf("no rest after %d rounds", enough))
}

// checkEnd checks that what is wanted is so.
func (r *rollout) checkEnd(plan podset.Plan) {
	_, pool := r.view()
	c := censusOf(pool, r.observe())
	if stuck := pool.Paused && pool.MaxUnavailable == 0; c.doomed > 0 && !stuck {
		r.fatal(fmt.Sprintf("%d pods that were asked to go are still there", c.doomed))
	}
	if c.doomed == 0 && c.staying != pool.Replicas {
		r.fatal(fmt.Sprintf("%d pods in the end, %d are wanted", c.staying, pool.Replicas))
	}
	if c.away > 0 {
		r.fatal(fmt.Sprintf("%d pods are not available in the end", c.away))
	}
	for _, pod := range r.w.Pods {
		for _, container := range pod.Spec.Containers {
			if running := r.w.Running(pod, container.Name); running != container.Image {
				r.fatal(fmt.Sprintf("pod %s runs %q in %s, its spec says %q", pod.Name, running, container.Name, container.Image))
			}
		}
	}
	blocked := slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return strings.Contains(n.Because, "InPlaceOnly") })
	canGoBack := pool.Rollback && revision.ShortHash(pool.CurrentRevision) != revision.ShortHash(pool.UpdateRevision)
	if left := min(pool.Partition, c.staying) - c.old; canGoBack && left > 0 && c.doomed == 0 && !pool.Paused && !pool.OnDelete && !blocked {
		r.fatal(fmt.Sprintf("%d pods are to go back to the current revision in the end", left))
	}
	if left := c.updatable(pool); left > 0 && c.doomed == 0 && !pool.Paused && !pool.OnDelete && !blocked {
		r.fatal(fmt.Sprintf("%d pods are on old revisions in the end", left))
	}
}

// census counts pods as the promises speak of them.
type census struct {
	active, leaving, doomed, staying, old, away int
}

func censusOf(pool *podset.Pool, pods []replica.Replica) (c census) {
	for i := range pods {
		switch r := &pods[i]; {
		case !r.Active():
		case r.State == lifecycle.PreparingDelete:
			c.active++
			c.leaving++
		case isDoomed(pool, r):
			c.active++
			c.doomed++
		default:
			c.active++
			c.staying++
			if !isNew(pool, r) {
				c.old++
			}
			if !r.Available {
				c.away++
			}
		}
	}
	return c
}

func isNew(pool *podset.Pool, r *replica.Replica) bool {
	return revision.ShortHash(r.Revision) == revision.ShortHash(pool.UpdateRevision)
}

func isDoomed(pool *podset.Pool, r *replica.Replica) bool {
	return r.SpecifiedDelete || pool.Doomed[r.Name]
}

// updatable is how many staying pods the partition lets be updated.
func (c census) updatable(pool *podset.Pool) int { return max(c.old-pool.Partition, 0) }

// checkPlan checks the promises that a single plan shows.
func (r *rollout) checkPlan(pool *podset.Pool, pods []replica.Replica, plan podset.Plan) {
	c := censusOf(pool, pods)
	created, takenBack, oldTaken, touched := 0, 0, 0, map[string]bool{}
	for _, s := range plan.Steps {
		if s.Do == podset.Create {
			created++
			continue
		}
		if touched[s.Pod.Name] {
			r.fatal("two steps for pod " + s.Pod.Name)
		}
		touched[s.Pod.Name] = true
		if s.Do == podset.Move && s.State == lifecycle.PreparingNormal {
			takenBack++
		}
		takes := s.Do == podset.Update || s.Do == podset.Delete || s.Do == podset.Move && s.State == lifecycle.PreparingDelete
		if takes && s.Pod.State != lifecycle.PreparingDelete && !isDoomed(pool, s.Pod) && !isNew(pool, s.Pod) {
			oldTaken++
		}
		updates := s.Do == podset.Update || s.Do == podset.Move && s.State == lifecycle.PreparingUpdate
		if updates && (pool.Paused || pool.OnDelete) {
			r.fatal("an update although it is paused or on delete")
		}
		if s.Do == podset.Update && revision.ShortHash(s.To) == revision.ShortHash(s.Pod.Revision) {
			r.fatal(fmt.Sprintf("pod %s is updated to the revision that it has", s.Pod.Name))
		}
	}
	surplus := c.staying + c.doomed - pool.Replicas
	if pool.OnDelete || pool.Paused {
		if oldTaken > max(surplus, 0) {
			r.fatal("old pods go although the update is paused or on delete, and there are none too many")
		}
	} else if oldTaken > c.updatable(pool) {
		r.fatal(fmt.Sprintf("%d old pods go, the partition lets %d", oldTaken, c.updatable(pool)))
	}
	inUse := c.active
	if pool.ExcludePreparingDelete {
		inUse += takenBack - c.leaving
	}
	if created > 0 && inUse+created > pool.Replicas+pool.MaxSurge {
		r.fatal(fmt.Sprintf("%d pods with those created, %d and %d above are allowed", inUse+created, pool.Replicas, pool.MaxSurge))
	}
	if len(plan.Steps) == 0 {
		r.checkNotes(pool, c, plan)
	}
}

// checkNotes checks that a plan without steps says why every wish waits.
func (r *rollout) checkNotes(pool *podset.Pool, c census, plan podset.Plan) {
	has := func(wishes ...podset.Wish) bool {
		return slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return n.Because != "" && slices.Contains(wishes, n.Wish) })
	}
	if c.staying+c.doomed != pool.Replicas && !has(podset.WishScaleIn, podset.WishScaleOut, podset.WishUpdate) {
		r.fatal("the number of pods is wrong, and no note says why")
	}
	if c.doomed > 0 && !has(podset.WishScaleIn) {
		r.fatal("pods were asked to go, and no note says why they stay")
	}
	if c.leaving > 0 && !has(podset.WishScaleIn) {
		r.fatal("pods wait for their hook, and no note says so")
	}
	if min(c.updatable(pool), pool.Replicas-pool.Partition-(c.staying-c.old)) > 0 && !has(podset.WishUpdate) {
		r.fatal("pods are old, and no note says why")
	}
	if c.away > 0 && !has(podset.WishAvailable) {
		r.fatal("pods are unavailable, and no note says so")
	}
}

// checkService checks that a pod counts as available only when it runs what its spec says. Kubelets that do not report the
// generation that they saw leave a gap, in which a change and its rollback look like nothing.
func (r *rollout) checkService(pods []replica.Replica) {
	for i := range pods {
		pod := r.w.Pod(pods[i].Name)
		if !pods[i].Available || r.w.OldKubelet {
			continue
		}
		for _, container := range pod.Spec.Containers {
			if running := r.w.Running(pod, container.Name); running != container.Image {
				r.fatal(fmt.Sprintf("pod %s is available with %q in %s, its spec says %q", pod.Name, running, container.Name, container.Image))
			}
		}
	}
}

// checkPermutation checks that the order in which pods are listed makes no difference.
func (r *rollout) checkPermutation(pool *podset.Pool, pods []replica.Replica) {
	same := *pool
	same.FreshSlots = func(n int) []string { return make([]string, n) }
	other := slices.Clone(pods)
	slices.Reverse(other)
	if n := len(other); n > 2 { // neither sorted nor reversed
		other[0], other[n/2] = other[n/2], other[0]
	}
	if a, b := describe(same.Plan(r.w.Now, pods)), describe(same.Plan(r.w.Now, other)); a != b {
		r.fatal("the same pods in another order give another plan:\n" + a + "and:\n" + b)
	}
}
