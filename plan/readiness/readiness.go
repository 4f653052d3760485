// Package readiness decides over the readiness gate KruisePodReady, by which several parties keep a pod out of service
// side by side: each adds its hold and takes only its own away, and the pod is ready for traffic once no hold is left.
//
// The holds stand in the message of the pod's condition, as a JSON list of user agents and keys; the form is part of the
// wire contract. A message that is no such list belongs to somebody else and is left alone.
package readiness

import (
	"encoding/json"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Hold is one reason to keep a pod out of service.
type Hold struct {
	// UserAgent is who holds it.
	UserAgent string `json:"userAgent"`
	// Key tells the holds of one user agent apart.
	Key string `json:"key"`
}

// The holds of life-cycle hooks with markPodNotReady.
const (
	LifecycleAgent = "Lifecycle"
	PreDeleteKey   = "preDeleteHook"
	PreUpdateKey   = "preUpdateHook"
)

// ByLifecycle says whether a hold is one of a life-cycle hook.
func ByLifecycle(h Hold) bool { return h.UserAgent == LifecycleAgent }

// Of lists the holds on a pod. ok is false when the condition's message is not a list of holds: then nobody but its
// author may change the condition.
func Of(pod *corev1.Pod) (holds []Hold, ok bool) {
	c := condition(pod)
	switch {
	case c == nil || c.Status != corev1.ConditionFalse:
		return nil, true
	case c.Message == "":
		return nil, false
	}
	if err := json.Unmarshal([]byte(c.Message), &holds); err != nil {
		return nil, false
	}
	return holds, true
}

// Held says whether a pod is kept out of service.
func Held(pod *corev1.Pod) bool {
	c := condition(pod)
	return c != nil && c.Status == corev1.ConditionFalse
}

// HeldBy says whether a hold that matches is on the pod.
func HeldBy(pod *corev1.Pod, match func(Hold) bool) bool {
	if !Held(pod) { // nearly always
		return false
	}
	holds, _ := Of(pod)
	return slices.ContainsFunc(holds, match)
}

// Condition makes the condition for some holds: True for none.
func Condition(holds []Hold, now time.Time) corev1.PodCondition {
	c := corev1.PodCondition{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(now)}
	if len(holds) > 0 {
		c.Status = corev1.ConditionFalse
		text, err := json.Marshal(holds)
		if err == nil { // a list of strings always has a JSON form
			c.Message = string(text)
		}
	}
	return c
}

func condition(pod *corev1.Pod) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == v1beta1.KruisePodReadyConditionType {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}
