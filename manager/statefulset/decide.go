package statefulset

import "time"

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	var err error
	w.plan, err = w.view.Plan(now)
	w.decided = err == nil
	return err
}
