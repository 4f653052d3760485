// Package lab proves parts of the lab against a real API server, scheduler and controller manager, with simulated nodes. It
// promises that what the stages and the provisioner say in their own tests is what a cluster makes of it.
package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"kruise.io/kruise/lab/simulate"
)

type lab struct {
	*testing.T
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
}

// parts returns the folder that holds the lab's programs of these names, which are built if need be.
func parts(t *testing.T, names ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "./cmd/kruise-lab", "parts"}, names...)...)
	cmd.Dir = "../../.."
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("build %v: %v\n%s", names, err, problems.String())
	}
	return strings.TrimSpace(string(out))
}

// run starts a program that ends with the test.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the test's context, which ends before, kills it: an error is expected
}

// start gives a test a control plane of its own with three simulated nodes in three zones, and a namespace.
func start(t *testing.T) lab {
	t.Helper()
	bin := parts(t, "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
	plane := &envtest.Environment{BinaryAssetsDirectory: bin}
	config, err := plane.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := plane.Stop(); err != nil {
			t.Error(err)
		}
	})
	user, err := plane.AddUser(envtest.User{Name: "lab", Groups: []string{"system:masters"}}, config)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, stages := filepath.Join(t.TempDir(), "kubeconfig"), filepath.Join(t.TempDir(), "kwok.yaml")
	identity, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	text, err := simulate.Config()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.WriteFile(kubeconfig, identity, 0o600), os.WriteFile(stages, text, 0o600)); err != nil {
		t.Fatal(err)
	}
	run(t, filepath.Join(bin, "kube-controller-manager"), "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0")
	run(t, filepath.Join(bin, "kube-scheduler"), "--kubeconfig", kubeconfig, "--leader-elect=false", "--secure-port=0")
	run(t, filepath.Join(bin, "kwok"), simulate.Args(kubeconfig, stages, simulate.Heartbeat)...)

	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	l := lab{T: t, config: config, client: client, namespace: metav1.NamespaceDefault}
	nodes, err := simulate.Nodes(3, 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range nodes {
		if _, err := client.CoreV1().Nodes().Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	l.awaitNodes(len(nodes))
	return l
}

// awaitNodes waits until so many simulated nodes are ready and held by a lease.
func (l lab) awaitNodes(n int) {
	l.Helper()
	err := wait.PollUntilContextTimeout(l.Context(), 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		nodes, err := l.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: simulate.Label + "=" + simulate.LabelValue})
		if err != nil {
			return false, err
		}
		ready := 0
		for _, node := range nodes.Items {
			_, err := l.client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
			for _, c := range node.Status.Conditions {
				if err == nil && c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
					ready++
				}
			}
		}
		return ready == n, nil
	})
	if err != nil {
		l.Fatalf("the simulated nodes are not ready: %v", err)
	}
}

func (l lab) create(pod *corev1.Pod) {
	l.Helper()
	if _, err := l.client.CoreV1().Pods(l.namespace).Create(l.Context(), pod, metav1.CreateOptions{}); err != nil {
		l.Fatal(err)
	}
}

// await returns the first state of a pod since resourceVersion (or of now) of which the condition holds.
func (l lab) await(name, since, what string, holds func(*corev1.Pod) bool) *corev1.Pod {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	pods := l.client.CoreV1().Pods(l.namespace)
	one := fields.OneTermEqualSelector("metadata.name", name).String()
	if since == "" {
		pod, err := pods.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			l.Fatal(err)
		}
		if holds(pod) {
			return pod
		}
		since = pod.ResourceVersion
	}
	var last *corev1.Pod
	stream, err := pods.Watch(ctx, metav1.ListOptions{FieldSelector: one, ResourceVersion: since})
	if err != nil {
		l.Fatal(err)
	}
	defer stream.Stop()
	for event := range stream.ResultChan() {
		pod, ok := event.Object.(*corev1.Pod)
		if !ok {
			l.Fatalf("watch of pod %s: %v", name, event.Object)
		}
		last = pod
		if event.Type == watch.Deleted {
			break
		}
		if holds(pod) {
			return pod
		}
	}
	l.Fatalf("pod %s never came to this: %s. Its last state: %+v", name, what, last)
	return nil
}

func (l lab) awaitGone(name string) {
	l.Helper()
	ctx, cancel := context.WithTimeout(l.Context(), time.Minute)
	defer cancel()
	for {
		_, err := l.client.CoreV1().Pods(l.namespace).Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return
		}
		if err != nil {
			l.Fatalf("pod %s is not gone: %v", name, err)
		}
	}
}

func (l lab) patch(name, body string, subresources ...string) *corev1.Pod {
	l.Helper()
	pod, err := l.client.CoreV1().Pods(l.namespace).Patch(l.Context(), name, types.StrategicMergePatchType, []byte(body), metav1.PatchOptions{}, subresources...)
	if err != nil {
		l.Fatal(err)
	}
	return pod
}
