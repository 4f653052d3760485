package world

import (
	corev1 "k8s.io/api/core/v1"
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
	return plan, w.Act(set, plan, Tidy{Strays: set.Strays, Claims: set.ExpiredClaims(set.Current)}, nil)
}

// Tidy is what the controller of a workload tidies up beside its plan.
type Tidy struct {
	// Strays are pods that it lets go, since it does not select them any more.
	Strays []*corev1.Pod
	// Orphans are pods that nobody owns and it adopts, with Owner.
	Orphans []*corev1.Pod
	Owner   metav1.OwnerReference
	// Owners are the patches by which claims get the owners with which they go.
	Owners []podset.ClaimPatch
	// Claims are claims that nobody may use again, and are deleted.
	Claims []*corev1.PersistentVolumeClaim
}

// Act carries out the plan of a workload and tidies up. Before each write it calls before, if that is set, and goes no further
// when that fails.
func (w *World) Act(of podset.Workload, plan podset.Plan, tidy Tidy, before func() error) error {
	for _, write := range w.first(tidy) {
		if err := inTurn([]Write{write}, before); err != nil {
			return err
		}
	}
	for _, step := range plan.Steps {
		writes, err := w.Writes(of, step)
		if err != nil {
			return err
		}
		if err := inTurn(writes, before); err != nil {
			return err
		}
	}
	for _, claim := range tidy.Claims {
		remove := func() error { return w.DeleteClaim(claim.Name, claim.UID) }
		if err := inTurn([]Write{remove}, before); err != nil {
			return err
		}
	}
	return nil
}

// first are the writes that tidy up before a plan is carried out.
func (w *World) first(tidy Tidy) (writes []Write) {
	for _, pod := range tidy.Strays {
		writes = append(writes, func() error { return w.Edit(pod.Name, func(m *metav1.ObjectMeta) { m.OwnerReferences = nil }) })
	}
	for _, pod := range tidy.Orphans {
		adopt := func(m *metav1.ObjectMeta) { m.OwnerReferences = append(m.OwnerReferences, tidy.Owner) }
		writes = append(writes, func() error { return w.Edit(pod.Name, adopt) })
	}
	for _, patch := range tidy.Owners {
		writes = append(writes, func() error { return w.PatchClaim(patch) })
	}
	return writes
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
