// Package install puts the product into a lab as a user would put it into a cluster: images in a registry and a Helm release.
//
// Images are made from the programs that were built last and tagged by their content, so installing again after a change rolls
// out what changed, and installing again without one changes nothing. Where the release does not become ready, the error says
// what the pods wait for.
package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/simulate"
)

// The release and where it goes.
const (
	Release   = "kruise"
	Namespace = "kruise-system"
)

// Reporter tells a person what is being done. *progress.Reporter of the lab is one.
type Reporter interface {
	// Do reports the beginning and the end of a step, and returns the step's error.
	Do(what string, step func() error) error
	// Say reports one line.
	Say(format string, args ...any)
}

// Options of an installation.
type Options struct {
	// Kubeconfig is the file with the access to the cluster, as an administrator.
	Kubeconfig string
	// Registry is the address (host:port, plain HTTP) of the registry that the cluster's nodes pull from.
	Registry string
	// Helm is the path of the helm program.
	Helm string
	// Chart is the folder of the chart.
	Chart string
	// Bin is the folder of the product's programs, which are static and for Linux.
	Bin string
	// Values are further files with values for the chart, the last of which wins.
	Values []string
	// Timeout for the release to become ready; 3 minutes when 0.
	Timeout time.Duration
	// Progress is told what is being done.
	Progress Reporter
}

// Run installs or upgrades the product and returns when it is ready.
func Run(ctx context.Context, opts Options) error {
	if opts.Timeout == 0 {
		opts.Timeout = 3 * time.Minute
	}
	client, err := connect(opts.Kubeconfig)
	if err != nil {
		return err
	}
	if err := requireRealNode(ctx, client); err != nil {
		return err
	}
	values := map[string]any{}
	for _, program := range programs() {
		err := opts.Progress.Do("making the image of "+program.name, func() error {
			image, err := program.push(ctx, opts.Registry, opts.Bin)
			if err != nil {
				return err
			}
			values[program.values] = map[string]any{
				"image":    map[string]any{"repository": program.repository, "tag": image},
				"affinity": map[string]any{"nodeAffinity": realNodes()},
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	err = opts.Progress.Do("installing the release "+Release+" in the namespace "+Namespace, func() error {
		listening, stop := context.WithCancel(ctx)
		defer stop()
		go narrate(listening, client, Namespace, opts.Progress.Say)
		return opts.helm(ctx, values)
	})
	if err != nil {
		return errors.Join(err, diagnose(ctx, client, Namespace))
	}
	return nil
}

func connect(kubeconfig string) (kubernetes.Interface, error) {
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read the kubeconfig %s: %w", kubeconfig, err)
	}
	config.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } // a machine's proxy does not reach the lab
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("make a client from the kubeconfig %s: %w", kubeconfig, err)
	}
	return client, nil
}

// requireRealNode fails when the product has nowhere to run: on a simulated node a program is only said to run.
func requireRealNode(ctx context.Context, client kubernetes.Interface) error {
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{LabelSelector: simulate.Label + "!=" + simulate.LabelValue})
	if err != nil {
		return fmt.Errorf("list the nodes of the cluster: %w", err)
	}
	if len(nodes.Items) == 0 {
		return errors.New("the cluster has no real node, and a simulated one cannot run the product: bring the lab up with --nodes 1 or more")
	}
	return nil
}

// realNodes keeps the product away from nodes that are only simulated.
func realNodes() *corev1.NodeAffinity {
	return &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchExpressions: []corev1.NodeSelectorRequirement{
			{Key: simulate.Label, Operator: corev1.NodeSelectorOpNotIn, Values: []string{simulate.LabelValue}},
		}}},
	}}
}

// helm runs the program with nothing of the user's own helm: no plugins, no repositories, no cache.
func (o Options) helm(ctx context.Context, values map[string]any) (err error) {
	home, err := os.MkdirTemp("", "helm-")
	if err != nil {
		return fmt.Errorf("make a folder for helm: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(home)) }()
	text, err := yaml.Marshal(values)
	if err != nil {
		return fmt.Errorf("write the values for the chart: %w", err)
	}
	file := filepath.Join(home, "values.yaml")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return fmt.Errorf("write the values for the chart: %w", err)
	}
	cmd := exec.CommandContext(ctx, o.Helm, o.arguments(file)...)
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH")}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // helm then records that the release failed
	cmd.WaitDelay = 10 * time.Second
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("helm upgrade --install %s %s: %w\n%s", Release, o.Chart, err, strings.TrimSpace(output.String()))
	}
	return nil
}

func (o Options) arguments(values string) []string {
	args := []string{
		"upgrade", "--install", Release, o.Chart,
		"--namespace", Namespace, "--create-namespace",
		"--kubeconfig", o.Kubeconfig,
		"--wait", "--timeout", o.Timeout.String(),
		"--values", values,
	}
	for _, file := range o.Values {
		args = append(args, "--values", file)
	}
	return args
}
