package story

import (
	"fmt"
	"slices"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// Moves are the lines of the table of package lifecycle by which a plan moves its pods, in the order of its steps. An error
// names a pod that moves by none. isNew says whether a revision is the newest one.
func Moves(plan podset.Plan, isNew func(revision string) bool) ([]lifecycle.Transition, error) {
	var lines []lifecycle.Transition
	for _, s := range plan.Steps {
		to, by := leads(s)
		stays := s.Do == podset.Settle && to == s.Pod.State
		if len(by) == 0 || stays || !s.Pod.Active() { // what has ended is cleared away, whatever its state
			continue
		}
		line, err := LineTo(s.Pod, to, isNew(s.Pod.Revision), by...)
		if err != nil {
			return nil, err
		}
		lines = append(lines, line)
	}
	return lines, nil
}

// leads is the state that a step leads its pod to, and the events that may be behind it; none where the state is not touched.
func leads(s podset.Step) (lifecycle.State, []lifecycle.Event) {
	switch s.Do {
	case podset.Delete:
		return lifecycle.Absent, []lifecycle.Event{lifecycle.Remove}
	case podset.Update:
		return lifecycle.Updating, []lifecycle.Event{lifecycle.Update}
	case podset.Settle:
		return s.State, []lifecycle.Event{lifecycle.ByItself, lifecycle.PutBack}
	case podset.Move:
		return s.State, []lifecycle.Event{lifecycle.Update, lifecycle.Remove, lifecycle.TakeBack}
	default:
		return "", nil
	}
}

// LineTo is the line of the table of package lifecycle by which one of these events brings a pod to a state. An error says that
// none does.
func LineTo(r *replica.Replica, to lifecycle.State, isNew bool, by ...lifecycle.Event) (lifecycle.Transition, error) {
	facts := lifecycle.Facts{Holds: r.Holds, Scheduled: r.Scheduled, OnTarget: isNew, UpdateDone: r.Stage == inplace.Done}
	for _, event := range by {
		table := lifecycle.Transitions()
		i := slices.IndexFunc(table, func(line lifecycle.Transition) bool { return line.Applies(r.State, event, facts) })
		if i >= 0 && table[i].To == to {
			return table[i], nil
		}
	}
	return lifecycle.Transition{}, fmt.Errorf("pod %s goes from state %q to %q, and its life cycle has no such move for %+v", r.Name, r.State, to, facts)
}
