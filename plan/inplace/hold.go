package inplace

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/readiness"
)

// holdFor is the hold of the hook that a state waits for.
func holdFor(state lifecycle.State) readiness.Hold {
	if state == lifecycle.PreparingDelete {
		return readiness.Hold{UserAgent: readiness.LifecycleAgent, Key: readiness.PreDeleteKey}
	}
	return readiness.Hold{UserAgent: readiness.LifecycleAgent, Key: readiness.PreUpdateKey}
}

// hold adds a hold to those that keep the pod out of service, and turns Ready with it, so that endpoints drop the pod
// before kubelet looks. Others may write the same list, so the patch holds only for the pod as it was read.
func (p *podPatch) hold(h readiness.Hold, now time.Time) {
	holds, ok := readiness.Of(p.pod)
	if !ok || slices.Contains(holds, h) { // somebody keeps it out of service already
		return
	}
	p.exact = true
	p.condition(readiness.Condition(append(holds, h), now))
	p.notReady(string(v1beta1.KruisePodReadyConditionType), now)
}

// release takes the holds of hooks away, and opens the gate where nobody else holds it.
func (p *podPatch) release(now time.Time) {
	if !CanHold(p.pod) {
		return
	}
	gate := v1beta1.KruisePodReadyConditionType
	if !readiness.Held(p.pod) {
		if !gateStands(p.pod, gate) { // the condition is not there yet, and somebody else may be first
			p.exact = true
			p.condition(readiness.Condition(nil, now))
		}
		return
	}
	p.unhold(readiness.ByLifecycle, now)
}

// unhold takes the holds that match away, and opens the gate where nobody else holds it.
func (p *podPatch) unhold(match func(readiness.Hold) bool, now time.Time) {
	if readiness.HeldBy(p.pod, match) {
		holds, _ := readiness.Of(p.pod)
		p.exact = true
		p.condition(readiness.Condition(slices.DeleteFunc(holds, match), now))
	}
}

// CanHold says whether a pod can be kept out of service: it has the gate KruisePodReady.
func CanHold(pod *corev1.Pod) bool { return HasGate(pod, v1beta1.KruisePodReadyConditionType) }

// Hold is the patch of a pod's status that takes the pod out of service by its gate KruisePodReady, until Release; nil for
// a pod without the gate, and where nothing is left to do.
func Hold(pod *corev1.Pod, h readiness.Hold, now time.Time) []byte {
	p := patchOf(pod)
	if CanHold(pod) {
		p.hold(h, now)
	}
	return p.unlessEmpty()
}

// Release is the patch of a pod's status that ends a Hold; nil where there is none.
func Release(pod *corev1.Pod, h readiness.Hold, now time.Time) []byte {
	p := patchOf(pod)
	p.unhold(func(other readiness.Hold) bool { return other == h }, now)
	return p.unlessEmpty()
}

// notReady turns the condition Ready False.
func (p *podPatch) notReady(reason string, now time.Time) {
	for i := range p.pod.Status.Conditions {
		if c := p.pod.Status.Conditions[i]; c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue {
			c.Status, c.Reason, c.LastTransitionTime = corev1.ConditionFalse, reason, metav1.NewTime(now)
			p.condition(c)
		}
	}
}
