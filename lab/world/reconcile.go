package world

import (
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// Reconcile lets the controller of a CloneSet act once: it decides, and carries the plan out. newID makes up an instance id.
func (w *World) Reconcile(set *workload.CloneSet, newID func() string) (podset.Plan, error) {
	plan, err := set.Plan(w.Now, newID)
	if err != nil {
		return plan, err
	}
	return plan, w.Act(set, plan, nil)
}

// Act carries out a plan, lets go of the pods that are not selected any more and deletes the claims that nobody may use
// again. Before each write it calls before, if that is set, and goes no further when that fails.
func (w *World) Act(set *workload.CloneSet, plan podset.Plan, before func() error) error {
	for _, pod := range set.Strays {
		release := func() error { return w.Edit(pod.Name, func(m *metav1.ObjectMeta) { m.OwnerReferences = nil }) }
		if err := inTurn([]Write{release}, before); err != nil {
			return err
		}
	}
	for _, step := range plan.Steps {
		writes, err := w.Writes(set, step)
		if err != nil {
			return err
		}
		if err := inTurn(writes, before); err != nil {
			return err
		}
	}
	for _, claim := range set.ExpiredClaims() {
		remove := func() error { return w.DeleteClaim(claim.Name, claim.UID) }
		if err := inTurn([]Write{remove}, before); err != nil {
			return err
		}
	}
	return nil
}

// inTurn makes writes that belong together. That what they are about is gone by now ends them and is no error: the next
// decision sees it.
func inTurn(writes []Write, before func() error) error {
	for _, write := range writes {
		if before != nil {
			if err := before(); err != nil {
				return err
			}
		}
		if err := write(); apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}
