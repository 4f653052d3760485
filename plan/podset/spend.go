package podset

import (
	"fmt"
	"slices"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// aim is what an update leads to.
type aim struct {
	// to is the revision to bring pods to.
	to string
	// wanted is how many pods are to be brought there.
	wanted int
	// broken is how many pods of that revision are away or not resized yet.
	broken int
	// inOrder puts pods in the order in which they are updated.
	inOrder func([]*replica.Replica) []*replica.Replica
	// keepsClaims says whether a pod that is recreated leaves its claims to its successor.
	keepsClaims func(*replica.Replica) bool
}

// bring brings candidates to the revision aimed at as the budget lets, in place where the policy and the change allow it,
// and notes why the rest waits. It returns the candidates that are not to be updated at all.
func (d *draft) bring(candidates []*replica.Replica, a aim) (passed []*replica.Replica) {
	switch {
	case a.wanted == 0:
		return candidates
	case d.rules.Paused:
		d.note(WishUpdate, a.wanted, "the update is paused", cause{Cause: CausePaused})
		return candidates
	case d.rules.OnDelete:
		d.note(WishUpdate, a.wanted, "updateStrategy.type is OnDelete: pods get the new revision when they are deleted", cause{Cause: CauseOnDelete})
		return candidates
	}
	s := spender{
		draft: d, aim: a, methods: map[string]*method{},
		left: d.available - (d.rules.Replicas - d.rules.MaxUnavailable),
		// With maxUnavailable 0 a broken pod may still be repaired: that takes nobody out of service.
		limit: max(d.rules.MaxUnavailable+max(d.active-d.rules.Replicas, 0), 1),
	}
	s.spend(a.inOrder(candidates))
	if missing := a.wanted - s.begun; missing > 0 {
		because, cause := s.reason()
		d.note(WishUpdate, missing, because, cause)
	}
	return s.passed
}

// prepared puts pods first that are prepared for the update.
func prepared(r *replica.Replica) int64 { return -int64(one(r.State == lifecycle.PreparingUpdate)) }

// spender spends the budget of an update pod by pod.
type spender struct {
	*draft
	aim
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
	if s.rules.Policy != v1beta1.RecreatePodUpdatePolicyType {
		m.change = s.rules.Change(from, s.to)
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
	if !m.inPlace && s.rules.Policy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
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
		s.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingUpdate, NotReady: s.rules.NotReadyForUpdate, Why: "its inPlaceUpdate hook goes first"})
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
		return fmt.Sprintf("maxUnavailable is %d, and no more pods are resized at a time", s.rules.MaxUnavailable), causeOf(CauseResize, s.resizing)
	case s.spent:
		return s.budgetSpent(s.taken), causeOf(CauseBroken, s.away)
	default:
		return "the other old pods are coming into service", cause{}
	}
}
