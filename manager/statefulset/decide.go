package statefulset

import "time"

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	sequence, err := w.view.Sequence()
	if err != nil {
		return err
	}
	w.sequence, w.plan = sequence, sequence.Plan(now, w.view.Replicas(now))
	return nil
}
