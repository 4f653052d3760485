package pod

import (
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/launch"
	"kruise.io/kruise/plan/podwebhook"
	"kruise.io/kruise/plan/probe"
)

// mutator is one line of the chain that a pod goes through before it is created.
type mutator struct {
	// name is what the line is called in flags and refusals.
	name string
	// policy is what becomes of the pods that ask for the line while no manager answers, unless Options say otherwise.
	policy admissionregistrationv1.FailurePolicyType
	// asks lists the pods that ask for the line.
	asks func(*world) ([]podwebhook.Demand, error)
	// change changes a pod that may ask for the line. It is pure but for the pod, it changes nothing in a pod that it has
	// changed already, and it returns what is wrong with the pod, which is then refused.
	change func(*corev1.Pod, *facts) field.ErrorList
}

// chain is THE list, in the order in which a pod goes through it.
func chain() []mutator {
	return []mutator{
		// First, so that a pod can be kept out of service whatever else becomes of it. Pods start all the same without it.
		{name: "readiness-gate", policy: admissionregistrationv1.Ignore, asks: asksForReadinessGate, change: addReadinessGate},
		sidecarLine(),
		// After all that adds containers, which take part in the order. A pod that asked for an order must not start in another.
		{name: "launch-priority", policy: admissionregistrationv1.Fail, asks: asksForOrder, change: order},
		// Anywhere: it adds annotations that no other line reads. A pod that missed it is tied to its budget by the controller.
		{name: "budget-marks", policy: admissionregistrationv1.Ignore, asks: asksForBudget, change: tie},
		// Anywhere: it adds no container. A pod that must return and started elsewhere would stay there.
		{name: "persistent-pod-state", policy: admissionregistrationv1.Fail, asks: asksForReturn, change: sendBack},
		// Last, since it speaks of containers by name, which all stand there by now. A pod runs without being probed.
		{name: "serverless-probes", policy: admissionregistrationv1.Ignore, asks: asksForProbes, change: askForProbes},
	}
}

// sidecarLine stands before all that speaks of containers, since it adds some. A pod that runs without its sidecar does so for
// as long as it lives, which nobody sees; each SidecarSet can say that it may.
func sidecarLine() mutator {
	return mutator{name: "sidecars", policy: admissionregistrationv1.Fail, asks: asksForSidecars, change: injectSidecars}
}

func asksForReadinessGate(w *world) ([]podwebhook.Demand, error) {
	if !w.gateForAll {
		return nil, nil
	}
	return []podwebhook.Demand{{}}, nil
}

func addReadinessGate(pod *corev1.Pod, f *facts) field.ErrorList {
	if gate := v1beta1.KruisePodReadyConditionType; f.gateForAll && !inplace.HasGate(pod, gate) {
		pod.Spec.ReadinessGates = append(pod.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gate})
	}
	return nil
}

func asksForOrder(*world) ([]podwebhook.Demand, error) {
	return []podwebhook.Demand{{Conditions: []admissionregistrationv1.MatchCondition{launch.Asked()}}}, nil
}

func order(pod *corev1.Pod, f *facts) field.ErrorList { return launch.Prepare(pod, f.name) }

func asksForProbes(w *world) ([]podwebhook.Demand, error) {
	if w.markers == nil {
		return nil, nil
	}
	var out []podwebhook.Demand
	for _, m := range w.markers.All() {
		if m.DeletionTimestamp == nil {
			out = append(out, podwebhook.Demand{Namespace: m.Namespace, Pods: m.Spec.Selector})
		}
	}
	return out, nil
}

func askForProbes(pod *corev1.Pod, f *facts) field.ErrorList {
	probe.Annotate(pod, probe.Matching(f.markers, pod))
	return nil
}

func asksForBudget(w *world) ([]podwebhook.Demand, error) {
	var out []podwebhook.Demand
	for _, b := range liveBudgets(w) {
		out = append(out, ofBudget(b))
	}
	return out, nil
}

func tie(pod *corev1.Pod, f *facts) field.ErrorList {
	if f.budget != nil {
		disruption.Tie(pod, f.budget)
	}
	return nil
}
