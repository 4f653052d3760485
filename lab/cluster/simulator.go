package cluster

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"

	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/parts"
	"kruise.io/kruise/lab/simulate"
)

// zones is how many zones nodes are spread over.
const zones = 3

// simulatorMachine describes the machine that plays the kubelets of simulated nodes. It is an ordinary client of the
// API server and so needs no network of its own.
func simulatorMachine(l Layout, state State) (machine.Spec, error) {
	config, err := simulate.Config()
	if err != nil {
		return machine.Spec{}, err
	}
	if err := write(l.etc("kwok.yaml"), config); err != nil {
		return machine.Spec{}, err
	}
	return machine.Spec{
		Name: simulator,
		Path: searchPath(state.Bin),
		Programs: []machine.Program{
			program(l, state.Bin, parts.Kwok, "", []machine.Condition{{URL: l.APIServer() + "/readyz"}},
				simulate.Args(l.pki("kwok.kubeconfig"), l.etc("kwok.yaml"), state.heartbeat())...),
		},
	}, nil
}

// registerSimulated makes the simulated nodes that are missing and removes those that are too many.
func registerSimulated(ctx context.Context, client kubernetes.Interface, count int) error {
	wanted, err := simulate.Nodes(count, zones)
	if err != nil {
		return err
	}
	present, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: simulate.Label + "=" + simulate.LabelValue})
	if err != nil {
		return fmt.Errorf("listing simulated nodes: %w", err)
	}
	surplus := map[string]bool{}
	for _, node := range present.Items {
		surplus[node.Name] = true
	}
	var missing []*corev1.Node
	for _, node := range wanted {
		if !surplus[node.Name] {
			missing = append(missing, node)
		}
		delete(surplus, node.Name)
	}
	for name := range surplus {
		if err := client.CoreV1().Nodes().Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing the simulated node %s: %w", name, err)
		}
	}
	errs := make([]error, len(missing))
	workqueue.ParallelizeUntil(ctx, 32, len(missing), func(i int) {
		_, err := client.CoreV1().Nodes().Create(ctx, missing[i], metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			errs[i] = fmt.Errorf("registering the simulated node %s: %w", missing[i].Name, err)
		}
	})
	return errors.Join(errs...)
}
