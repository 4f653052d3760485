package podset

import (
	"fmt"
	"slices"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/storage"
)

// aim is what an update leads to.
type aim struct {
	// to is the revision to bring pods to.
	to string
	// wanted is how many pods are to be brought there.
	wanted int
	// broken is how many pods of that revision are away or not resized yet.
	broken int
	// hopeless is how many of the broken ones do not come into service by themselves. They stop the update, but not the
	// repair of pods that serve nobody either.
	hopeless int
	// repairsFreely brings pods that serve nobody there however many of that revision are broken: whoever updates pods of
	// others cannot tell which of them are broken for reasons of their own.
	repairsFreely bool
	// inOrder tells the first n pods, or more, in the order in which they are updated.
	inOrder func(n int, pods []*replica.Replica) []*replica.Replica
	// outOfTurn says whether a pod may go before one that the budget keeps waiting. Nil: every pod that serves nobody may.
	outOfTurn func(*replica.Replica) bool
	// keepsClaims says whether a pod that is recreated leaves its claims to its successor of a revision. Nil: no.
	keepsClaims func(r *replica.Replica, to string) bool
	// claims tells how the claims of a pod stand to their templates, where they are to grow before it is updated. Nil: they
	// are left as they are.
	claims func(*replica.Replica) storage.State
}

// bring brings candidates to the revision aimed at as the budget lets, in place where the policy and the change allow it,
// and notes why the rest waits. It returns the candidates that are not to be updated at all. While pods are added and removed
// all of them wait, and what it returns says nothing.
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
	var s spender
	if d.plan.Scaling {
		s = d.tryUpdate(candidates, a)
	} else {
		s = d.spender(a)
		s.plan.Steps = slices.Grow(s.plan.Steps, min(s.wanted, len(candidates), max(s.limit-s.broken, 0)))
		s.spend(a.inOrder(len(candidates), candidates))
	}
	if missing := a.wanted - s.begun; missing > 0 {
		because, cause := s.reason()
		d.note(WishUpdate, missing, because, cause)
	}
	return s.passed
}

// tryUpdate finds out what would keep an update from going on, were no pods added and removed, and takes no step. The first
// pod mostly tells, so that the others need not be put in order.
func (d *draft) tryUpdate(candidates []*replica.Replica, a aim) (s spender) {
	steps := len(d.plan.Steps)
	for _, n := range []int{1, len(candidates)} {
		s = d.spender(a)
		s.spend(a.inOrder(n, candidates))
		d.plan.Steps = d.plan.Steps[:steps]
		if s.begun > 0 {
			break
		}
	}
	s.deferred, s.begun, s.taken = s.begun > 0, 0, nil
	return s
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
	grown   int                // those whose claims are to grow
	growing []*replica.Replica // waiting for their claims
	held    []*replica.Replica // waiting for their hook
	passed  []*replica.Replica // not to be updated at all
	blocked string
	spent   bool
	// deferred is true when pods would have got a step, had none been added or removed.
	deferred bool
}

// spender is one that has spent nothing.
func (d *draft) spender(a aim) spender {
	return spender{
		draft: d, aim: a, methods: map[string]*method{},
		left: d.available - (d.rules.Replicas - d.rules.MaxUnavailable),
		// With maxUnavailable 0 a broken pod may still be repaired: that takes nobody out of service.
		limit: max(d.rules.MaxUnavailable+max(d.active-d.rules.Replicas, 0), 1),
	}
}

// spend goes through the candidates until as many as wanted are under way, or the budget is spent.
func (s *spender) spend(candidates []*replica.Replica) {
	for i, r := range candidates {
		if s.begun+len(s.held)+len(s.growing) == s.wanted {
			s.passed = append(s.passed, candidates[i:]...)
			return
		}
		if s.plan.Scaling && s.begun > 0 { // it could go on, which is all that tryUpdate asks
			return
		}
		if s.spent && s.outOfTurn != nil && !s.outOfTurn(r) {
			continue
		}
		if !s.takeOne(r) {
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

// takeOne takes the next step of one pod and says whether to go on with the next: first its claims, then the pod itself.
func (s *spender) takeOne(r *replica.Replica) bool {
	if s.claims != nil {
		if state := s.claims(r); state.Stage >= storage.Growing {
			return s.grow(r, state)
		}
	}
	return s.updateOne(r)
}

// grow lets the claims of a pod grow. That takes no pod out of service, but may come to nothing, so that only as many grow
// at a time as pods may be broken.
func (s *spender) grow(r *replica.Replica, state storage.State) bool {
	switch {
	case state.Stage == storage.Growing: // it is among the broken ones
		s.growing = append(s.growing, r)
		return true
	case s.full(r):
		s.spent = true
		return s.hopeless > 0
	}
	s.grown++
	s.begun++
	s.step(Step{Do: Expand, Pod: r, Why: "its claim " + state.Why})
	return true
}

// full says whether as many pods of the wanted revision are broken, or about to be, as may be when this one is to follow.
func (s *spender) full(r *replica.Replica) bool {
	if s.repairsFreely { // what is broken is in left
		return false
	}
	broken := s.broken
	if !r.Available {
		broken -= s.hopeless
	}
	return broken+len(s.taken)+s.resized+s.grown >= s.limit
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
	if s.full(r) && (!stays || m.change.Resizes()) {
		s.spent = true
		return s.hopeless > 0
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
	next := s.decided(lifecycle.Update, r)
	if m.inPlace && next == lifecycle.PreparingUpdate && next == r.State {
		s.held = append(s.held, r)
		return true
	}
	s.begun++
	switch {
	case !m.inPlace:
		s.recreate(r, m.why, s.keepsClaims != nil && s.keepsClaims(r, s.to))
	case next == lifecycle.PreparingUpdate:
		s.step(Step{Do: Move, Pod: r, State: next, NotReady: s.rules.NotReadyForUpdate, Why: "its inPlaceUpdate hook goes first"})
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
	case len(s.growing) > 0:
		return "waiting for the claims of " + names(s.growing) + " to grow", cause{}
	case s.deferred:
		return others, cause{}
	case s.spent && s.grown > 0:
		return fmt.Sprintf("maxUnavailable is %d, and no more claims grow at a time", s.rules.MaxUnavailable), cause{}
	case s.spent && len(s.resizing)+s.resized > 0:
		return fmt.Sprintf("maxUnavailable is %d, and no more pods are resized at a time", s.rules.MaxUnavailable), causeOf(CauseResize, s.resizing)
	case s.spent:
		return s.budgetSpent(s.taken), s.waitsFor(s.taken, s.rules.Replicas-s.active)
	default:
		return "the other old pods are coming into service", cause{}
	}
}
