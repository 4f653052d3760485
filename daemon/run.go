package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/pprof"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/restclient" // the metrics of requests to the API server
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/images"
	"kruise.io/kruise/daemon/podmeta"
	"kruise.io/kruise/daemon/probe"
	"kruise.io/kruise/daemon/recreate"
	"kruise.io/kruise/kit/agent"
	"kruise.io/kruise/kit/turn"
)

// feature is one thing that the daemon does.
type feature struct {
	// kind is an empty object of the kind that it works on, which must be served for it to run.
	kind turn.Object
	// on is the gate.
	on bool
	// check names the health check that its objects have been seen.
	check string
	// setup adds it to the runner, and says whether its objects have been seen.
	setup func(ctx context.Context, r *agent.Runner, events *agent.Events) (synced func() bool, err error)
}

// features is THE list.
func features(o *Options, runtimes *cri.Node) []feature {
	restarts := recreate.Options{Node: o.Node, Address: o.NodeAddress, Runtimes: runtimes}
	probes := probe.Options{Node: o.Node, Runtimes: runtimes}
	pulls := images.Options{Node: o.Node, Runtimes: runtimes, Workers: o.PullWorkers}
	return []feature{
		{
			kind: &v1beta1.ContainerRecreateRequest{}, on: o.Gates.KruiseDaemon, check: "crrInformerSynced",
			setup: func(ctx context.Context, r *agent.Runner, events *agent.Events) (func() bool, error) {
				requests, err := agent.Watch(ctx, r, &v1beta1.ContainerRecreateRequest{}, restarts.Watched())
				if err != nil {
					return nil, err
				}
				return requests.HasSynced, recreate.Setup(r, requests, events.Recorder("kruise-daemon-crr"), restarts)
			},
		},
		{
			kind: &corev1.Pod{}, on: o.Gates.WatchPods, check: "podInformerSynced",
			setup: func(ctx context.Context, r *agent.Runner, _ *agent.Events) (func() bool, error) {
				pods, err := agent.Watch(ctx, r, &corev1.Pod{}, podmeta.Watched(o.Node))
				if err != nil {
					return nil, err
				}
				return pods.HasSynced, podmeta.Setup(r, pods, restarts)
			},
		},
		{
			kind: &v1beta1.NodeImage{}, on: o.Gates.KruiseDaemon, check: "nodeImageInformerSynced",
			setup: func(ctx context.Context, r *agent.Runner, events *agent.Events) (func() bool, error) {
				plugins, err := images.LoadPlugins(o.PluginConfigFile, o.PluginFolder, clock.RealClock{})
				if err != nil {
					return nil, err
				}
				pulls.Plugins = plugins
				nodes, err := agent.Watch(ctx, r, &v1beta1.NodeImage{}, pulls.Watched())
				if err != nil {
					return nil, err
				}
				return nodes.HasSynced, images.Setup(r, nodes, events.Recorder("kruise-daemon-imagepuller"), pulls)
			},
		},
		{
			kind: &v1alpha1.NodePodProbe{}, on: o.Gates.Probes, check: "nodePodProbeInformerSynced",
			setup: func(ctx context.Context, r *agent.Runner, events *agent.Events) (func() bool, error) {
				objects, err := agent.Watch(ctx, r, &v1alpha1.NodePodProbe{}, probes.Watched())
				if err != nil {
					return nil, err
				}
				return objects.HasSynced, probe.Setup(r, objects, events.Recorder("kruise-daemon-probe"), probes)
			},
		},
	}
}

// NewScheme makes a scheme that knows what the daemon reads and writes.
func NewScheme() (*runtime.Scheme, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, v1beta1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("making the scheme: %w", err)
		}
	}
	return scheme, nil
}

// Run runs the daemon until the context ends, or until it cannot go on.
func Run(ctx context.Context, config *rest.Config, o *Options) (err error) {
	scheme, err := NewScheme()
	if err != nil {
		return err
	}
	api, err := agent.NewClient(o.Configure(config, Name), scheme)
	if err != nil {
		return err
	}
	runtimes := cri.NewNode(cri.Sockets(o.SocketRoot, o.SocketFile), cri.Options{UserAgent: Name})
	defer func() { err = errors.Join(err, runtimes.Close()) }()

	runner, events := &agent.Runner{API: api}, agent.NewEvents(api, Name+"-"+o.Node, clock.RealClock{})
	runner.Add(events.Run)
	health := &healthz.Handler{Checks: map[string]healthz.Checker{"ping": healthz.Ping}}
	for _, f := range features(o, runtimes) {
		if err := add(ctx, runner, events, f, health); err != nil {
			return err
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return runner.Run(ctx) })
	group.Go(func() error { return agent.Serve(ctx, o.Addr, metricsAndHealth(health)) })
	if o.EnablePprof {
		group.Go(func() error { return agent.Serve(ctx, o.PprofAddr, profiles()) })
	}
	return group.Wait()
}

// add adds a feature that can run, and its health check.
func add(ctx context.Context, runner *agent.Runner, events *agent.Events, f feature, health *healthz.Handler) error {
	kind, err := runner.API.Kind(f.kind)
	if err != nil {
		return err
	}
	logger := log.FromContext(ctx).WithValues("kind", kind.Kind)
	if !f.on {
		logger.Info("The kind is switched off")
		return nil
	}
	served, err := runner.API.Serves(ctx, f.kind)
	if err != nil {
		return err
	}
	if !served {
		logger.Info("The API server does not serve the kind, so nothing is run for it. Install its CustomResourceDefinition and restart", "version", kind.GroupVersion().String())
		return nil
	}
	synced, err := f.setup(ctx, runner, events)
	if err != nil {
		return fmt.Errorf("setting up %s: %w", kind.Kind, err)
	}
	health.Checks[f.check] = func(*http.Request) error {
		if !synced() {
			return fmt.Errorf("the objects of kind %s have not been seen yet", kind.Kind)
		}
		return nil
	}
	return nil
}

func metricsAndHealth(health http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/metrics", legacyregistry.Handler())
	mux.Handle("/healthz", http.StripPrefix("/healthz", health))
	return mux
}

func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
