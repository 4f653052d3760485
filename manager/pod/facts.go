package pod

import (
	corev1 "k8s.io/api/core/v1"
	utilrand "k8s.io/apimachinery/pkg/util/rand"
)

// world is what the lines of the chain know of the cluster, from caches.
type world struct {
	// gateForAll: every pod gets the readiness gate KruisePodReady.
	gateForAll bool
}

// facts are what the lines of the chain know about one pod, gathered once.
type facts struct {
	gateForAll bool
	// name is the name that the pod gets if a line needs to know one and it has none.
	name string
}

func (w *world) factsOf(pod *corev1.Pod) (*facts, error) {
	return &facts{gateForAll: w.gateForAll, name: generated(pod.GenerateName)}, nil
}

// As the API server makes names: a random suffix, after as much of the beginning as leaves room for it in a label.
const (
	suffixLength     = 5
	longestBeginning = 63 - suffixLength
)

func generated(beginning string) string {
	return beginning[:min(len(beginning), longestBeginning)] + utilrand.String(suffixLength)
}
