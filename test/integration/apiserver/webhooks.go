package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/pod"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/protection"
)

const (
	ownNamespace       = "kruise-system"
	mutatingWebhooks   = "kruise-mutating-webhook-configuration"
	validatingWebhooks = "kruise-validating-webhook-configuration"
	patience           = time.Minute
)

// webhookConfigurations are those of the chart, but that they call this machine and not a service.
func webhookConfigurations(port int) []client.Object {
	rules := func(version, resource string) []admissionregistrationv1.RuleWithOperations {
		return []admissionregistrationv1.RuleWithOperations{{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Create, admissionregistrationv1.Update},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{"apps.kruise.io"}, APIVersions: []string{version}, Resources: []string{resource}},
		}}
	}
	at := func(path string) admissionregistrationv1.WebhookClientConfig {
		return admissionregistrationv1.WebhookClientConfig{URL: ptr.To(urlOf(port, path))}
	}
	mutating := &admissionregistrationv1.MutatingWebhookConfiguration{}
	mutating.Name = mutatingWebhooks
	for _, kind := range []string{"cloneset", "daemonset", "containerrecreaterequest", "sidecarset", "statefulset"} {
		mutating.Webhooks = append(mutating.Webhooks, admissionregistrationv1.MutatingWebhook{
			Name: "m" + kind + ".kb.io", ClientConfig: at("/mutate-apps-kruise-io-" + kind), Rules: rules("v1beta1", kind+"s"),
			MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		})
	}
	validating := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	validating.Name = validatingWebhooks
	for kind, version := range map[string]string{
		"cloneset": "v1beta1", "daemonset": "v1beta1", "imagelistpulljob": "v1beta1", "imagepulljob": "v1beta1", "persistentpodstate": "v1beta1", "podprobemarker": "v1alpha1", "sidecarset": "v1beta1", "statefulset": "v1beta1",
	} {
		validating.Webhooks = append(validating.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: "v" + kind + ".kb.io", ClientConfig: at("/validate-apps-kruise-io-" + kind), Rules: rules(version, kind+"s"),
			MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
			SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		})
	}
	validating.Webhooks = append(validating.Webhooks, deletions(at("/validate-deletion")))
	budget := rules("v1beta1", "podunavailablebudgets")
	budget[0].APIGroups = []string{"policy.kruise.io"}
	mutating.Webhooks = append(mutating.Webhooks, admissionregistrationv1.MutatingWebhook{
		Name: "mpodunavailablebudget.kb.io", ClientConfig: at("/mutate-policy-kruise-io-podunavailablebudget"), Rules: budget,
		MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	})
	validating.Webhooks = append(validating.Webhooks, admissionregistrationv1.ValidatingWebhook{
		Name: "vpodunavailablebudget.kb.io", ClientConfig: at("/validate-policy-kruise-io-podunavailablebudget"), Rules: budget,
		MatchPolicy: ptr.To(admissionregistrationv1.Equivalent), FailurePolicy: ptr.To(admissionregistrationv1.Fail),
		SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
	})
	pods := &admissionregistrationv1.MutatingWebhookConfiguration{} // the manager fills these in
	pods.Name = pod.MutatingConfiguration
	away := &admissionregistrationv1.ValidatingWebhookConfiguration{}
	away.Name = pod.ValidatingConfiguration
	return []client.Object{mutating, validating, pods, away}
}

// deletions is the webhook for objects that are protected by their label.
func deletions(call admissionregistrationv1.WebhookClientConfig) admissionregistrationv1.ValidatingWebhook {
	w := admissionregistrationv1.ValidatingWebhook{
		Name: "vdeletion.kb.io", ClientConfig: call,
		ObjectSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: "policy.kruise.io/delete-protection", Operator: metav1.LabelSelectorOpExists},
		}},
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpNotIn, Values: []string{"kube-system", "kube-public", ownNamespace}},
		}},
		MatchConditions: []admissionregistrationv1.MatchCondition{{Name: "not-being-deleted", Expression: "!has(oldObject.metadata.deletionTimestamp)"}},
		FailurePolicy:   ptr.To(admissionregistrationv1.Fail), SideEffects: ptr.To(admissionregistrationv1.SideEffectClassNone),
		AdmissionReviewVersions: []string{"v1"},
	}
	for _, r := range protection.Rules() {
		w.Rules = append(w.Rules, admissionregistrationv1.RuleWithOperations{
			Operations: []admissionregistrationv1.OperationType{admissionregistrationv1.Delete},
			Rule:       admissionregistrationv1.Rule{APIGroups: []string{r.Group}, APIVersions: []string{"*"}, Resources: []string{r.Resource}},
		})
	}
	return w
}

// Replica is one running manager.
type Replica struct {
	// WebhookPort serves the webhooks, HealthPort /readyz and /healthz, both on this machine.
	WebhookPort, HealthPort int

	stop func()
	done chan error
}

// RunWebhooks is RunReplica on the port that the API server calls.
func (s *Server) RunWebhooks(ctx context.Context, change func(*manager.Options, *serve.Options)) (*Replica, error) {
	return s.RunReplica(ctx, func(m *manager.Options, o *serve.Options) {
		o.WebhookPort = s.webhookPort
		change(m, o)
	})
}

// RunReplica is StartReplica, and returns once the replica is ready.
func (s *Server) RunReplica(ctx context.Context, change func(*manager.Options, *serve.Options)) (*Replica, error) {
	r, err := s.StartReplica(ctx, change)
	if err != nil {
		return nil, err
	}
	if err := r.AwaitReady(ctx); err != nil {
		return nil, errors.Join(err, r.Stop())
	}
	return r, nil
}

// StartReplica starts a manager, with options as the caller changes them. Unless the caller says otherwise it runs
// webhooks only, on a port of its own, and leads at once.
func (s *Server) StartReplica(ctx context.Context, change func(*manager.Options, *serve.Options)) (*Replica, error) {
	options, err := serve.NewOptions(manager.Name, func(string) string { return "" })
	if err != nil {
		return nil, err
	}
	webhooks, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	health, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	options.WebhookPort, options.HealthProbeAddr, options.MetricsAddr = webhooks, address(health), "0"
	options.LeaderElection, options.WebhookHost, options.RunsAgain = false, "localhost", true
	managerOptions := &manager.Options{
		WebhooksOnly: true, Probes: true, Pod: pod.Options{Enabled: true}, Budgets: disruption.Options{Deletions: true},
	}
	change(managerOptions, options)
	component, err := manager.Component(managerOptions)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	r := &Replica{WebhookPort: options.WebhookPort, HealthPort: health, stop: cancel, done: make(chan error, 1)}
	go func() { r.done <- serve.Run(ctx, s.Config, component, options) }()
	return r, nil
}

// Stop tells the replica to stop and waits until it has. A replica can be stopped again.
func (r *Replica) Stop() error {
	r.stop()
	err := <-r.done
	r.done <- nil
	return err
}

// AwaitEnd waits until the replica ends by itself, and returns what its process would have failed with.
func (r *Replica) AwaitEnd(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	select {
	case err := <-r.done:
		r.done <- nil
		return err
	case <-ctx.Done():
		return fmt.Errorf("waiting until the manager ends: %w", ctx.Err())
	}
}

// Alive asks /healthz once.
func (r *Replica) Alive(ctx context.Context) bool { return r.ask(ctx, "/healthz") }

// Ready asks /readyz once.
func (r *Replica) Ready(ctx context.Context) bool { return r.ask(ctx, "/readyz") }

func (r *Replica) ask(ctx context.Context, path string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address(r.HealthPort)+path, nil)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// AwaitReady waits until the replica is ready.
func (r *Replica) AwaitReady(ctx context.Context) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		select {
		case err := <-r.done:
			r.done <- err
			return false, fmt.Errorf("it stopped: %w", err)
		default:
			return r.Ready(ctx), nil
		}
	})
	if err != nil {
		return fmt.Errorf("waiting until the manager is ready: %w", err)
	}
	return nil
}

func urlOf(port int, path string) string { return "https://localhost:" + strconv.Itoa(port) + path }

func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// freePort returns a port that nobody listens on at this moment.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("looking for a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}
