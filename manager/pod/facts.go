package pod

import (
	"cmp"
	"context"

	corev1 "k8s.io/api/core/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/disruption"
)

// world is what the lines of the chain know of the cluster, from caches.
type world struct {
	// gateForAll: every pod gets the readiness gate KruisePodReady.
	gateForAll bool
	// markers are the PodProbeMarkers that virtual kubelets are asked for; nil where they are not.
	markers *index.Store[*v1alpha1.PodProbeMarker]
	// permits knows the budgets of pods. Where it is open, pods are those that exist.
	permits *permits.Desk
	pods    *index.Store[*corev1.Pod]
	// sets are the SidecarSets; nil where there can be none.
	sets *index.Store[*v1beta1.SidecarSet]
	// sidecars finds those of a pod; nil where no pod is admitted.
	sidecars *setStore
	// memory is where pods are to be sent back to.
	memory *memory
}

// facts are what the lines of the chain know about one pod, gathered once.
type facts struct {
	gateForAll bool
	// markers are the PodProbeMarkers of the pod's namespace.
	markers []*v1alpha1.PodProbeMarker
	// budget is the budget of the pod; nil if it has none.
	budget *policyv1beta1.PodUnavailableBudget
	// state is the object by which the pod is remembered, if there is one.
	state *v1beta1.PersistentPodState
	// name is the name that the pod gets if a line needs to know one and it has none.
	name string
	// sidecars are what is injected; nil is nothing.
	sidecars *sidecars
	// warnings are what the lines tell whoever creates the pod.
	warnings []string
}

func (w *world) factsOf(ctx context.Context, pod *corev1.Pod) (*facts, error) {
	f := &facts{gateForAll: w.gateForAll, name: generated(pod.GenerateName)}
	var err error
	if f.state, err = w.memory.of(pod); err != nil {
		return nil, err
	}
	if w.markers != nil {
		if f.markers, err = w.markers.InNamespace(pod.Namespace); err != nil {
			return nil, err
		}
	}
	if budgets := w.permits.Budgets(); budgets != nil {
		all, err := budgets.InNamespace(pod.Namespace)
		if err != nil {
			return nil, err
		}
		f.budget = disruption.Of(pod, all)
	}
	if w.sidecars != nil {
		if f.sidecars, err = w.sidecars.of(ctx, pod, cmp.Or(pod.Name, f.name)); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// As the API server makes names: a random suffix, after as much of the beginning as leaves room for it in a label.
const (
	suffixLength     = 5
	longestBeginning = 63 - suffixLength
)

func generated(beginning string) string {
	return beginning[:min(len(beginning), longestBeginning)] + utilrand.String(suffixLength)
}
