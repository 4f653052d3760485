package world

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// Reconcile lets the controller of a CloneSet act once: it decides, carries the plan out, lets go of the pods that are not
// selected any more and deletes the claims that nobody may use again. newID makes up an instance id.
func (w *World) Reconcile(set *workload.CloneSet, newID func() string) (podset.Plan, error) {
	plan, err := set.Plan(w.Now, newID)
	if err != nil {
		return plan, err
	}
	for _, pod := range set.Strays {
		if err := w.Edit(pod.Name, func(m *metav1.ObjectMeta) { m.OwnerReferences = nil }); err != nil {
			return plan, err
		}
	}
	for _, step := range plan.Steps {
		if err := w.Do(set, step); err != nil {
			return plan, err
		}
	}
	for _, claim := range set.ExpiredClaims() {
		if err := w.DeleteClaim(claim.Name, claim.UID); err != nil {
			return plan, err
		}
	}
	return plan, nil
}
