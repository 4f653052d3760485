package podset

import (
	"fmt"
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
	wanted := d.updatable()
	candidates := d.updateCandidates()
	switch {
	case wanted == 0:
	case d.Paused:
		d.note(WishUpdate, wanted, "the update is paused")
	case d.OnDelete:
		d.note(WishUpdate, wanted, "updateStrategy.type is OnDelete: pods get the new revision when they are deleted")
	default:
		s := spender{
			decision: d, wanted: wanted, changes: map[string]inplace.Change{},
			left: d.available - (d.Replicas - d.MaxUnavailable),
			// With maxUnavailable 0 a broken pod may still be repaired: that takes nobody out of service.
			limit: max(d.MaxUnavailable+max(len(d.pods)-d.Replicas, 0), 1),
		}
		s.spend(candidates)
		if missing := wanted - s.begun; missing > 0 {
			d.note(WishUpdate, missing, s.reason(candidates))
		}
		candidates = s.passed
	}
	for _, r := range candidates {
		if r.State == lifecycle.PreparingUpdate {
			back := d.machine.Next(lifecycle.Updating, d.facts(r))
			d.step(Step{Do: Settle, Pod: r, State: back, Why: "its update is not wanted any more"})
		}
	}
	for _, r := range order.Sorted(d.overdue) {
		if !d.moving[r] {
			d.apply(r)
		}
	}
}

// updateCandidates are the old pods in the order of their update: those already prepared for it, then those that serve
// the least.
func (d *decision) updateCandidates() []*replica.Replica {
	var out []*replica.Replica
	for _, r := range d.pods {
		if !d.IsNew(r.Revision) && r.State != lifecycle.PreparingDelete && !d.isDoomed(r) && !d.moving[r] {
			out = append(out, r)
		}
	}
	return order.Sorted(out, append([]order.By{prepared}, order.LeastLoss()...)...)
}

func prepared(a, b *replica.Replica) int {
	return one(b.State == lifecycle.PreparingUpdate) - one(a.State == lifecycle.PreparingUpdate)
}

// spender spends the budget of an update pod by pod.
type spender struct {
	*decision
	wanted  int // pods to be updated
	left    int // available pods that may be taken away
	limit   int // pods of the newest revision that may be away, with those begun now
	begun   int // pods that got a step
	costly  int // pods that got a step or wait for their hook, and are out of service for it
	changes map[string]inplace.Change
	held    []*replica.Replica // waiting for their hook
	passed  []*replica.Replica // not to be updated at all
	blocked string
	spent   bool
}

// spend goes through the candidates until as many as wanted are under way, or the budget is spent.
func (s *spender) spend(candidates []*replica.Replica) {
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

func (s *spender) change(from string) inplace.Change {
	change, ok := s.changes[from]
	if !ok {
		change = s.Change(from)
		s.changes[from] = change
	}
	return change
}

// updateOne updates one pod and says whether to go on with the next.
func (s *spender) updateOne(r *replica.Replica) bool {
	inPlace, change := s.Policy != v1beta1.RecreatePodUpdatePolicyType, inplace.Change{}
	if inPlace {
		change = s.change(r.Revision)
	}
	if inPlace && !change.Possible() {
		if s.Policy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
			s.blocked = change.Blocked
			s.passed = append(s.passed, r)
			return true // pods of other revisions may be possible
		}
		inPlace = false
	}
	// A change that restarts nothing takes no pod out of service, unless a hook is to be waited for.
	hooked := r.Holds.Update || !r.Holds.UpdateComplete || r.State == lifecycle.PreparingUpdate
	if free := inPlace && !change.Restarts() && !hooked; !free && !s.afford(r) {
		s.spent = true
		return false
	}
	if inPlace && r.Holds.Update && r.State == lifecycle.PreparingUpdate {
		s.held = append(s.held, r)
		return true
	}
	s.begun++
	switch {
	case !inPlace:
		s.remove(r, s.why(r, change), true)
	case r.Holds.Update:
		s.step(Step{Do: Move, Pod: r, State: lifecycle.PreparingUpdate, Why: "its inPlaceUpdate hook goes first"})
	default:
		s.step(Step{Do: Update, Pod: r, To: s.UpdateRevision, Why: s.why(r, change)})
	}
	return true
}

// afford takes what the update of one pod costs from the budget. No more pods of the newest revision than maxUnavailable
// are ever away at a time, so that a bad revision stops by itself; a pod that serves is taken only while others may.
func (s *spender) afford(r *replica.Replica) bool {
	if s.brokenNew+s.costly >= s.limit {
		return false
	}
	if r.Available {
		if s.left <= 0 {
			return false
		}
		s.left--
	}
	s.costly++
	return true
}

func (s *spender) why(r *replica.Replica, change inplace.Change) string {
	why := fmt.Sprintf("it has revision %s", r.Revision)
	if change.Blocked != "" {
		why += fmt.Sprintf("; cannot be changed in place: %s", change.Blocked)
	}
	return why
}

// reason says why not every old pod is being updated.
func (s *spender) reason(candidates []*replica.Replica) string {
	switch {
	case len(s.held) > 0:
		return "waiting for the inPlaceUpdate hook of " + names(s.held)
	case s.blocked != "":
		return fmt.Sprintf("podUpdatePolicy is InPlaceOnly, and this cannot be changed in place: %s", s.blocked)
	case s.spent:
		return s.budgetSpent()
	case len(candidates) == 0:
		return "the old pods are on their way out or coming into service"
	default:
		return "waiting for pods that are coming into service"
	}
}

// budgetSpent names the budget and who uses it.
func (d *decision) budgetSpent() string {
	return fmt.Sprintf("maxUnavailable is %d and %s", d.MaxUnavailable, d.whoIsAway())
}

// whoIsAway lists the pods that are not available, with what kubelet says of them, and those that this very plan takes.
func (d *decision) whoIsAway() string {
	var away []*replica.Replica
	for _, r := range d.pods {
		if !r.Available && !d.isDoomed(r) || r.State == lifecycle.PreparingDelete || d.moving[r] {
			away = append(away, r)
		}
	}
	missing := d.Replicas - len(d.pods)
	switch {
	case len(away) == 0 && missing <= 0:
		return "no pod may go"
	case len(away) == 0:
		return fmt.Sprintf("%d pods are being replaced", missing)
	case len(away) == 1:
		return "1 pod is away: " + names(away)
	default:
		return fmt.Sprintf("%d pods are away: %s", len(away), names(away))
	}
}

// noteUnavailable notes pods that should serve and do not.
func (d *decision) noteUnavailable() {
	var away []*replica.Replica
	for _, r := range d.pods {
		if !r.Available && !d.isDoomed(r) && r.State != lifecycle.PreparingDelete {
			away = append(away, r)
		}
	}
	if len(away) > 0 {
		d.note(WishAvailable, len(away), "waiting for "+names(away))
	}
}

// names lists at most three pods by name, with their trouble, and counts the rest. It is stable while the pods are.
func names(pods []*replica.Replica) string {
	const most = 3
	sorted := slices.Clone(pods)
	slices.SortFunc(sorted, func(a, b *replica.Replica) int {
		// Pods with a known trouble tell more than those that are merely starting.
		if c := one(b.Trouble != "") - one(a.Trouble != ""); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
	var words []string
	for _, r := range sorted[:min(most, len(sorted))] {
		word := r.Name
		if r.Trouble != "" {
			word += " (" + r.Trouble + ")"
		}
		words = append(words, word)
	}
	text := strings.Join(words, ", ")
	if more := len(sorted) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
