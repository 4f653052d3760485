package daemonset

import (
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	if w.view == nil || len(w.view.OrphanPods) > 0 { // what to do with pods that are taken over is decided once they are
		return nil
	}
	want, err := w.view.PerNode(func(node string) time.Time { return w.pauses.Until(w.pauseOf(node)) })
	if err != nil {
		return err
	}
	pods := w.view.Replicas(now)
	w.plan, w.decided = want.Plan(now, pods), true
	for i := range pods {
		if r := &pods[i]; r.Active() && !r.Scheduled && r.Trouble == corev1.PodReasonUnschedulable {
			w.stuck = append(w.stuck, fmt.Sprintf("%s on node %s", r.Name, r.Node))
		}
	}
	return nil
}

// pauseOf names the pause of a node for this set.
func (w *work) pauseOf(node string) string { return string(w.set.UID) + "/" + node }
