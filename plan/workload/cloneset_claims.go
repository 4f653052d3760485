package workload

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/storage"
)

// newClaim makes the claim of an instance id from its template.
func (c *CloneSet) newClaim(template *corev1.PersistentVolumeClaim, id string) *corev1.PersistentVolumeClaim {
	claim := claimOf(template, template.Name+"-"+c.podName(id), c.Set.Spec.Selector.MatchLabels, c.Owner())
	claim.Namespace = c.Set.Namespace
	claim.Labels[v1beta1.CloneSetInstanceID] = id
	return claim
}

// claimNamed is the claim of an instance id that has a name; nil for none.
func (c *CloneSet) claimNamed(id, name string) *corev1.PersistentVolumeClaim {
	for _, claim := range c.Claims[id] {
		if claim.Name == name {
			return claim
		}
	}
	return nil
}

// ClaimsOf lists the claims that go with a pod.
func (c *CloneSet) ClaimsOf(step podset.Step) []*corev1.PersistentVolumeClaim {
	if step.KeepClaims {
		return nil
	}
	return c.Claims[step.Pod.Slot]
}

// keepsClaims says whether the claims of an instance id outlive its pod, for a pod of a revision to use them.
func (c *CloneSet) keepsClaims(id, to string) bool {
	claims := c.Claims[id]
	return c.Set.Spec.ScaleStrategy.EnablePVCReuse && len(claims) > 0 && !terminating(claims) && !c.outdated(id, to)
}

// claimsChanged says whether the claim templates have changed with a rollout, as far as the kept revisions tell.
func (c *CloneSet) claimsChanged() bool { return slices.ContainsFunc(c.History, c.of.otherClaims) }

// outdated says whether claims of an instance id are not for a pod of a revision: it is the newest one, whose rollout changed
// the claim templates, and one of the claims is not what its template says now. The claims of an id are for one pod, so they
// stay or go together.
func (c *CloneSet) outdated(id, to string) bool {
	if revision.ShortHash(to) != revision.ShortHash(c.Update) || !c.claimsChanged() {
		return false
	}
	for i := range c.Set.Spec.VolumeClaimTemplates {
		wanted := c.newClaim(&c.Set.Spec.VolumeClaimTemplates[i], id)
		if claim := c.claimNamed(id, wanted.Name); claim != nil && !storage.Matches(claim, wanted) {
			return true
		}
	}
	return false
}

// ExpiredClaims lists claims that no pod has and no pod may have again. current names the revision of the last complete
// rollout, as it is from now on: until a rollout is complete, pods of the revision before it may be wanted, and their claims
// with them.
func (c *CloneSet) ExpiredClaims(current string) []*corev1.PersistentVolumeClaim {
	reuse := c.Set.Spec.ScaleStrategy.EnablePVCReuse
	if reuse && (current != c.Update || !c.claimsChanged()) { // nearly always, and there may be many pods
		return nil
	}
	var out []*corev1.PersistentVolumeClaim
	for _, id := range c.idleClaims() {
		if !reuse || c.outdated(id, c.Update) {
			out = append(out, c.Claims[id]...)
		}
	}
	return out
}

// freshIDs makes up instance ids that are not in use, for pods of a revision. Where the set lets claims be used again, ids of
// claims that no pod has go first.
func (c *CloneSet) freshIDs(n int, to string, newID func() string) []string {
	var out []string
	take := func(id string) {
		c.used()[id] = true
		out = append(out, id)
	}
	if n > 0 && c.Set.Spec.ScaleStrategy.EnablePVCReuse {
		for _, id := range c.idleClaims() {
			if len(out) < n && !c.outdated(id, to) {
				take(id)
			}
		}
	}
	for len(out) < n {
		if id := newID(); !c.used()[id] && c.Claims[id] == nil {
			take(id)
		}
	}
	return out
}

// idleClaims lists the instance ids of claims that no pod has and nobody deletes, in order. A pod that the set let go of
// keeps its claims.
func (c *CloneSet) idleClaims() []string {
	if len(c.Claims) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(c.Claims)), func(id string) bool {
		return c.used()[id] || c.podExists != nil && c.podExists(c.podName(id)) || terminating(c.Claims[id])
	})
}
