package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/cluster"
)

const (
	labProgram     = "bin/kruise-lab"
	managerProgram = "bin/kruise-manager"
	crdFiles       = "deploy/chart/files/crds/apps.kruise.io_%s.yaml"
	// heartbeat is how often each of the nodes, of which there may be thousands, says that it is alive.
	heartbeat = 5 * time.Minute
)

// lab is the cluster that is measured on.
type lab struct {
	layout  cluster.Layout
	objects client.Client
	// daemons speaks for the daemons that are played, and told tells what they are told.
	daemons client.Client
	told    cache.Cache
	// kube speaks protobuf, and bare is the same with a user agent of its own.
	kube, bare kubernetes.Interface
	// processes are the programs of the lab, by name.
	processes map[string]int
	versions  string
}

// startLab brings up a lab that is new and empty.
func startLab(ctx context.Context, name string, simulated int) (*lab, error) {
	dir, err := cluster.DefaultDir(name)
	if err != nil {
		return nil, err
	}
	before, err := cluster.Load(dir)
	switch {
	case errors.Is(err, cluster.ErrNoLab):
	case err != nil:
		return nil, err
	case before.Running():
		return nil, fmt.Errorf("the lab %s is up: if nobody measures on it, %s down --name %s --wipe removes it", name, labProgram, name)
	default:
		if err := stopLab(ctx, name); err != nil {
			return nil, err
		}
	}
	if err := upLab(ctx, name, simulated); err != nil {
		return nil, err
	}
	state, err := cluster.Load(dir)
	if err != nil {
		return nil, err
	}
	l := &lab{layout: state.Layout(dir), processes: map[string]int{}}
	components, err := cluster.Components(l.layout, state)
	if err != nil {
		return nil, err
	}
	for _, c := range components {
		if c.PID != 0 {
			l.processes[c.Name] = c.PID
		}
	}
	if err := l.connect(); err != nil {
		return nil, err
	}
	return l, nil
}

// upLab brings a lab up, or gives one that is up another number of nodes, and waits until they are ready.
func upLab(ctx context.Context, name string, simulated int) error {
	return command(ctx, labProgram, "up", "--name", name, "--nodes", "0", "--simulated", strconv.Itoa(simulated), "--audit",
		"--heartbeat", heartbeat.String())
}

func stopLab(ctx context.Context, name string) error {
	return command(ctx, labProgram, "down", "--name", name, "--wipe")
}

func command(ctx context.Context, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}

// connect makes the clients. None of them limits itself.
func (l *lab) connect() error {
	config, err := clientcmd.BuildConfigFromFlags("", l.layout.Kubeconfig())
	if err != nil {
		return fmt.Errorf("reading the kubeconfig of the lab: %w", err)
	}
	config.QPS, config.UserAgent = -1, "scale"
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, apiextensionsv1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return fmt.Errorf("making the scheme: %w", err)
		}
	}
	if l.objects, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client of the lab: %w", err)
	}
	played := rest.CopyConfig(config)
	played.UserAgent = agentDaemons
	if l.daemons, err = client.New(played, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client of the lab: %w", err)
	}
	if l.told, err = cache.New(played, cache.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making a client of the lab: %w", err)
	}
	compact := rest.CopyConfig(config)
	compact.ContentType = runtime.ContentTypeProtobuf
	if l.kube, err = kubernetes.NewForConfig(compact); err != nil {
		return fmt.Errorf("making a client of the lab: %w", err)
	}
	compact = rest.CopyConfig(compact)
	compact.UserAgent = agentBare
	if l.bare, err = kubernetes.NewForConfig(compact); err != nil {
		return fmt.Errorf("making a client of the lab: %w", err)
	}
	version, err := l.kube.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the API server for its version: %w", err)
	}
	l.versions = "Kubernetes " + version.GitVersion
	return nil
}
