package daemon

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/images"
	"kruise.io/kruise/daemon/podmeta"
	"kruise.io/kruise/daemon/probe"
	"kruise.io/kruise/daemon/recreate"
	"kruise.io/kruise/kit/program"
)

// feature is one thing that the daemon does.
type feature struct {
	// kind is an empty object of the kind that it works on, which must be served for it to run.
	kind client.Object
	// watched says which objects of the kind are this node's.
	watched cache.ByObject
	// on is the gate.
	on bool
	// check names the health check that its objects have been seen.
	check string
	// setup adds it to the manager.
	setup func(ctx context.Context, mgr ctrl.Manager) error
}

// features is THE list.
func features(o *Options, runtimes *cri.Node) []feature {
	restarts := recreate.Options{Node: o.Node, Address: o.NodeAddress, Runtimes: runtimes}
	probes := probe.Options{Node: o.Node, Runtimes: runtimes}
	return []feature{
		{
			kind: &v1beta1.ContainerRecreateRequest{}, watched: restarts.Watched(), on: o.Gates.KruiseDaemon, check: "crrInformerSynced",
			setup: func(ctx context.Context, mgr ctrl.Manager) error { return recreate.Setup(ctx, mgr, restarts) },
		},
		{
			kind: &corev1.Pod{}, watched: podmeta.Watched(o.Node), on: o.Gates.WatchPods, check: "podInformerSynced",
			setup: func(ctx context.Context, mgr ctrl.Manager) error { return podmeta.Setup(ctx, mgr, restarts) },
		},
		{
			kind: &v1beta1.NodeImage{}, watched: o.pulls(runtimes).Watched(), on: o.Gates.KruiseDaemon, check: "nodeImageInformerSynced",
			setup: func(_ context.Context, mgr ctrl.Manager) error {
				plugins, err := images.LoadPlugins(o.PluginConfigFile, o.PluginFolder, clock.RealClock{})
				if err != nil {
					return err
				}
				pulls := o.pulls(runtimes)
				pulls.Plugins = plugins
				return images.Setup(mgr, pulls)
			},
		},
		{
			kind: &v1alpha1.NodePodProbe{}, watched: probes.Watched(), on: o.Gates.Probes, check: "nodePodProbeInformerSynced",
			setup: func(ctx context.Context, mgr ctrl.Manager) error { return probe.Setup(ctx, mgr, probes) },
		},
	}
}

// pulls are the options of what pulls images.
func (o *Options) pulls(runtimes *cri.Node) images.Options {
	return images.Options{Node: o.Node, Runtimes: runtimes, Workers: o.PullWorkers}
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
	runtimes := cri.NewNode(cri.Sockets(o.SocketRoot, o.SocketFile), cri.Options{UserAgent: Name})
	defer func() { err = errors.Join(err, runtimes.Close()) }()
	all := features(o, runtimes)

	health := &healthz.Handler{Checks: map[string]healthz.Checker{"ping": healthz.Ping}}
	options := manager.Options{
		Scheme:         scheme,
		Logger:         log.FromContext(ctx),
		MapperProvider: program.NewMapper,
		Cache:          cache.Options{DefaultTransform: cache.TransformStripManagedFields(), ByObject: map[client.Object]cache.ByObject{}},
		Client:         client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Metrics: metricsserver.Options{
			BindAddress:   o.Addr,
			ExtraHandlers: map[string]http.Handler{"/healthz": http.StripPrefix("/healthz", health)},
		},
		HealthProbeBindAddress: "0",
		Controller:             ctrlconfig.Controller{SkipNameValidation: &o.RunsAgain},
		BaseContext:            func() context.Context { return context.WithoutCancel(ctx) },
	}
	for _, f := range all {
		options.Cache.ByObject[f.kind] = f.watched
	}
	if o.EnablePprof {
		options.PprofBindAddress = o.PprofAddr
	}
	mgr, err := manager.New(o.Configure(config, Name), options)
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	for _, f := range all {
		if err := add(ctx, mgr, f, health); err != nil {
			return err
		}
	}
	return mgr.Start(ctx)
}

// add adds a feature that can run, and its health check.
func add(ctx context.Context, mgr ctrl.Manager, f feature, health *healthz.Handler) error {
	kind, err := mgr.GetClient().GroupVersionKindFor(f.kind)
	if err != nil {
		return fmt.Errorf("finding the kind of %T: %w", f.kind, err)
	}
	logger := log.FromContext(ctx).WithValues("kind", kind.Kind)
	if !f.on {
		logger.Info("The kind is switched off")
		return nil
	}
	_, err = mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		logger.Info("The API server does not serve the kind, so nothing is run for it. Install its CustomResourceDefinition and restart", "version", kind.GroupVersion().String())
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking the API server for %s: %w", kind, err)
	}
	if err := f.setup(ctx, mgr); err != nil {
		return fmt.Errorf("setting up %s: %w", kind.Kind, err)
	}
	informer, err := mgr.GetCache().GetInformer(ctx, f.kind, cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watching %s: %w", kind.Kind, err)
	}
	health.Checks[f.check] = func(*http.Request) error {
		if !informer.HasSynced() {
			return fmt.Errorf("the objects of kind %s have not been seen yet", kind.Kind)
		}
		return nil
	}
	return nil
}
