package pod

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/kit/serve"
)

// Options are what the user of the whole cluster decides about the admission of pods.
type Options struct {
	// Enabled is false where no pod is ever to be sent to the manager.
	Enabled bool
	// GateForAll gives every pod the readiness gate KruisePodReady.
	GateForAll bool
	// TimeoutSeconds is how long the API server waits for an answer, from 1 to 30. Default: 10.
	TimeoutSeconds int32
	// Policies change what becomes of the pods that ask for a line of the chain while no manager answers: Fail or Ignore, by
	// the name of the line.
	Policies map[string]string
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	if o.TimeoutSeconds < 1 || o.TimeoutSeconds > 30 {
		errs = append(errs, fmt.Errorf("--pod-webhook-timeout-seconds: %d is not from 1 to 30", o.TimeoutSeconds))
	}
	var names []string
	for _, line := range chain() {
		names = append(names, line.name)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Policies)) {
		if !slices.Contains(names, name) {
			errs = append(errs, fmt.Errorf("--pod-webhook-failure-policy: %q is none of %s", name, strings.Join(names, ", ")))
		}
		if policy := o.Policies[name]; policy != string(admissionregistrationv1.Fail) && policy != string(admissionregistrationv1.Ignore) {
			errs = append(errs, fmt.Errorf("--pod-webhook-failure-policy: %s=%s: the policy is Fail or Ignore", name, policy))
		}
	}
	return errors.Join(errs...)
}

// Defaults are the names of the lines and their policies, as name=policy.
func Defaults() string {
	var all []string
	for _, line := range chain() {
		all = append(all, line.name+"="+string(line.policy))
	}
	return strings.Join(all, ", ")
}

func (o Options) policy(line mutator) admissionregistrationv1.FailurePolicyType {
	if policy, ok := o.Policies[line.name]; ok {
		return admissionregistrationv1.FailurePolicyType(policy)
	}
	return line.policy
}

// SetupWebhook serves the chain. A replica is ready once it has read the objects that the chain needs.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	var synced atomic.Bool
	err := mgr.Add(everyReplica(func(ctx context.Context) error {
		synced.Store(mgr.GetCache().WaitForCacheSync(ctx))
		return nil
	}))
	if err == nil {
		err = mgr.AddReadyzCheck("pods", func(*http.Request) error {
			if !synced.Load() {
				return errors.New("the objects that pods are admitted by were not all read yet")
			}
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("set up the admission of pods: %w", err)
	}
	setupWebhook(mgr, o.world(), synced.Load)
	return nil
}

func (o Options) world() *world { return &world{gateForAll: o.GateForAll} }

// everyReplica runs in every replica, whether it leads or not.
type everyReplica func(context.Context) error

// Start implements manager.Runnable.
func (f everyReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everyReplica) NeedLeaderElection() bool { return false }

// SetupController adds the controller that keeps the webhooks to a manager. It runs in the leader.
func SetupController(mgr ctrl.Manager, o Options, place serve.Place) error {
	// The manager's role names the one configuration, so a cache of its own watches that alone.
	configurations, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		ByObject: map[client.Object]cache.ByObject{
			&admissionregistrationv1.MutatingWebhookConfiguration{}: {Field: fields.OneTermEqualSelector("metadata.name", MutatingConfiguration)},
		},
	})
	if err != nil {
		return fmt.Errorf("set up the webhooks for pods: %w", err)
	}
	if err := mgr.Add(configurations); err != nil {
		return fmt.Errorf("set up the webhooks for pods: %w", err)
	}
	if o.TimeoutSeconds == 0 {
		o.TimeoutSeconds = 10
	}
	all := handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, *admissionregistrationv1.MutatingWebhookConfiguration) []reconcile.Request {
		return []reconcile.Request{{}}
	})
	err = ctrl.NewControllerManagedBy(mgr).
		Named("podwebhook").
		WatchesRawSource(source.Kind(configurations, &admissionregistrationv1.MutatingWebhookConfiguration{}, all)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1}).
		Complete(&keeper{read: configurations, write: mgr.GetClient(), world: o.world(), chain: chain(), options: o, place: place, clock: clock.RealClock{}})
	if err != nil {
		return fmt.Errorf("set up the webhooks for pods: %w", err)
	}
	return nil
}
