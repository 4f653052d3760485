// Package pod proves on a real API server what the manager promises about the creation of pods: for which pods the API
// server asks it, what becomes of these, and that no other pod ever waits.
package pod

import (
	"slices"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/pod"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server)
}

// managed runs a manager with its controllers, and returns what stops it; it stops with the test at the latest.
func managed(t *testing.T, change func(*manager.Options)) (stop func()) {
	t.Helper()
	return server.Managed(t, func(m *manager.Options, _ *serve.Options) {
		m.WebhooksOnly = false
		change(m)
	})
}

func asIs(*manager.Options) {}

// configuration reads the webhooks for pods.
func configuration(t *testing.T) *admissionregistrationv1.MutatingWebhookConfiguration {
	t.Helper()
	c := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := server.Client.Get(t.Context(), client.ObjectKey{Name: pod.MutatingConfiguration}, c); err != nil {
		t.Fatal(err)
	}
	return c
}

// webhooks are the names of the webhooks for pods.
func webhooks(t *testing.T) []string {
	t.Helper()
	var names []string
	for _, w := range configuration(t).Webhooks {
		names = append(names, w.Name)
	}
	return names
}

// plain makes a pod that asks for nothing, of two containers.
func plain(namespace string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "web-", Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "demo:1"}, {Name: "b", Image: "demo:1"}}},
	}
}

// ordered makes a pod that asks for an order of its containers.
func ordered(namespace string) *corev1.Pod {
	p := plain(namespace)
	p.Annotations = map[string]string{"apps.kruise.io/container-launch-priority": "Ordered"}
	return p
}

// waits says whether the containers of a pod wait for their turn.
func waits(p *corev1.Pod) bool {
	for _, c := range p.Spec.Containers {
		if len(c.Env) == 0 || c.Env[0].Name != "KRUISE_CONTAINER_BARRIER" {
			return false
		}
	}
	return true
}

// asked waits until the API server asks about pods that want an order, and about no others.
func asked(t *testing.T, namespace string) {
	t.Helper()
	apiserver.Eventually(t, "there is the one webhook for pods that want an order", func() bool {
		return slices.Equal(webhooks(t), []string{"create-fail-0.mpod.kb.io"})
	})
	apiserver.Eventually(t, "the API server calls it", func() bool { return dry(t, ordered(namespace), waits) })
}

// dry says what a pod would be like if it were created.
func dry(t *testing.T, p *corev1.Pod, like func(*corev1.Pod) bool) bool {
	t.Helper()
	return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && like(p)
}
