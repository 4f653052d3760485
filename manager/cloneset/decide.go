package cloneset

import (
	"time"

	"k8s.io/apimachinery/pkg/util/rand"
)

// idLength is the length of an instance id, which ends the name of a pod.
const idLength = 5

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	var err error
	w.plan, err = w.view.Plan(now, func() string { return rand.String(idLength) })
	w.decided = err == nil
	return err
}
