package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"kruise.io/kruise/lab/images"
	"kruise.io/kruise/lab/parts"
	"kruise.io/kruise/lab/storage"
)

// patience is how long each step of the start may take before Up gives up. It is generous: a small machine may be
// busy with something else.
const patience = 3 * time.Minute

// Client returns a client of the lab's API server that may do everything.
func Client(l Layout) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", l.Kubeconfig())
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of the lab: %w", err)
	}
	config.QPS = -1 // The API server defends itself.
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("making a client of the lab: %w", err)
	}
	return client, nil
}

// settle waits until a cluster whose machines run is ready for use, and puts into it what every lab has.
func (b *boot) settle(ctx context.Context) error {
	client, err := Client(b.l)
	if err != nil {
		return err
	}
	err = b.opts.Progress.Do("waiting for the API server", func() error { return waitForAPIServer(ctx, client) })
	if err != nil {
		return fmt.Errorf("%w%s", err, diagnose(ctx, b.l, *b.state))
	}
	if !b.l.Shared {
		err := b.opts.Progress.Do("putting images into the registry", func() error { return pushImages(ctx, b.l, b.opts) })
		if err != nil {
			return err
		}
	}
	if err := b.furnish(ctx); err != nil {
		return err
	}
	if err := removeStaleNodes(ctx, client, b.l, b.state.Nodes); err != nil {
		return err
	}
	if err := registerSimulated(ctx, client, b.state.Simulated); err != nil {
		return err
	}
	total := b.state.Nodes + b.state.Simulated
	return b.opts.Progress.Do(fmt.Sprintf("waiting for %d nodes", total), func() error {
		return b.waitForNodes(ctx, client, total)
	})
}

// check returns an error when a cluster that should be ready is not.
func check(ctx context.Context, l Layout, state State) error {
	client, err := Client(l)
	if err != nil {
		return err
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("the API server does not answer (see kruise-lab status): %w", err)
	}
	ready := 0
	for _, node := range nodes.Items {
		if nodeReady(&node) {
			ready++
		}
	}
	if total := state.Nodes + state.Simulated; ready < total {
		return fmt.Errorf("only %d of %d nodes are ready: see kruise-lab status and the logs of what is not well", ready, total)
	}
	return nil
}

// furnish puts the objects into the cluster that every lab has, and lets programs start that need them.
func (b *boot) furnish(ctx context.Context) error {
	manifests := [][]byte{storage.Manifests}
	if !b.l.Shared {
		dns, err := render("dns.yaml", settings{DNS: b.l.DNSAddress(), Address: b.l.Address()})
		if err != nil {
			return err
		}
		manifests = append(manifests, dns)
	}
	if err := apply(ctx, b.l, *b.state, bytes.Join(manifests, []byte("\n---\n"))); err != nil {
		return err
	}
	return write(b.l.furnished(), nil)
}

// apply puts objects into the cluster, or brings them up to date.
func apply(ctx context.Context, l Layout, state State, manifests []byte) error {
	cmd := exec.CommandContext(ctx, filepath.Join(state.Bin, string(parts.Kubectl)), "apply", "--server-side", "--force-conflicts",
		"--kubeconfig="+l.Kubeconfig(), "--filename=-")
	cmd.Stdin = bytes.NewReader(manifests)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("putting objects of the lab into the cluster: %w\n%s", err, bytes.TrimSpace(output))
	}
	return nil
}

func waitForAPIServer(ctx context.Context, client kubernetes.Interface) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		_, last = client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("the API server is not ready (see kruise-lab logs kube-apiserver): %w", errors.Join(err, last))
	}
	return nil
}

// waitForNodes waits until there are as many ready nodes as there should be. What the API server knows about a node
// whose machine was just started may be from its earlier life, so the kubelet must have said it since.
func (b *boot) waitForNodes(ctx context.Context, client kubernetes.Interface, total int) error {
	ready := 0
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		var list *corev1.NodeList
		if list, last = client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); last != nil {
			return false, nil //nolint:nilerr // It may answer the next time.
		}
		ready = 0
		for _, node := range list.Items {
			if nodeReady(&node) && (!b.started[node.Name] || saidSince(&node, b.began)) {
				ready++
			}
		}
		return ready >= total, nil
	})
	if err != nil {
		return fmt.Errorf("only %d of %d nodes are ready (see kruise-lab status): %w%s", ready, total, errors.Join(err, last), diagnose(ctx, b.l, *b.state))
	}
	return nil
}

// saidSince tells whether a kubelet has reported its readiness since a time. Times in the API have whole seconds.
func saidSince(node *corev1.Node, since time.Time) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return !condition.LastHeartbeatTime.Time.Before(since.Truncate(time.Second))
		}
	}
	return false
}

// nodeReady tells whether a node is ready and its kubelet still says so.
func nodeReady(node *corev1.Node) bool {
	for _, condition := range node.Status.Conditions {
		if condition.Type == corev1.NodeReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

// removeStaleNodes removes the objects of real nodes that an earlier, larger lab had.
func removeStaleNodes(ctx context.Context, client kubernetes.Interface, l Layout, nodes int) error {
	list, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	for _, node := range list.Items {
		number, isOurs := strings.CutPrefix(node.Name, "node-")
		n, err := strconv.Atoi(number)
		if !isOurs || err != nil || n <= nodes || node.Name != l.NodeName(n) {
			continue
		}
		if err := client.CoreV1().Nodes().Delete(ctx, node.Name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("removing the node %s of an earlier lab: %w", node.Name, err)
		}
	}
	return nil
}

// pushImages fills the registry with the images that every lab has.
func pushImages(ctx context.Context, l Layout, opts Options) error {
	cache := opts.Parts.Cache
	if cache == "" {
		var err error
		if cache, err = parts.DefaultCache(); err != nil {
			return err
		}
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		busybox = "" // The catalogue says what is missing then.
	}
	catalogue, missing, err := images.Catalog(ctx, opts.Parts.Root, filepath.Join(cache, "images"), busybox)
	if err != nil {
		return err
	}
	if missing != "" {
		opts.Progress.Say("%s", missing)
	}
	for _, image := range catalogue {
		for _, ref := range image.Refs {
			if err := images.Push(ctx, l.Registry(), ref, image.Image); err != nil {
				return err
			}
		}
	}
	return nil
}
