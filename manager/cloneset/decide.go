package cloneset

import (
	"time"

	"k8s.io/apimachinery/pkg/util/rand"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
)

// slotLength is the length of an instance id, which ends the name of a pod.
const slotLength = 5

// Decide asks plan/podset what to do.
func (w *work) Decide(now time.Time) error {
	pool, err := podset.PoolOf(w.set)
	if err != nil {
		return err
	}
	pool.UpdateRevision, pool.CurrentRevision = w.updateRevision, w.currentRevision
	pool.Change = w.change
	pool.FreshSlots = w.freshSlots
	w.plan, w.decided = pool.Plan(now, w.replicas(now)), true
	return nil
}

// replicas reads the facts about the pods.
func (w *work) replicas(now time.Time) []replica.Replica {
	options := replica.Options{
		Now: now, MinReadySeconds: w.set.Spec.MinReadySeconds, Hooks: w.set.Spec.Lifecycle, SlotLabel: v1beta1.CloneSetInstanceID,
	}
	out := make([]replica.Replica, len(w.pods))
	for i, pod := range w.pods {
		out[i] = replica.Of(pod, options)
	}
	return out
}

// change tells how to get in place from a revision to the newest one.
func (w *work) change(from string) inplace.Change {
	w.mu.Lock()
	defer w.mu.Unlock()
	change, known := w.changes[from]
	if !known {
		change = w.compare(from)
		w.changes[from] = change
	}
	return change
}

func (w *work) compare(from string) inplace.Change {
	old, err := w.readTemplate(from)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	change, err := inplace.Compare(old, &w.set.Spec.Template)
	if err != nil {
		return inplace.Change{Blocked: err.Error()}
	}
	return change
}

// freshSlots makes up instance ids that are not in use. Where the set lets claims be used again, ids of claims that no
// pod has go first.
func (w *work) freshSlots(n int) []string {
	var out []string
	if w.set.Spec.ScaleStrategy.EnablePVCReuse {
		for _, id := range w.idleClaims() {
			if len(out) < n && !terminating(w.claimsOf[id]) {
				out = append(out, id)
			}
		}
	}
	for len(out) < n {
		id := rand.String(slotLength)
		if !w.slots[id] && w.claimsOf[id] == nil {
			w.slots[id] = true
			out = append(out, id)
		}
	}
	return out
}
