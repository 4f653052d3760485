package podset

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// Outage is a step that takes a pod out of service, which a budget of the pod may forbid.
type Outage struct {
	// Step is the place of the step among those that were looked at.
	Step int
	disruption.Request
}

// Outages are those among steps, in their order. asks says whether anybody is to be asked about an operation.
func Outages(steps []Step, w Workload, pods map[types.UID]*corev1.Pod, asks func(policyv1beta1.PubOperation) bool, now time.Time) ([]Outage, error) {
	var out []Outage
	changes := asks(policyv1beta1.PubUpdateOperation) || asks(policyv1beta1.PubResizeOperation)
	for i, s := range steps {
		if s.Pod == nil || pods[s.Pod.UID] == nil || s.Do == Update && !changes {
			continue
		}
		operation, err := s.takesOut(w, pods[s.Pod.UID], now)
		if err != nil {
			return nil, err
		}
		if operation != "" && asks(operation) {
			out = append(out, Outage{Step: i, Request: disruption.Request{Operation: operation, Pod: pods[s.Pod.UID]}})
		}
	}
	return out, nil
}

// takesOut is the operation by which a step takes a pod out of service; empty where it does not.
func (s Step) takesOut(w Workload, pod *corev1.Pod, now time.Time) (policyv1beta1.PubOperation, error) {
	holds := s.Do == Move && s.NotReady && inplace.CanHold(pod) // otherwise the pod serves on until its hook lets go
	switch {
	case s.Do == Delete || holds && s.State == lifecycle.PreparingDelete:
		return policyv1beta1.PubDeleteOperation, nil
	case holds:
		return policyv1beta1.PubUpdateOperation, nil
	case s.Do != Update: // what goes on in a pod goes on out of service
		return "", nil
	}
	patches, err := s.Patches(w, pod, now)
	switch {
	case err != nil:
		return "", err
	case patches.Restarts:
		return policyv1beta1.PubUpdateOperation, nil
	case len(patches.Resize) > 0:
		return policyv1beta1.PubResizeOperation, nil
	default:
		return "", nil
	}
}

// Refuse leaves out of steps those whose outages were refused, and notes why they wait and that it is worth trying again at a time.
func (p *Plan) Refuse(steps []Step, outages []Outage, answers []disruption.Answer, again time.Time) []Step {
	refused := map[int]bool{}
	held := map[string][]Step{}
	var reasons []string
	for i, answer := range answers {
		if answer.Permitted {
			continue
		}
		at := outages[i].Step
		refused[at] = true
		if held[answer.Brief] == nil {
			reasons = append(reasons, answer.Brief)
		}
		held[answer.Brief] = append(held[answer.Brief], steps[at])
	}
	if len(refused) == 0 {
		return steps
	}
	for _, why := range reasons {
		p.Hold(held[why], why, again)
	}
	p.follow()
	var out []Step
	for i, s := range steps {
		if !refused[i] {
			out = append(out, s)
		}
	}
	return out
}

// follow has pods that wait for nothing but steps of the plan wait for what holds those up, once all of them are held.
func (p *Plan) follow() {
	held := map[Wish]int{}
	for _, n := range p.Notes {
		if n.Cause == CauseBudget {
			held[n.Wish] += n.Pods
		}
	}
	following := map[Wish]int{}
	var notes []Note
	for _, n := range p.Notes {
		if n.Behind > 0 && n.Behind <= held[n.Wish] {
			following[n.Wish] += n.Pods
		} else {
			notes = append(notes, n)
		}
	}
	for i := range notes {
		if n := &notes[i]; n.Cause == CauseBudget {
			n.Pods += following[n.Wish]
			delete(following, n.Wish)
		}
	}
	p.Notes = notes
}
