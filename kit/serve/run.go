package serve

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	"kruise.io/kruise/kit/certs"
	"kruise.io/kruise/kit/convert"
	"kruise.io/kruise/kit/metric"
	"kruise.io/kruise/kit/share"
)

// Component is what a program of ours adds to what all of them have.
type Component struct {
	// Name names the component, its lease and its user agent, like kruise-manager.
	Name string
	// Scheme knows every kind that the component reads or writes.
	Scheme *runtime.Scheme
	// Mutating and Validating name the configurations that call the component's admission webhooks.
	Mutating, Validating []string
	// Converts are the kinds whose versions the component converts, whether or not it runs anything else for them: what
	// cannot be converted cannot be read.
	Converts []convert.Kind
	// ExternalCerts says that somebody else keeps the webhook certificate.
	ExternalCerts bool
	// Setup adds the component's controllers and webhooks to the manager.
	Setup func(ctx context.Context, mgr ctrl.Manager, place Place) error
}

// Run runs a component until the context ends, until it is to be started anew, or until it cannot go on. The process must end
// when Run returns: leadership has been handed on by then.
func Run(ctx context.Context, config *rest.Config, c Component, o *Options) error {
	config = o.Configure(config, c.Name)

	var crds []string
	for _, kind := range c.Converts {
		crds = append(crds, kind.CRD())
	}
	keeper, err := certs.New(config, certs.Options{
		Secret:       client.ObjectKey{Namespace: o.OwnNamespace, Name: o.SecretName},
		Organization: c.Name,
		DNSNames:     o.dnsNames(),
		External:     c.ExternalCerts,
		Mutating:     c.Mutating,
		Validating:   c.Validating,
		CRDs:         crds,
	})
	if err != nil {
		return err
	}
	options := managerOptions(ctx, c, o, keeper)
	if o.Namespace != "" {
		if err := limit(&options.Cache, config, c.Scheme, o.Namespace); err != nil {
			return err
		}
	}
	mgr, err := manager.New(config, options)
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := addChecks(mgr, keeper); err != nil {
		return err
	}
	gauge, err := newLeaderGauge(c.Name)
	if err != nil {
		return err
	}
	if err := mgr.Add(gauge); err != nil {
		return fmt.Errorf("adding the metric of the leader: %w", err)
	}
	if len(c.Converts) > 0 {
		handler, err := convert.Handler(c.Converts...)
		if err != nil {
			return err
		}
		mgr.GetWebhookServer().Register(convert.Path, handler)
	}
	if err := answers(ctx, config, time.Second); err != nil {
		return err
	}
	if err := c.Setup(ctx, mgr, newPlace(o, keeper.Authority)); err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	// The keeper runs beside the manager and not in it: there it would wait for the caches, and those may wait for objects
	// that the API server can only read through our conversion webhook, which needs the certificate.
	group.Go(func() error { return keeper.Start(ctx) })
	group.Go(func() error { return mgr.Start(ctx) })
	if err := group.Wait(); !errors.Is(err, ErrStartAnew) {
		return err
	}
	return nil
}

func managerOptions(ctx context.Context, c Component, o *Options, keeper *certs.Keeper) manager.Options {
	options := manager.Options{
		Scheme:         c.Scheme,
		Logger:         log.FromContext(ctx),
		MapperProvider: newMapper,
		Cache: cache.Options{
			DefaultTransform: slim(&share.Pods{}),
			SyncPeriod:       &o.SyncPeriod,
		},
		Client: client.Options{Cache: &client.CacheOptions{
			DisableFor: []client.Object{&corev1.Secret{}, &corev1.ConfigMap{}},
		}},
		Metrics:                       metricsserver.Options{BindAddress: o.MetricsAddr},
		HealthProbeBindAddress:        o.HealthProbeAddr,
		LeaderElection:                o.LeaderElection,
		LeaderElectionNamespace:       o.LeaderElectionNamespace,
		LeaderElectionID:              o.LeaderElectionID,
		LeaderElectionResourceLock:    o.LeaderElectionResourceLock,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &o.LeaseDuration,
		RenewDeadline:                 &o.RenewDeadline,
		RetryPeriod:                   &o.RetryPeriod,
		Controller:                    ctrlconfig.Controller{CacheSyncTimeout: o.CacheSyncTimeout, SkipNameValidation: &o.RunsAgain},
		WebhookServer: webhook.NewServer(webhook.Options{
			Port: o.WebhookPort,
			TLSOpts: []func(*tls.Config){func(t *tls.Config) {
				t.MinVersion = tls.VersionTLS12
				t.GetCertificate = keeper.GetCertificate
			}},
		}),
		// What the manager runs gets the logger of ctx; when to stop, the manager says itself.
		BaseContext: func() context.Context { return context.WithoutCancel(ctx) },
	}
	if o.EnablePprof {
		options.PprofBindAddress = o.PprofAddr
	}
	return options
}

// slim leaves out of the cache what takes the most room in an object and is of no use to any controller, and has pods share
// the rest.
func slim(pods *share.Pods) toolscache.TransformFunc {
	strip := cache.TransformStripManagedFields()
	return func(object any) (any, error) {
		object, err := strip(object)
		switch object := object.(type) {
		case *corev1.Node:
			object.Status.Images, object.Status.VolumesInUse, object.Status.VolumesAttached = nil, nil, nil
		case *corev1.Pod:
			pods.Take(object)
		}
		return object, err
	}
}

func addChecks(mgr ctrl.Manager, keeper *certs.Keeper) error {
	if err := mgr.AddHealthzCheck("ping", healthz.Ping); err != nil {
		return fmt.Errorf("adding a health check: %w", err)
	}
	answers := mgr.GetWebhookServer().StartedChecker()
	if err := mgr.AddReadyzCheck("webhook", func(request *http.Request) error {
		if err := keeper.Ready(request); err != nil {
			return err
		}
		return answers(request)
	}); err != nil {
		return fmt.Errorf("adding a readiness check: %w", err)
	}
	return nil
}

// leaderGauge is the metric <component>_is_leader: 1 while this process leads, else 0.
type leaderGauge struct{ gauge prometheus.Gauge }

// newLeaderGauge registers the metric, or takes the one that an earlier run in this process registered.
func newLeaderGauge(component string) (*leaderGauge, error) {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: strings.ReplaceAll(component, "-", "_") + "_is_leader",
		Help: "1 while this process leads the replicas of " + component + ", else 0.",
	})
	gauge, err := metric.Register(gauge)
	if err != nil {
		return nil, fmt.Errorf("the metric of the leader: %w", err)
	}
	return &leaderGauge{gauge: gauge}, nil
}

// Start implements manager.Runnable; the manager calls it when this process begins to lead.
func (g *leaderGauge) Start(ctx context.Context) error {
	g.gauge.Set(1)
	<-ctx.Done()
	g.gauge.Set(0)
	return nil
}
