package sidecar

import (
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// Tell makes the patch of the pod's status that says in the condition SidecarSetUpgradable whether the sidecars can be
// upgraded in place to what the set says. Nil where the condition says so already, and where it is not there and nothing is
// in the way: few pods ever need it.
func (g *Guest) Tell(upgradable bool, now time.Time) ([]byte, error) {
	var is *corev1.PodCondition
	for i := range g.pod.Status.Conditions {
		if c := &g.pod.Status.Conditions[i]; c.Type == v1beta1.SidecarSetUpgradable {
			is = c
		}
	}
	if is == nil && upgradable {
		return nil, nil
	}
	sets := map[string]bool{}
	if is != nil { // what cannot be read is written anew
		_ = json.Unmarshal([]byte(is.Message), &sets)
	}
	for name := range sets {
		if _, injected := g.record.Hash[name]; !injected {
			delete(sets, name)
		}
	}
	sets[g.set.Name] = upgradable
	want := corev1.PodCondition{
		Type: v1beta1.SidecarSetUpgradable, Status: corev1.ConditionTrue, Reason: v1beta1.AllSidecarsetUpgradableReason,
		LastTransitionTime: metav1.NewTime(now),
	}
	for _, upgradable := range sets {
		if !upgradable {
			want.Status, want.Reason = corev1.ConditionFalse, v1beta1.UpdateImmutableFieldReason
		}
	}
	message, err := json.Marshal(sets)
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: condition %s: %w", g.pod.Namespace, g.pod.Name, v1beta1.SidecarSetUpgradable, err)
	}
	want.Message = string(message)
	if is != nil {
		if is.Status == want.Status {
			want.LastTransitionTime = is.LastTransitionTime
		}
		if is.Status == want.Status && is.Reason == want.Reason && is.Message == want.Message {
			return nil, nil
		}
	}
	return inplace.SetCondition(g.pod, want), nil
}
