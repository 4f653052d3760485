package podset

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/order"
	"kruise.io/kruise/plan/replica"
)

// updatable is how many old pods the partition lets be updated.
func (d *decision) updatable() int { return max(min(d.oldDiff, -d.newDiff), 0) }

// update brings old pods to the newest revision as the budget lets, in place where the policy and the change allow it.
// Pods that were prepared for an update that is not wanted any more go back into service.
func (d *decision) update() {
	var back []*replica.Replica
	wanted, candidates, to, broken := d.updatable(), d.idle.old, d.UpdateRevision, d.brokenNew
	others := d.idle.new
	if d.rollback > 0 {
		wanted, candidates, to, broken = d.rollback, d.idle.new, d.CurrentRevision, d.brokenOld
		others = d.idle.old
	}
	switch {
	case wanted == 0:
	case d.Paused:
		d.note(WishUpdate, wanted, "the update is paused", cause{Cause: CausePaused})
	case d.OnDelete:
		d.note(WishUpdate, wanted, "updateStrategy.type is OnDelete: pods get the new revision when they are deleted", cause{Cause: CauseOnDelete})
	default:
		s := spender{
			decision: d, to: to, wanted: wanted, broken: broken, methods: map[string]*method{},
			left: d.available - (d.Replicas - d.MaxUnavailable),
			// With maxUnavailable 0 a broken pod may still be repaired: that takes nobody out of service.
			limit: max(d.MaxUnavailable+max(d.active-d.Replicas, 0), 1),
		}
		s.spend(d.inOrderOfUpdate(candidates))
		if missing := wanted - s.begun; missing > 0 {
			because, cause := s.reason()
			d.note(WishUpdate, missing, because, cause)
		}
		candidates = s.passed
	}
	for _, r := range slices.Concat(candidates, others) {
		if r.State == lifecycle.PreparingUpdate {
			back = append(back, r)
		}
	}
	for _, r := range order.Sorted(back) {
		state := d.next(lifecycle.Updating, r, false)
		d.step(Step{Do: Settle, Pod: r, State: state, Why: "its update is not wanted any more"})
	}
	for _, r := range order.Sorted(slices.Collect(maps.Keys(d.overdue))) {
		d.apply(r)
	}
}

// inOrderOfUpdate puts pods in the order in which they are updated: by the user's priorities, then those that serve the
// least; the user's scattered pods evenly among the others; and those that were prepared for it before all.
func (d *decision) inOrderOfUpdate(pods []*replica.Replica) []*replica.Replica {
	sorted := order.Sorted(pods, slices.Concat([]order.By{prepared}, d.Priority, order.LeastLoss())...)
	if len(d.Scatter) > 0 {
		sorted = order.Scattered(sorted, d.Scatter)
		slices.SortStableFunc(sorted, func(a, b *replica.Replica) int { return cmp.Compare(prepared(a), prepared(b)) })
	}
	return sorted
}

// prepared puts pods first that are prepared for the update.
func prepared(r *replica.Replica) int64 { return -int64(one(r.State == lifecycle.PreparingUpdate)) }

// spender spends the budget of an update pod by pod.
type spender struct {
	*decision
	to      string             // the revision to bring pods to
	wanted  int                // pods to be updated
	broken  int                // pods of that revision that are away
	left    int                // available pods that may be taken away
	limit   int                // pods of that revision that may be away or not resized yet, with those begun now
	begun   int                // pods that got a step
	methods map[string]*method // by revision
	latest  *method
	taken   []*replica.Replica // those out of service
	resized int                // those resized without that
	held    []*replica.Replica // waiting for their hook
	passed  []*replica.Replica // not to be updated at all
	blocked string
	spent   bool
}

// spend goes through the candidates until as many as wanted are under way, or the budget is spent.
func (s *spender) spend(candidates []*replica.Replica) {
	s.plan.Steps = slices.Grow(s.plan.Steps, min(s.wanted, len(candidates), max(s.limit-s.broken, 0)))
	for i, r := range candidates {
		if s.begun+len(s.held) == s.wanted {
			s.passed = append(s.passed, candidates[i:]...)
			return
		}
		if !s.updateOne(r) {
			return
		}
	}
}

// method is how pods of one revision get to the wanted one.
type method struct {
	from    string
	inPlace bool
	change  inplace.Change
	why     string
}

func (s *spender) method(from string) *method {
	if s.latest != nil && s.latest.from == from { // the most pods have the same revision
		return s.latest
	}
	m := s.methods[from]
	if m == nil {
		m = s.findMethod(from)
		s.methods[from] = m
	}
	s.latest = m
	return m
}

func (s *spender) findMethod(from string) *method {
	m := &method{from: from}
	m.why = "it has revision " + from
	if s.Policy != v1beta1.RecreatePodUpdatePolicyType {
		m.change = s.Change(from, s.to)
		m.inPlace = m.change.Possible()
	}
	if m.change.Blocked != "" {
		m.why += "; cannot be changed in place: " + m.change.Blocked
	}
	return m
}

// updateOne updates one pod as far as the budget lets, and says whether to go on with the next. No more pods of the wanted
// revision than maxUnavailable are ever away at a time, so that a bad revision stops by itself; a pod that serves is taken
// only while others may. A resize takes no pod away, but kubelet may put it off or refuse it: until it is done it counts as
// one that is broken.
func (s *spender) updateOne(r *replica.Replica) bool {
	m := s.method(r.Revision)
	if !m.inPlace && s.Policy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
		s.blocked = m.change.Blocked
		s.passed = append(s.passed, r)
		return true // pods of other revisions may be possible
	}
	// A change that restarts nothing takes no pod out of service, unless a hook is to be waited for.
	hooked := r.Holds.Update || !r.Holds.UpdateComplete || r.State == lifecycle.PreparingUpdate
	stays := m.inPlace && !m.change.Restarts() && !hooked
	if full := s.broken+len(s.taken)+s.resized >= s.limit; full && (!stays || m.change.Resizes()) {
		s.spent = true
		return false
	}
	if stays {
		s.resized += one(m.change.Resizes())
	} else {
		if r.Available && s.left <= 0 {
			s.spent = true
			return true // broken pods behind it can be repaired, which is the way to a budget again
		}
		s.left -= one(r.Available)
		s.taken = append(s.taken, r)
	}
	if m.inPlace && r.Holds.Update && r.State == lifecycle.PreparingUpdate {
		s.held = append(s.held, r)
		return true
	}
	s.begun++
	switch {
	case !m.inPlace:
		s.remove(r, m.why, true, s.keepsClaims(r))
	case r.Holds.Update:
		s.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingUpdate, NotReady: s.NotReadyForUpdate, Why: "its inPlaceUpdate hook goes first"})
	default:
		s.step(Step{Do: Update, Pod: r, To: s.to, Why: m.why})
	}
	return true
}

// reason says why not every old pod is being updated.
func (s *spender) reason() (string, cause) {
	switch {
	case len(s.held) > 0:
		return "waiting for the inPlaceUpdate hook of " + names(s.held), cause{Cause: CauseHook}
	case s.blocked != "":
		return fmt.Sprintf("podUpdatePolicy is InPlaceOnly, and this cannot be changed in place: %s", s.blocked), cause{Cause: CauseNotInPlace}
	case s.spent && len(s.resizing)+s.resized > 0:
		return fmt.Sprintf("maxUnavailable is %d, and no more pods are resized at a time", s.MaxUnavailable), causeOf(CauseResize, s.resizing)
	case s.spent:
		return s.budgetSpent(s.taken), causeOf(CauseBroken, s.away)
	default:
		return "the other old pods are coming into service", cause{}
	}
}

// budgetSpent names the budget and who uses it, with the pods that a step of this plan takes out of service.
func (d *decision) budgetSpent(taken []*replica.Replica) string {
	away := cmp.Or(d.whoIsAway(taken, d.Replicas-d.active, "missing"), " and no pod may go")
	return fmt.Sprintf("maxUnavailable is %d%s", d.MaxUnavailable, away)
}

// whoIsAway lists the pods that are not available or will not be after this plan, with what kubelet says of them, and
// counts those that have no name yet. It begins with "and", and is empty when there is nobody.
func (d *decision) whoIsAway(taken []*replica.Replica, nameless int, are string) string {
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
