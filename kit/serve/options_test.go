package serve

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func parsed(t *testing.T, environment map[string]string, args ...string) *Options {
	t.Helper()
	o, err := NewOptions("demo-manager", func(key string) string { return environment[key] })
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("demo-manager", pflag.ContinueOnError)
	o.Options.AddFlags(flags)
	o.AddFlags(flags)
	if err := flags.Parse(args); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestTheDefaultsAreThoseOfOpenKruiseButForTheThrottleAndProfiles(t *testing.T) {
	o := parsed(t, nil)
	if o.MetricsAddr != ":8080" || o.HealthProbeAddr != ":8000" || o.WebhookPort != 9876 || o.OwnNamespace != "kruise-system" ||
		o.SecretName != "kruise-webhook-certs" || o.ServiceName != "kruise-webhook-service" ||
		!o.LeaderElection || o.LeaderElectionID != "demo-manager" || o.LeaderElectionNamespace != "kruise-system" ||
		o.LeaseDuration != 15*time.Second || o.RenewDeadline != 10*time.Second || o.RetryPeriod != 2*time.Second ||
		o.CacheSyncTimeout != 2*time.Minute || o.SyncPeriod != 0 || o.Namespace != "" {
		t.Errorf("%+v", o)
	}
	if o.QPS != -1 || o.EnablePprof || o.PprofAddr != "localhost:8090" {
		t.Errorf("QPS %v, pprof %t at %s", o.QPS, o.EnablePprof, o.PprofAddr)
	}
	if err := o.Validate(); err != nil {
		t.Error(err)
	}
}

func TestTheEnvironmentOfAPodIsHeard(t *testing.T) {
	o := parsed(t, map[string]string{"POD_NAMESPACE": "ops", "WEBHOOK_PORT": "443", "SECRET_NAME": "s", "SERVICE_NAME": "svc", "WEBHOOK_HOST": "example.com"})
	if o.OwnNamespace != "ops" || o.LeaderElectionNamespace != "ops" || o.WebhookPort != 443 || o.SecretName != "s" {
		t.Errorf("%+v", o)
	}
	if want := []string{"svc.ops.svc", "svc.ops.svc.cluster.local", "localhost", "example.com"}; !slices.Equal(o.dnsNames(), want) {
		t.Errorf("names %q, want %q", o.dnsNames(), want)
	}
}

func TestFlagsAsExistingDeploymentsWriteThem(t *testing.T) {
	o := parsed(t, nil, "--enable-leader-election", "--metrics-addr=:18080", "--sync-period=", "--sync-period=0", "--sync-period=10h",
		"--rest-config-qps=30", "--rest-config-burst=50", "--v=4", "--logging-format=json", "--leader-election-resource-lock=leases", "--namespace=one")
	if o.MetricsAddr != ":18080" || o.SyncPeriod != 10*time.Hour || o.QPS != 30 || o.Burst != 50 || o.Logging.Format != "json" || o.Logging.Verbosity != 4 || o.Namespace != "one" {
		t.Errorf("%+v", o)
	}
}

func TestFlagsThatCannotBeAreNamed(t *testing.T) {
	cases := map[string]struct{ flag, want string }{
		"a lock that is gone":              {"--leader-election-resource-lock=endpoints", `--leader-election-resource-lock: Unsupported value: "endpoints": supported values: "leases"`},
		"a lease shorter than its renewal": {"--leader-election-lease-duration=5s", `--leader-election-lease-duration: Invalid value: "5s": must be longer than --leader-election-renew-deadline (10s), and that longer than --leader-election-retry-period (2s)`},
		"a port that is none":              {"--webhook-port=70000", `--webhook-port: Invalid value: 70000: must be a port from 1 to 65535`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			err := parsed(t, nil, tc.flag).Validate()
			if err == nil || err.Error() != tc.want {
				t.Errorf("got  %v\nwant %s", err, tc.want)
			}
		})
	}
	if _, err := NewOptions("demo-manager", func(key string) string { return map[string]string{"WEBHOOK_PORT": "many"}[key] }); err == nil || !strings.Contains(err.Error(), "WEBHOOK_PORT") {
		t.Errorf("a port in words: %v", err)
	}
}
