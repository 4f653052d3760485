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
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager/permits"
	"kruise.io/kruise/plan/affinity"
)

// Options are what the user of the whole cluster decides about the admission of pods.
type Options struct {
	// Enabled is false where no pod is ever to be sent to the manager.
	Enabled bool
	// GateForAll gives every pod the readiness gate KruisePodReady.
	GateForAll bool
	// Serverless asks virtual kubelets for the probes of PodProbeMarkers.
	Serverless bool
	// Sidecars injects SidecarSets, and SortSidecars sorts the containers of all of them by name.
	Sidecars, SortSidecars bool
	// Returns sends pods of PersistentPodStates back to their nodes.
	Returns bool
	// TimeoutSeconds is how long the API server waits for an answer, from 1 to 30. Default: 10.
	TimeoutSeconds int32
	// Policies change what becomes of the pods that ask for a line of a chain while no manager answers: Fail or Ignore, by
	// the name of the line.
	Policies map[string]string
	// Others are the kinds of workloads besides StatefulSets whose pods are to return to their nodes.
	Others affinity.Kinds
	// Permits is where permission is asked for to take a pod out of service. Nil: all is permitted.
	Permits *permits.Desk
}

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	var errs []error
	if o.TimeoutSeconds < 1 || o.TimeoutSeconds > 30 {
		errs = append(errs, fmt.Errorf("--pod-webhook-timeout-seconds: %d is not from 1 to 30", o.TimeoutSeconds))
	}
	var names []string
	for _, line := range lines() {
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
	for _, line := range lines() {
		all = append(all, line.name+"="+string(line.policy))
	}
	return strings.Join(all, ", ")
}

// lines are the lines of both chains.
func lines() []asking {
	all := sides()
	return slices.Concat(all[MutatingConfiguration].asks, all[ValidatingConfiguration].asks)
}

// policy is what becomes of the pods that ask for a line while no manager answers.
func (o Options) policy(line string, otherwise admissionregistrationv1.FailurePolicyType) admissionregistrationv1.FailurePolicyType {
	if policy, ok := o.Policies[line]; ok {
		return admissionregistrationv1.FailurePolicyType(policy)
	}
	return otherwise
}

// SetupWebhook serves the chains. A replica is ready once it has read the objects that the chains need. The revisions of
// SidecarSets are in the manager's own namespace.
func (o Options) SetupWebhook(mgr ctrl.Manager, own string) error {
	var synced atomic.Bool
	served := &world{}
	err := mgr.Add(everyReplica(func(ctx context.Context) error {
		w, err := o.world(ctx, mgr)
		if err != nil {
			return err
		}
		told := func() bool { return true }
		if w.sets != nil {
			if w.sidecars, told, err = newSetStore(ctx, mgr, own, o); err != nil {
				return fmt.Errorf("watching SidecarSets: %w", err)
			}
		}
		*served = *w
		// Nobody looks at the world before.
		synced.Store(mgr.GetCache().WaitForCacheSync(ctx) && toolscache.WaitForCacheSync(ctx.Done(), told))
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
	setupWebhooks(mgr, served, synced.Load)
	return nil
}

// world starts to watch what the chain needs to know. It watches no kind that the API server does not serve.
func (o Options) world(ctx context.Context, mgr ctrl.Manager) (*world, error) {
	w := &world{gateForAll: o.GateForAll, permits: o.Permits}
	var err error
	if o.Returns {
		if w.memory, err = remember(ctx, mgr, o.Others); err != nil {
			return nil, fmt.Errorf("watching PersistentPodStates: %w", err)
		}
	}
	if w.permits.Budgets() != nil {
		if w.pods, err = index.For(ctx, mgr.GetCache(), &corev1.Pod{}); err != nil {
			return nil, err
		}
	}
	if err := watch(ctx, mgr, o.Serverless, &w.markers, &v1alpha1.PodProbeMarker{}); err != nil {
		return nil, err
	}
	if err := watch(ctx, mgr, o.Sidecars, &w.sets, &v1beta1.SidecarSet{}); err != nil {
		return nil, err
	}
	return w, nil
}

// watch opens the store of a kind, if it is wanted and served.
func watch[T client.Object](ctx context.Context, mgr ctrl.Manager, wanted bool, store **index.Store[T], kind T) error {
	gvk, err := mgr.GetClient().GroupVersionKindFor(kind)
	if err != nil {
		return fmt.Errorf("watching %T: %w", kind, err)
	}
	if served, err := serve.IsServed(mgr, gvk); err != nil || !served || !wanted {
		return err
	}
	if *store, err = index.For(ctx, mgr.GetCache(), kind); err != nil {
		return fmt.Errorf("watching %s: %w", gvk.Kind, err)
	}
	return nil
}

// everyReplica runs in every replica, whether it leads or not.
type everyReplica func(context.Context) error

// Start implements manager.Runnable.
func (f everyReplica) Start(ctx context.Context) error { return f(ctx) }

// NeedLeaderElection implements manager.LeaderElectionRunnable.
func (everyReplica) NeedLeaderElection() bool { return false }

// SetupController adds the controller that keeps the webhooks to a manager. It runs in the leader.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options, place serve.Place) error {
	// The manager's role names the two configurations, so a cache of its own watches those alone.
	configurations, err := cache.New(mgr.GetConfig(), cache.Options{
		HTTPClient: mgr.GetHTTPClient(), Scheme: mgr.GetScheme(), Mapper: mgr.GetRESTMapper(),
		ByObject: map[client.Object]cache.ByObject{
			&admissionregistrationv1.MutatingWebhookConfiguration{}:   {Field: fields.OneTermEqualSelector("metadata.name", MutatingConfiguration)},
			&admissionregistrationv1.ValidatingWebhookConfiguration{}: {Field: fields.OneTermEqualSelector("metadata.name", ValidatingConfiguration)},
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
	w, err := o.world(ctx, mgr)
	if err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("podwebhook").
		WatchesRawSource(source.Kind(configurations, &admissionregistrationv1.MutatingWebhookConfiguration{}, wakes[*admissionregistrationv1.MutatingWebhookConfiguration]())).
		WatchesRawSource(source.Kind(configurations, &admissionregistrationv1.ValidatingWebhookConfiguration{}, wakes[*admissionregistrationv1.ValidatingWebhookConfiguration]())).
		WithOptions(controller.Options{MaxConcurrentReconciles: 1})
	if w.markers != nil {
		b = b.WatchesRawSource(source.Kind(mgr.GetCache(), &v1alpha1.PodProbeMarker{}, wakes[*v1alpha1.PodProbeMarker](), asksAnew[*v1alpha1.PodProbeMarker]()))
	}
	if w.permits.Budgets() != nil {
		b = b.WatchesRawSource(source.Kind(mgr.GetCache(), &policyv1beta1.PodUnavailableBudget{}, wakes[*policyv1beta1.PodUnavailableBudget](), asksAnew[*policyv1beta1.PodUnavailableBudget]()))
	}
	if w.sets != nil {
		b = b.WatchesRawSource(source.Kind(mgr.GetCache(), &v1beta1.SidecarSet{}, wakes[*v1beta1.SidecarSet](), predicate.Or(asksAnew[*v1beta1.SidecarSet](), asksOtherwise())))
	}
	err = w.memory.watch(mgr, b).Complete(&keeper{
		read: configurations, write: mgr.GetClient(), world: w, sides: sides(), options: o, place: place,
		clock: clock.RealClock{}, wrote: map[string]time.Time{},
	})
	if err != nil {
		return fmt.Errorf("set up the webhooks for pods: %w", err)
	}
	return nil
}

// wakes is what wakes the keeper, who has two things to keep.
func wakes[T client.Object]() handler.TypedEventHandler[T, reconcile.Request] {
	return handler.TypedEnqueueRequestsFromMapFunc(func(context.Context, T) []reconcile.Request {
		return []reconcile.Request{
			{NamespacedName: types.NamespacedName{Name: MutatingConfiguration}}, {NamespacedName: types.NamespacedName{Name: ValidatingConfiguration}},
		}
	})
}

// asksAnew lets through that what an object asks for may have changed: its spec, or that it is there at all.
func asksAnew[T client.Object]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{UpdateFunc: func(e event.TypedUpdateEvent[T]) bool {
		return e.ObjectOld.GetGeneration() != e.ObjectNew.GetGeneration() ||
			(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
	}}
}

// asksOtherwise lets through that a SidecarSet asks with another policy, which is not in its spec.
func asksOtherwise() predicate.TypedPredicate[*v1beta1.SidecarSet] {
	return predicate.TypedFuncs[*v1beta1.SidecarSet]{UpdateFunc: func(e event.TypedUpdateEvent[*v1beta1.SidecarSet]) bool {
		return policyOf(e.ObjectOld) != policyOf(e.ObjectNew)
	}}
}
