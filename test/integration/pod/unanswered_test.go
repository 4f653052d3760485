package pod

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// hides keeps a manager from knowing a namespace, as if it were too new for its cache, and the API server did not answer.
type hides struct {
	http.RoundTripper
	namespace string
}

// RoundTrip implements http.RoundTripper.
func (h hides) RoundTrip(r *http.Request) (*http.Response, error) {
	switch r.URL.Path {
	case "/api/v1/namespaces/" + h.namespace:
		return nil, errors.New("no route to the API server")
	case "/api/v1/namespaces":
		r = r.Clone(r.Context())
		query := r.URL.Query()
		query.Set("fieldSelector", "metadata.name!="+h.namespace)
		r.URL.RawQuery = query.Encode()
	}
	return h.RoundTripper.RoundTrip(r)
}

// A manager that cannot work out what becomes of a pod says so as one that is not there: it refuses no pod that may do without.
func TestAManagerThatCannotAnswerSaysSoAndThePolicyDecides(t *testing.T) {
	namespace := server.Namespace(t)
	blind := *server
	blind.Config = rest.CopyConfig(server.Config)
	blind.Config.Wrap(func(next http.RoundTripper) http.RoundTripper { return hides{RoundTripper: next, namespace: namespace} })
	blind.Managed(t, func(m *manager.Options, _ *serve.Options) { m.WebhooksOnly = false })
	logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Annotations = map[string]string{v1beta1.SidecarSetInjectionFailurePolicyKey: "Ignore"}
	})
	logging(t, namespace, func(set *v1beta1.SidecarSet) {
		set.Name, set.Spec.Selector.MatchLabels["app"] = "strict-"+namespace, "strict"
	})
	strict := plain(namespace)
	strict.Labels["app"] = "strict"
	apiserver.Eventually(t, "a pod that must not miss its sidecar waits, and the words say why", func() bool {
		err := server.Client.Create(t.Context(), strict.DeepCopy(), client.DryRunAll)
		return waited(err) && strings.Contains(err.Error(), "reading the labels of namespace "+namespace) && strings.Contains(err.Error(), "no route to the API server")
	})
	lenient := plain(namespace)
	if err := server.Client.Create(t.Context(), lenient); err != nil || containers(lenient) != "a b" {
		t.Errorf("a pod that may miss its sidecar: %v, containers %s", err, containers(lenient))
	}
}
