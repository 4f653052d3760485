package podset

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// cause is a cause, with what kubelet says, and how many steps of the plan are waited for, where that is all.
type cause struct {
	Cause
	trouble string
	behind  int
}

// causeOf is a cause that lasts only if kubelet says that one of the pods is in trouble.
func causeOf(c Cause, pods []*replica.Replica) cause {
	var worst *replica.Replica
	for _, r := range pods {
		if r.Trouble != "" && (worst == nil || r.Name < worst.Name) {
			worst = r
		}
	}
	if worst == nil {
		return cause{}
	}
	return cause{Cause: c, trouble: worst.Trouble}
}

// waitsFor is the cause of what waits for pods that are away and for those that steps of this plan take out of service.
func (d *draft) waitsFor(taken []*replica.Replica, nameless int) cause {
	c := causeOf(CauseBroken, d.away)
	if len(d.away)+len(d.idle.leaving)+max(nameless, 0) == 0 {
		c.behind = len(taken)
	}
	return c
}

// others is the reason to wait while pods are added and removed.
const others = "others are created or deleted first"

// budgetSpent names the budget and who uses it, with the pods that a step of this plan takes out of service.
func (d *draft) budgetSpent(taken []*replica.Replica) string {
	away := d.whoIsAway(taken, d.rules.Replicas-d.active, "missing")
	if away == "" && d.plan.Scaling {
		return others
	}
	return fmt.Sprintf("maxUnavailable is %d%s", d.rules.MaxUnavailable, cmp.Or(away, " and no pod may go"))
}

// whoIsAway lists the pods that are not available or will not be after this plan, with what kubelet says of them, and
// counts those that have no name yet. It begins with "and", and is empty when there is nobody.
func (d *draft) whoIsAway(taken []*replica.Replica, nameless int, are string) string {
	away := slices.Concat(d.away, d.idle.leaving)
	d.told = d.told || len(d.away) > 0
	for _, r := range taken {
		if r.Available || d.isDoomed(r) { // the others are among them already
			away = append(away, r)
		}
	}
	var words []string
	switch len(away) {
	case 0:
	case 1:
		words = append(words, "1 pod is unavailable: "+names(away))
	default:
		words = append(words, fmt.Sprintf("%d pods are unavailable: %s", len(away), names(away)))
	}
	if nameless > 0 {
		words = append(words, fmt.Sprintf("%d %s", nameless, are))
	}
	if len(words) == 0 {
		return ""
	}
	return " and " + strings.Join(words, "; ")
}

// names lists at most three pods by name, with their trouble, and counts the rest. It is stable while the pods are.
func names(pods []*replica.Replica) string {
	const most = 3
	var named []*replica.Replica
	for _, r := range pods {
		i, _ := slices.BinarySearchFunc(named, r, tellsMore)
		if i < most {
			named = slices.Insert(named, i, r)
			named = named[:min(most, len(named))]
		}
	}
	var words []string
	for _, r := range named {
		word := r.Name
		if why := trouble(r); why != "" {
			word += " (" + why + ")"
		}
		words = append(words, word)
	}
	text := strings.Join(words, ", ")
	if more := len(pods) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// tellsMore puts pods with a known trouble before those that are merely starting.
func tellsMore(a, b *replica.Replica) int {
	return cmp.Or(one(trouble(b) != "")-one(trouble(a) != ""), strings.Compare(a.Name, b.Name))
}

// trouble says what keeps a pod from being available, if it is known: what kubelet says, or a hook that is to be completed.
func trouble(r *replica.Replica) string {
	switch {
	case r.Trouble != "":
		return r.Trouble
	case r.State == lifecycle.PreparingNormal && r.Ready && !r.Holds.NormalComplete:
		return "its preNormal hook is not complete"
	case r.State == lifecycle.Updated && !r.Holds.UpdateComplete:
		return "its inPlaceUpdate hook is not complete"
	}
	return ""
}
