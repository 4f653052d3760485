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

// MutatingConfiguration is the configuration whose webhooks the manager keeps: whoever installs the manager makes it,
// empty, and takes it away. The manager never makes one, so none outlives it.
const MutatingConfiguration = "kruise-pod-mutating-webhook-configuration"

const (
	// configurationPace is the shortest time between two writes of a configuration: objects may come by the thousand.
	configurationPace = time.Second
	// awaitCertificate is when to look again for a certificate to trust.
	awaitCertificate = 200 * time.Millisecond
)

// keeper keeps the webhooks of the configuration as the objects that exist ask for.
type keeper struct {
	// read reads the configuration, write writes it.
	read    client.Reader
	write   client.Client
	world   *world
	chain   []mutator
	options Options
	place   serve.Place
	clock   clock.PassiveClock

	wrote time.Time
}

// Reconcile implements reconcile.Reconciler. There is one thing to keep, so the request says nothing.
func (k *keeper) Reconcile(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
	if wait := k.wrote.Add(configurationPace).Sub(k.clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	call, ok := k.place.ClientConfig(mutatePath)
	if !ok {
		return reconcile.Result{RequeueAfter: awaitCertificate}, nil
	}
	is := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := k.read.Get(ctx, client.ObjectKey{Name: MutatingConfiguration}, is); err != nil {
		if apierrors.IsNotFound(err) {
			log.FromContext(ctx).Info("WARNING: no pod is changed at its creation: the configuration is missing. Install it with the chart", "configuration", MutatingConfiguration)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("reading MutatingWebhookConfiguration %s: %w", MutatingConfiguration, err)
	}
	webhooks, err := k.webhooks()
	if err != nil {
		return reconcile.Result{}, err
	}
	want := is.DeepCopy()
	want.Webhooks = k.mutating(webhooks, call, authorities(is))
	if equality.Semantic.DeepEqual(is.Webhooks, want.Webhooks) {
		return reconcile.Result{}, nil
	}
	if err := k.write.Patch(ctx, want, client.MergeFromWithOptions(is, client.MergeFromWithOptimisticLock{})); err != nil {
		if apierrors.IsConflict(err) { // the certificates were renewed meanwhile; that write comes by as an event
			return reconcile.Result{RequeueAfter: awaitCertificate}, nil
		}
		return reconcile.Result{}, fmt.Errorf("writing MutatingWebhookConfiguration %s: %w", MutatingConfiguration, err)
	}
	k.wrote = k.clock.Now()
	log.FromContext(ctx).Info("Changed for which pods the API server asks", "webhooks", len(webhooks))
	return reconcile.Result{}, nil
}

// webhooks asks every line of the chain.
func (k *keeper) webhooks() ([]podwebhook.Webhook, error) {
	if !k.options.Enabled {
		return nil, nil
	}
	var all []podwebhook.Demand
	for _, line := range k.chain {
		demands, err := line.asks(k.world)
		if err != nil {
			return nil, fmt.Errorf("asking which pods need %s: %w", line.name, err)
		}
		policy := k.options.policy(line)
		for _, d := range demands {
			d.Operation = podwebhook.Create
			if d.Policy == "" {
				d.Policy = policy
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
	return podwebhook.For(all, []string{metav1.NamespaceSystem, metav1.NamespacePublic, k.place.Namespace}), nil
}

// authorities are the CAs of a configuration by webhook: whoever keeps the certificates has the last word on them.
func authorities(is *admissionregistrationv1.MutatingWebhookConfiguration) map[string][]byte {
	out := map[string][]byte{}
	for i := range is.Webhooks {
		out[is.Webhooks[i].Name] = is.Webhooks[i].ClientConfig.CABundle
	}
	return out
}

// mutating spells webhooks out, with every default of the API server, so that they can be compared with what it stores.
func (k *keeper) mutating(webhooks []podwebhook.Webhook, call admissionregistrationv1.WebhookClientConfig, authorities map[string][]byte) []admissionregistrationv1.MutatingWebhook {
	var out []admissionregistrationv1.MutatingWebhook
	for _, w := range webhooks {
		call := *call.DeepCopy()
		if ca := authorities[w.Name]; len(ca) > 0 {
			call.CABundle = ca
		}
		object := w.ObjectSelector
		if object == nil {
			object = &metav1.LabelSelector{}
		}
		out = append(out, admissionregistrationv1.MutatingWebhook{
			Name: w.Name, ClientConfig: call,
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create},
				Rule: admissionregistrationv1.Rule{
					APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}, Scope: new(admissionregistrationv1.NamespacedScope),
				},
			}},
			FailurePolicy: &w.Policy, MatchPolicy: new(admissionregistrationv1.Equivalent),
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: object, MatchConditions: w.MatchConditions,
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), TimeoutSeconds: &k.options.TimeoutSeconds,
			AdmissionReviewVersions: []string{"v1"}, ReinvocationPolicy: new(admissionregistrationv1.NeverReinvocationPolicy),
		})
	}
	return out
}
