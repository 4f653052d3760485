package podset_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/story"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/revision"
)

func TestEveryPromiseHoldsWhateverHappensAndTheEndIsReachedAfterwards(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRollout(t)
		happen := map[string]func(){
			"scale": r.scale, "image": r.image, "metadata": r.metadata, "env": r.env, "tier": r.tier, "cpu": r.cpu, "resizes": r.resizes,
			"claims": r.claims, "strategy": r.strategy,
			"lose": r.lose, "remove": r.remove, "doom": r.doom, "kubelet": r.kubelet, "rank": r.rank, "tick": r.tick, "hooks": r.hooks, "round": r.round,
		}
		r.happen(happen, "scale", "image", "metadata", "env", "tier", "cpu", "resizes", "claims", "strategy", "lose", "remove", "doom", "kubelet", "hooks", "rank")
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
		pool := r.pool()
		if available, least := story.CensusOf(pool, r.observe()).Available, pool.Replicas-pool.MaxUnavailable; available < least {
			r.fatal(fmt.Sprintf("%d pods are available with a bad image, at least %d must be", available, least))
		}
		r.c.Spec.Template.Spec.Containers[0].Image = rapid.SampledFrom([]string{"web:1", "web:2"}).Draw(t, "fix")
		r.settle()
	})
}

func TestChangedClaimTemplatesReachEveryPodAndLeaveNothingBehind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRollout(t)
		r.c.Options.RecreateForClaims = true
		r.c.Spec.ScaleStrategy.EnablePVCReuse = rapid.IntRange(0, 3).Draw(t, "claims are used again") > 0
		r.labelledClaim()
		r.fairStrategy()
		happen := map[string]func(){
			"scale": r.scale, "image": r.image, "env": r.env, "claims": r.labelledClaim, "lose": r.lose, "remove": r.remove, "doom": r.doom,
			"kubelet": r.kubelet, "tick": r.tick, "hooks": r.hooks, "round": r.round,
		}
		r.happen(happen, "scale", "image", "env", "claims", "claims", "lose", "remove", "doom", "kubelet", "hooks")
		r.finish()
		r.checkEveryClaim()
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
	if r.repair() {
		r.fairStrategy()
	}
	r.settle()
}

// checkPool checks that what is wanted is so.
func (r *rollout) checkPool(plan podset.Plan) {
	pool := r.pool()
	c := story.CensusOf(pool, r.observe())
	if stuck := pool.Paused && pool.MaxUnavailable == 0; c.Doomed > 0 && !stuck {
		r.fatal(fmt.Sprintf("%d pods that were asked to go are still there", c.Doomed))
	}
	if c.Doomed == 0 && c.Staying != pool.Replicas {
		r.fatal(fmt.Sprintf("%d pods in the end, %d are wanted", c.Staying, pool.Replicas))
	}
	if c.Away > 0 {
		r.fatal(fmt.Sprintf("%d pods are not available in the end", c.Away))
	}
	r.checkContainers()
	r.checkClaims(pool)
	blocked := slices.ContainsFunc(plan.Notes, func(n podset.Note) bool { return strings.Contains(n.Because, "InPlaceOnly") })
	canGoBack := pool.Rollback && revision.ShortHash(pool.CurrentRevision) != revision.ShortHash(pool.UpdateRevision)
	if left := min(pool.Partition, c.Staying) - c.Old; canGoBack && left > 0 && c.Doomed == 0 && !pool.Paused && !pool.OnDelete && !blocked {
		r.fatal(fmt.Sprintf("%d pods are to go back to the current revision in the end", left))
	}
	if left := c.Updatable(pool); left > 0 && c.Doomed == 0 && !pool.Paused && !pool.OnDelete && !blocked {
		r.fatal(fmt.Sprintf("%d pods are on old revisions in the end", left))
	}
}

// checkClaims checks that pods of the newest revision have claims as the templates say, where a change of these is a rollout. Where
// claims are used again, a pod has those of the one before it.
func (r *rollout) checkClaims(pool *podset.Pool) {
	spec := &r.c.Spec
	if !r.c.Options.RecreateForClaims || spec.ScaleStrategy.EnablePVCReuse || r.wasInPlaceOnly {
		return
	}
	for _, pod := range r.w.Pods {
		var is, want []string
		for i := range spec.VolumeClaimTemplates {
			t := &spec.VolumeClaimTemplates[i]
			want = append(want, t.Name+"-"+pod.Name+" of "+t.Spec.Resources.Requests.Storage().String())
		}
		for _, v := range pod.Spec.Volumes {
			claim := r.w.Claim(v.PersistentVolumeClaim.ClaimName)
			is = append(is, claim.Name+" of "+claim.Spec.Resources.Requests.Storage().String())
		}
		if pool.IsNew(pod.Labels[appsv1.ControllerRevisionHashLabelKey]) && !slices.Equal(is, want) {
			r.fatal(fmt.Sprintf("pod %s has the newest revision and the claims %q, its claim templates ask for %q", pod.Name, is, want))
		}
	}
}

// decidePool lets the controller of a CloneSet decide.
func (r *rollout) decidePool() (decided, error) {
	round, err := r.c.Decide(r.w)
	if round == nil {
		return decided{}, err
	}
	p := *round.Pool
	p.FreshSlots = func(n int, _ string) []string { return make([]string, n) }
	return decided{
		wanted: fmt.Sprintf("want %d, %+v, paused %v, %s to %s (before: %s)", p.Replicas, p.Rolling, p.Paused, p.Policy, p.UpdateRevision, p.CurrentRevision),
		pods:   round.Pods, plan: &round.Plan, act: round.Act,
		again: func(pods []replica.Replica) podset.Plan { return p.Plan(r.w.Now, pods) },
	}, err
}
