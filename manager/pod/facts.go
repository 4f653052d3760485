package pod

import (
	corev1 "k8s.io/api/core/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
)

// world is what the lines of the chain know of the cluster, from caches.
type world struct {
	// gateForAll: every pod gets the readiness gate KruisePodReady.
	gateForAll bool
	// markers are the PodProbeMarkers that virtual kubelets are asked for; nil where they are not.
	markers *index.Store[*v1alpha1.PodProbeMarker]
	// memory is where pods are to be sent back to.
	memory *memory
}

// facts are what the lines of the chain know about one pod, gathered once.
type facts struct {
	gateForAll bool
	// markers are the PodProbeMarkers of the pod's namespace.
	markers []*v1alpha1.PodProbeMarker
	// state is the object by which the pod is remembered, if there is one.
	state *v1beta1.PersistentPodState
	// name is the name that the pod gets if a line needs to know one and it has none.
	name string
}

func (w *world) factsOf(pod *corev1.Pod) (*facts, error) {
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
