package pod

import (
	"context"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/plan/podwebhook"
)

// The configurations whose webhooks the manager keeps: whoever installs the manager makes them, empty, and takes them away.
// The manager never makes one, so none outlives it.
const (
	// MutatingConfiguration sends pods that are about to be created through the chain.
	MutatingConfiguration = "kruise-pod-mutating-webhook-configuration"
	// ValidatingConfiguration asks about pods that are about to be changed, deleted or evicted.
	ValidatingConfiguration = "kruise-pod-validating-webhook-configuration"
)

const (
	// configurationPace is the shortest time between two writes of a configuration: objects may come by the thousand.
	configurationPace = time.Second
	// awaitCertificate is when to look again for a certificate to trust.
	awaitCertificate = 200 * time.Millisecond
)

// keeper keeps the webhooks of the configurations as the objects that exist ask for.
type keeper struct {
	// read reads the configurations, write writes them.
	read    client.Reader
	write   client.Client
	world   *world
	sides   map[string]side
	options Options
	place   serve.Place
	clock   clock.PassiveClock

	wrote map[string]time.Time
}

// side is one configuration: what asks for its webhooks, and how they stand in it.
type side struct {
	path string
	asks []asking
	// empty makes an empty configuration.
	empty func() client.Object
	// authorities reads the CAs of a configuration, by webhook, and set sets its webhooks, spelled out with every default of
	// the API server, so that they can be compared with what it stores.
	authorities func(client.Object) map[string][]byte
	set         func(client.Object, []call)
}

// asking is what a line of a chain asks for.
type asking struct {
	name   string
	policy admissionregistrationv1.FailurePolicyType
	asks   func(*world) ([]podwebhook.Demand, error)
}

// call is a webhook, and how it is called.
type call struct {
	podwebhook.Webhook
	config  admissionregistrationv1.WebhookClientConfig
	timeout int32
}

// sides are the two configurations, by name.
func sides() map[string]side {
	var mutate, validate []asking
	for _, line := range chain() {
		mutate = append(mutate, asking{line.name, line.policy, line.asks})
	}
	for _, line := range validators() {
		validate = append(validate, asking{line.name, line.policy, line.asks})
	}
	return map[string]side{
		MutatingConfiguration: {
			path: mutatePath, asks: mutate, empty: func() client.Object { return &admissionregistrationv1.MutatingWebhookConfiguration{} },
			authorities: mutatingAuthorities, set: setMutating,
		},
		ValidatingConfiguration: {
			path: validatePath, asks: validate, empty: func() client.Object { return &admissionregistrationv1.ValidatingWebhookConfiguration{} },
			authorities: validatingAuthorities, set: setValidating,
		},
	}
}

// Reconcile implements reconcile.Reconciler. The request names the configuration.
func (k *keeper) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	side := k.sides[req.Name]
	if wait := k.wrote[req.Name].Add(configurationPace).Sub(k.clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	config, ok := k.place.ClientConfig(side.path)
	if !ok {
		return reconcile.Result{RequeueAfter: awaitCertificate}, nil
	}
	is := side.empty()
	if err := k.read.Get(ctx, req.NamespacedName, is); err != nil {
		if apierrors.IsNotFound(err) {
			log.FromContext(ctx).Info("WARNING: the API server asks nobody about pods: the configuration is missing. Install it with the chart", "configuration", req.Name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading webhook configuration %s: %w", req.Name, err)
	}
	webhooks, err := k.webhooks(side)
	if err != nil {
		return reconcile.Result{}, err
	}
	want := is.DeepCopyObject().(client.Object)
	side.set(want, k.calls(webhooks, config, side.authorities(is)))
	if equality.Semantic.DeepEqual(is, want) {
		return reconcile.Result{}, nil
	}
	if err := k.write.Patch(ctx, want, client.MergeFromWithOptions(is, client.MergeFromWithOptimisticLock{})); err != nil {
		if apierrors.IsConflict(err) { // the certificates were renewed meanwhile; that write comes by as an event
			return reconcile.Result{RequeueAfter: awaitCertificate}, nil
		}
		return reconcile.Result{}, fmt.Errorf("writing webhook configuration %s: %w", req.Name, err)
	}
	k.wrote[req.Name] = k.clock.Now()
	log.FromContext(ctx).Info("Changed for which pods the API server asks", "configuration", req.Name, "webhooks", len(webhooks))
	return reconcile.Result{}, nil
}

// webhooks asks every line of a chain.
func (k *keeper) webhooks(s side) ([]podwebhook.Webhook, error) {
	if !k.options.Enabled {
		return nil, nil
	}
	var all []podwebhook.Demand
	for _, line := range s.asks {
		demands, err := line.asks(k.world)
		if err != nil {
			return nil, fmt.Errorf("asking which pods need %s: %w", line.name, err)
		}
		policy := k.options.policy(line.name, line.policy)
		for _, d := range demands {
			if d.Policy == "" {
				d.Policy = policy
			}
			if d.Operation == "" {
				d.Operation = podwebhook.Create
			}
			if only := k.place.Only; only != "" {
				if d.Namespace != "" && d.Namespace != only {
					continue
				}
				d.Namespace = only // what no controller looks at must not wait for one
			}
			all = append(all, d)
		}
	}
	return podwebhook.For(all, k.place.Reserved()), nil
}

// calls says how webhooks are called. Whoever keeps the certificates has the last word on CAs that stand there already.
func (k *keeper) calls(webhooks []podwebhook.Webhook, config admissionregistrationv1.WebhookClientConfig, authorities map[string][]byte) []call {
	var out []call
	for _, w := range webhooks {
		c := call{Webhook: w, config: *config.DeepCopy(), timeout: k.options.TimeoutSeconds}
		if ca := authorities[w.Name]; len(ca) > 0 {
			c.config.CABundle = ca
		}
		if w.ObjectSelector == nil {
			c.ObjectSelector = &metav1.LabelSelector{}
		}
		out = append(out, c)
	}
	return out
}

// rules are the requests that a webhook is about. Resources of pods are changed where clusters have it so: by a request of its own.
func (c *call) rules() []admissionregistrationv1.RuleWithOperations {
	operation, resources := admissionregistrationv1.Create, []string{"pods"}
	switch c.Operation {
	case podwebhook.Update:
		operation, resources = admissionregistrationv1.Update, []string{"pods", "pods/resize"}
	case podwebhook.Delete:
		operation = admissionregistrationv1.Delete
	case podwebhook.Evict:
		resources = []string{"pods/eviction"}
	}
	return []admissionregistrationv1.RuleWithOperations{{
		Operations: []admissionregistrationv1.OperationType{operation},
		Rule: admissionregistrationv1.Rule{
			APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: resources, Scope: new(admissionregistrationv1.NamespacedScope),
		},
	}}
}

func mutatingAuthorities(o client.Object) map[string][]byte {
	out := map[string][]byte{}
	if c, ok := o.(*admissionregistrationv1.MutatingWebhookConfiguration); ok {
		for i := range c.Webhooks {
			out[c.Webhooks[i].Name] = c.Webhooks[i].ClientConfig.CABundle
		}
	}
	return out
}

func validatingAuthorities(o client.Object) map[string][]byte {
	out := map[string][]byte{}
	if c, ok := o.(*admissionregistrationv1.ValidatingWebhookConfiguration); ok {
		for i := range c.Webhooks {
			out[c.Webhooks[i].Name] = c.Webhooks[i].ClientConfig.CABundle
		}
	}
	return out
}

func setMutating(o client.Object, calls []call) {
	var out []admissionregistrationv1.MutatingWebhook
	for i := range calls {
		c := &calls[i]
		out = append(out, admissionregistrationv1.MutatingWebhook{
			Name: c.Name, ClientConfig: c.config, Rules: c.rules(),
			FailurePolicy: &c.Policy, MatchPolicy: new(admissionregistrationv1.Equivalent),
			NamespaceSelector: c.NamespaceSelector, ObjectSelector: c.ObjectSelector, MatchConditions: c.MatchConditions,
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), TimeoutSeconds: &c.timeout,
			AdmissionReviewVersions: []string{"v1"}, ReinvocationPolicy: new(admissionregistrationv1.NeverReinvocationPolicy),
		})
	}
	if c, ok := o.(*admissionregistrationv1.MutatingWebhookConfiguration); ok {
		c.Webhooks = out
	}
}

// setValidating tells the API server that a permission is a side effect, which a dry run does not have.
func setValidating(o client.Object, calls []call) {
	var out []admissionregistrationv1.ValidatingWebhook
	for i := range calls {
		c := &calls[i]
		out = append(out, admissionregistrationv1.ValidatingWebhook{
			Name: c.Name, ClientConfig: c.config, Rules: c.rules(),
			FailurePolicy: &c.Policy, MatchPolicy: new(admissionregistrationv1.Equivalent),
			NamespaceSelector: c.NamespaceSelector, ObjectSelector: c.ObjectSelector, MatchConditions: c.MatchConditions,
			SideEffects: new(admissionregistrationv1.SideEffectClassNoneOnDryRun), TimeoutSeconds: &c.timeout,
			AdmissionReviewVersions: []string{"v1"},
		})
	}
	if c, ok := o.(*admissionregistrationv1.ValidatingWebhookConfiguration); ok {
		c.Webhooks = out
	}
}
