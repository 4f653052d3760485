package probe

import "kruise.io/kruise/api/apps/v1alpha1"

// Outcome is what one attempt of a probe came to.
type Outcome int

// The outcomes.
const (
	// Success says that the container answered as it should.
	Success Outcome = iota
	// Failure says that it did not.
	Failure
	// Trouble says that the attempt could not be made: the container does not run, or its runtime does not answer.
	Trouble
)

// Tally is what is known of a probe from its attempts so far. The zero value knows nothing.
type Tally struct {
	// State is what the probe found. It is empty while nothing was found yet.
	State v1alpha1.ProbeState

	last Outcome
	row  int32
}

// After is the tally after one more attempt. A state is found by as many attempts in a row as the probe's threshold says, at
// least 1: successThreshold for Succeeded, failureThreshold for Failed and for Unknown.
func (t Tally) After(o Outcome, spec *v1alpha1.ContainerProbeSpec) Tally {
	if t.row == 0 || t.last != o {
		t.last, t.row = o, 0
	}
	t.row++
	state, threshold := v1alpha1.ProbeSucceeded, spec.SuccessThreshold
	switch o {
	case Failure:
		state, threshold = v1alpha1.ProbeFailed, spec.FailureThreshold
	case Trouble:
		state, threshold = v1alpha1.ProbeUnknown, spec.FailureThreshold
	}
	if t.row >= max(threshold, 1) {
		t.State, t.row = state, max(threshold, 1)
	}
	return t
}

// Anew is the tally for a container that takes the place of another: what was found stands until something else is.
func (t Tally) Anew() Tally { return Tally{State: t.State} }
