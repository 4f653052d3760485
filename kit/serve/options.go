// Package serve runs a component of ours: one process with controllers, webhooks, metrics and health checks, of which
// several replicas may run and one leads.
//
// It promises: every replica serves webhooks, also before it leads and while no one does; /readyz is ok once the
// webhook certificate is in place and the webhook server answers over TLS, /healthz as long as the process runs; a replica that
// is told to stop, or that is to be started anew, hands its leadership on at once; caches hold no managedFields; Secrets and
// ConfigMaps are never cached.
package serve

import (
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/kit/program"
)

// Options are the flags and environment variables that every component has.
type Options struct {
	program.Options

	// MetricsAddr serves /metrics, HealthProbeAddr /healthz and /readyz. "0" serves neither.
	MetricsAddr, HealthProbeAddr string

	// LeaderElection and what follows say how a leader is chosen.
	LeaderElection             bool
	LeaderElectionNamespace    string
	LeaderElectionID           string
	LeaderElectionResourceLock string
	LeaseDuration              time.Duration
	RenewDeadline              time.Duration
	RetryPeriod                time.Duration

	// SyncPeriod is how often everything is reconciled without a change; 0 is never.
	SyncPeriod time.Duration
	// Namespace limits the component to one namespace; empty is all.
	Namespace string
	// CacheSyncTimeout limits how long a controller waits for its caches.
	CacheSyncTimeout time.Duration

	// WebhookPort is served with the certificate of the Secret named SecretName in OwnNamespace, for the service
	// named ServiceName there, and for WebhookHost where webhooks are called by another name.
	WebhookPort  int
	OwnNamespace string
	SecretName   string
	ServiceName  string
	WebhookHost  string

	// RunsAgain lets one process run the component several times, as tests do: the metrics of all runs are then one.
	RunsAgain bool
}

// NewOptions returns the defaults of a component, some of which come from the environment.
func NewOptions(component string, getenv func(string) string) (*Options, error) {
	env := func(key, otherwise string) string {
		if value := getenv(key); value != "" {
			return value
		}
		return otherwise
	}
	port, err := strconv.Atoi(env("WEBHOOK_PORT", "9876"))
	if err != nil {
		return nil, fmt.Errorf("environment variable WEBHOOK_PORT: %w", err)
	}
	namespace := env("POD_NAMESPACE", "kruise-system")
	return &Options{
		Options:                    program.NewOptions("localhost:8090"),
		MetricsAddr:                ":8080",
		HealthProbeAddr:            ":8000",
		LeaderElection:             true,
		LeaderElectionNamespace:    namespace,
		LeaderElectionID:           component,
		LeaderElectionResourceLock: "leases",
		LeaseDuration:              15 * time.Second,
		RenewDeadline:              10 * time.Second,
		RetryPeriod:                2 * time.Second,
		CacheSyncTimeout:           2 * time.Minute,
		WebhookPort:                port,
		OwnNamespace:               namespace,
		SecretName:                 env("SECRET_NAME", "kruise-webhook-certs"),
		ServiceName:                env("SERVICE_NAME", "kruise-webhook-service"),
		WebhookHost:                getenv("WEBHOOK_HOST"),
	}, nil
}

// AddFlags adds a flag for each option that not every program has.
func (o *Options) AddFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.MetricsAddr, "metrics-addr", o.MetricsAddr, "Address that serves /metrics; 0 serves no metrics.")
	flags.StringVar(&o.HealthProbeAddr, "health-probe-addr", o.HealthProbeAddr, "Address that serves /healthz and /readyz; 0 serves neither.")
	flags.BoolVar(&o.LeaderElection, "enable-leader-election", o.LeaderElection, "Let one of several replicas lead. Without it, this process leads at once.")
	flags.StringVar(&o.LeaderElectionNamespace, "leader-election-namespace", o.LeaderElectionNamespace, "Namespace of the lease.")
	flags.StringVar(&o.LeaderElectionID, "leader-election-id", o.LeaderElectionID, "Name of the lease.")
	flags.StringVar(&o.LeaderElectionResourceLock, "leader-election-resource-lock", o.LeaderElectionResourceLock, "What the leader is recorded in. Only leases can be used.")
	flags.DurationVar(&o.LeaseDuration, "leader-election-lease-duration", o.LeaseDuration, "How long others wait for a leader that is not heard of.")
	flags.DurationVar(&o.RenewDeadline, "leader-election-renew-deadline", o.RenewDeadline, "How long a leader tries to renew its lease before it stops.")
	flags.DurationVar(&o.RetryPeriod, "leader-election-retry-period", o.RetryPeriod, "How long to wait between two tries.")
	flags.Var((*period)(&o.SyncPeriod), "sync-period", "How often everything is reconciled without a change; 0 or empty is never.")
	flags.StringVar(&o.Namespace, "namespace", o.Namespace, "Only look at this namespace; empty is all.")
	flags.DurationVar(&o.CacheSyncTimeout, "controller-cache-sync-timeout", o.CacheSyncTimeout, "How long a controller waits for its caches before this process gives up.")
	flags.IntVar(&o.WebhookPort, "webhook-port", o.WebhookPort, "Port that serves webhooks (environment variable WEBHOOK_PORT).")
}

// Validate says what is wrong with the options, naming flags.
func (o *Options) Validate() error {
	var errs field.ErrorList
	if o.LeaderElectionResourceLock != "leases" {
		errs = append(errs, field.NotSupported(field.NewPath("--leader-election-resource-lock"), o.LeaderElectionResourceLock, []string{"leases"}))
	}
	if o.LeaderElection && (o.RetryPeriod <= 0 || o.RenewDeadline <= o.RetryPeriod || o.LeaseDuration <= o.RenewDeadline) {
		errs = append(errs, field.Invalid(field.NewPath("--leader-election-lease-duration"), o.LeaseDuration.String(),
			fmt.Sprintf("must be longer than --leader-election-renew-deadline (%s), and that longer than --leader-election-retry-period (%s)", o.RenewDeadline, o.RetryPeriod)))
	}
	if o.WebhookPort < 1 || o.WebhookPort > 65535 {
		errs = append(errs, field.Invalid(field.NewPath("--webhook-port"), o.WebhookPort, "must be a port from 1 to 65535"))
	}
	return errs.ToAggregate()
}

// dnsNames are the names by which the API server, or anybody beside this process, calls the webhooks.
func (o *Options) dnsNames() []string {
	service := o.ServiceName + "." + o.OwnNamespace + ".svc"
	names := []string{service, service + ".cluster.local", "localhost"}
	if o.WebhookHost != "" && o.WebhookHost != "localhost" {
		names = append(names, o.WebhookHost)
	}
	return names
}

// period is a duration that may be written as nothing at all.
type period time.Duration

// Set implements pflag.Value.
func (p *period) Set(s string) error {
	if s == "" {
		s = "0"
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration like 10h, or 0", s)
	}
	*p = period(d)
	return nil
}

// String implements pflag.Value.
func (p *period) String() string { return time.Duration(*p).String() }

// Type implements pflag.Value.
func (p *period) Type() string { return "duration" }
