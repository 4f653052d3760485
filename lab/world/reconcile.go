package world

import (
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// Turn is all that a controller does for a workload at one time, in this order.
type Turn struct {
	// Workload knows how its pods look.
	Workload podset.Workload
	// Strays are pods that it lets go.
	Strays []*corev1.Pod
	// Orphans are pods that it makes its own, with Owner.
	Orphans []*corev1.Pod
	Owner   metav1.OwnerReference
	// Retention are the patches by which claims get the owners with which they go.
	Retention []podset.ClaimPatch
	// Plan is what it decided.
	Plan podset.Plan
	// Expired are claims that nobody may use again.
	Expired []*corev1.PersistentVolumeClaim
}

// CloneSet is a turn of a CloneSet's controller.
func CloneSet(set *workload.CloneSet, plan podset.Plan) Turn {
	return Turn{Workload: set, Strays: set.Strays, Plan: plan, Expired: set.ExpiredClaims()}
}

// Reconcile lets the controller of a CloneSet act once: it decides, and carries the plan out. newID makes up an instance id.
func (w *World) Reconcile(set *workload.CloneSet, newID func() string) (podset.Plan, error) {
	plan, err := set.Plan(w.Now, newID)
	if err != nil {
		return plan, err
	}
	return plan, w.Act(CloneSet(set, plan), nil)
}

// Act carries out a turn. Before each write it calls before, if that is set, and goes no further when that fails.
func (w *World) Act(turn Turn, before func() error) error {
	one := func(write Write) error { return inTurn([]Write{write}, before) }
	for _, pod := range turn.Strays {
		if err := one(func() error { return w.Edit(pod.Name, func(m *metav1.ObjectMeta) { m.OwnerReferences = nil }) }); err != nil {
			return err
		}
	}
	for _, pod := range turn.Orphans {
		adopt := func(m *metav1.ObjectMeta) { m.OwnerReferences = append(m.OwnerReferences, turn.Owner) }
		if err := one(func() error { return w.Edit(pod.Name, adopt) }); err != nil {
			return err
		}
	}
	for _, patch := range turn.Retention {
		if err := one(func() error { return w.PatchClaim(patch) }); err != nil {
			return err
		}
	}
	for _, step := range turn.Plan.Steps {
		writes, err := w.Writes(turn.Workload, step)
		if err != nil {
			return err
		}
		if err := inTurn(writes, before); err != nil {
			return err
		}
	}
	for _, claim := range turn.Expired {
		if err := one(func() error { return w.DeleteClaim(claim.Name, claim.UID) }); err != nil {
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
