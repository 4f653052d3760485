package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
)

const (
	// root is the checkout, as seen from this folder.
	root = "../.."
	// lab is the name of the lab that the tests bring up.
	lab = "e2e"

	// The release, as the lab installs it, and what it is made of.
	release         = "kruise"
	kruiseNamespace = "kruise-system"
	manager         = "kruise-controller-manager"
	leaderLease     = "kruise-manager"
)

// cluster is the cluster that all stories run in.
type cluster struct {
	kubeconfig string
	// programs is the folder with kubectl and helm.
	programs string
	// dumps is the folder for what failed tests leave; it is made when the first one fails.
	dumps string

	config *rest.Config
	client client.Client
	// core is for what the other client cannot do: logs.
	core kubernetes.Interface
}

// start brings the lab up with the product in it, or takes the cluster that KRUISE_E2E_KUBECONFIG names.
func start(t *testing.T) *cluster {
	t.Helper()
	if _, err := os.Stat(filepath.Join(root, "bin/kruise-lab")); err != nil {
		t.Fatalf("the program of the lab is missing: run the tests with make e2e, or make build before them (%v)", err)
	}
	c := &cluster{
		kubeconfig: os.Getenv("KRUISE_E2E_KUBECONFIG"),
		dumps:      filepath.Join(os.TempDir(), "kruise-e2e-"+time.Now().Format("20060102-150405")),
	}
	own := c.kubeconfig == ""
	if own {
		alone(t)
		if os.Getenv("KRUISE_E2E_KEEP") == "" {
			t.Cleanup(func() { run(t, "", root, "bin/kruise-lab", "down", "--name", lab, "--wipe") })
		}
		run(t, "", root, "bin/kruise-lab", "up", "--install-tools", "--name", lab, "--nodes", "3", "--simulated", "2")
		c.kubeconfig = strings.TrimSpace(run(t, "", root, "bin/kruise-lab", "kubeconfig", "--name", lab))
	}
	c.programs = strings.TrimSpace(run(t, "", root, "bin/kruise-lab", "parts", "kubectl", "helm"))
	for node, taint := range map[string]string{spareNode: spare, playedNode: played, leavingNode: leaving} {
		c.kubectl(t, "", "taint", "node", node, taint+"=:NoSchedule", "--overwrite")
	}
	if own {
		run(t, "", root, "bin/kruise-lab", "install", "--name", lab)
	}
	c.connect(t)
	return c
}

// alone waits until no other run of these tests on this machine has the lab, and keeps it from others until the test is over.
func alone(t *testing.T) {
	t.Helper()
	path := filepath.Join(os.TempDir(), "kruise-e2e.lock")
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatalf("reserving the lab: %v", err)
	}
	t.Cleanup(func() { file.Close() })
	lock := int(file.Fd())
	if err = unix.Flock(lock, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		t.Logf("waiting for another run of these tests, which holds %s", path)
		err = unix.Flock(lock, unix.LOCK_EX)
	}
	if err != nil {
		t.Fatalf("reserving the lab by %s: %v", path, err)
	}
}

func (c *cluster) connect(t *testing.T) {
	t.Helper()
	log.SetLogger(logr.Discard()) // What the watches of the tests say of themselves.
	scheme := runtime.NewScheme()
	var err error
	if c.config, err = clientcmd.BuildConfigFromFlags("", c.kubeconfig); err == nil {
		c.config.QPS = -1 // The API server defends itself.
		err = errors.Join(clientgoscheme.AddToScheme(scheme), v1beta1.AddToScheme(scheme), v1alpha1.AddToScheme(scheme), policyv1beta1.AddToScheme(scheme))
	}
	if err == nil {
		c.client, err = client.New(c.config, client.Options{Scheme: scheme})
	}
	if err == nil {
		c.core, err = kubernetes.NewForConfig(c.config)
	}
	if err != nil {
		t.Fatalf("connecting to the cluster of %s: %v", c.kubeconfig, err)
	}
}

// kubectl runs the real kubectl in a folder and returns what it prints.
func (c *cluster) kubectl(t *testing.T, folder string, args ...string) string {
	t.Helper()
	return run(t, c.kubeconfig, folder, filepath.Join(c.programs, "kubectl"), args...)
}

// helm runs the real helm in the root of the checkout and returns what it prints.
func (c *cluster) helm(t *testing.T, args ...string) string {
	t.Helper()
	return run(t, c.kubeconfig, root, filepath.Join(c.programs, "helm"), args...)
}

// explain runs the plugin of this checkout and returns what it says about a CloneSet.
func (s *space) explain(set string) string {
	s.Helper()
	return run(s.T, s.kubeconfig, root, "bin/kubectl-kruise", "explain", "cloneset/"+set, "--namespace", s.name)
}

// run runs a program, also in the cleanup of a test, and returns what it prints.
func run(t *testing.T, kubeconfig, folder, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, args...)
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "NO_PROXY=*")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s%s", filepath.Base(program), strings.Join(args, " "), err, out, stderr.String())
	}
	return string(out)
}

// space makes a namespace for one story. What is in it when the story fails is kept in a folder; then it is removed.
func (c *cluster) space(t *testing.T) *space {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "e2e-"}}
	if err := c.client.Create(t.Context(), namespace); err != nil {
		t.Fatalf("making a namespace: %v", err)
	}
	after := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if err := c.client.Delete(after, namespace); err != nil {
			t.Errorf("removing the namespace %s: %v", namespace.Name, err)
		}
	})
	return c.look(t, namespace.Name)
}

// look makes a space of a namespace that is there.
func (c *cluster) look(t *testing.T, namespace string) *space {
	t.Helper()
	s := &space{T: t, cluster: c, name: namespace, changed: make(chan struct{}, 1)}
	s.follow()
	after := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		if t.Failed() {
			folder := filepath.Join(c.dumps, strings.NewReplacer("/", "_", " ", "-").Replace(t.Name()), namespace)
			err := s.dump(after, folder)
			t.Logf("what the namespace %s looked like is in %s (%s)", namespace, folder, outcome(err))
		}
	})
	return s
}

func outcome(err error) string {
	if err != nil {
		return fmt.Sprintf("incomplete: %v", err)
	}
	return "complete"
}
