package statefulset

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/podset"
)

// settleOwners gives every claim the owner with which it is to go, and returns the steps that may be taken then: a pod whose
// claims could not be given to it is not deleted, since they would stay behind.
func (w *work) settleOwners(ctx context.Context) ([]podset.Step, error) {
	patches, err := w.view.Retention(w.sequence)
	if err != nil {
		return nil, err
	}
	var failures []error
	failed := map[string]bool{} // ordinals
	for _, p := range patches {
		if err := w.PatchClaim(ctx, w.key, p); err != nil {
			failures = append(failures, err)
			failed[p.Slot] = true
			note := fmt.Sprintf("could not change with whom claim %s goes: %v", p.Claim.Name, err)
			w.told = append(w.told, loop.Event{Warning: true, Reason: reasonFailedUpdateClaim, Action: "UpdateClaim", Note: note})
		}
	}
	steps := slices.DeleteFunc(slices.Clone(w.plan.Steps), func(s podset.Step) bool { return s.Do == podset.Delete && failed[s.Pod.Slot] })
	return steps, errors.Join(failures...)
}
