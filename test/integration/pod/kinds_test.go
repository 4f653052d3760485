package pod

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// A cluster may have had objects of kinds that the manager is limited away from: their pods must not wait for a manager that does
// nothing for them, and the objects can be written all the same.
func TestWhereOtherKindsAreNamedNoPodWaitsForItsSidecarsOrItsBudgetAndObjectsAreAdmitted(t *testing.T) {
	namespace := server.Namespace(t)
	stop := managed(t, asIs)
	logging(t, namespace, plainly)
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	b.Spec.Selector, b.Spec.MaxUnavailable = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, new(intstr.FromInt32(0))
	if err := server.Client.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	leaves(t, b)
	apiserver.Eventually(t, "a pod carries the sidecar", func() bool { return dry(t, plain(namespace), carries) })
	p := plain(namespace)
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	become(t, p, true, "a", "b", "log")
	stop()

	managed(t, func(m *manager.Options) { m.Kinds = []string{"CloneSet"} })

	apiserver.Eventually(t, "a pod starts without the sidecar", func() bool {
		return dry(t, plain(namespace), func(p *corev1.Pod) bool { return containers(p) == "a b" })
	})
	apiserver.Eventually(t, "a pod of the budget may go", func() bool { return server.Client.Delete(t.Context(), p, client.DryRunAll) == nil })
	asked(t, namespace) // what is no kind's is as ever
	logging(t, server.Namespace(t), plainly)
	for operations, admitted := range map[string]bool{"DELETE": true, "FLY": false} {
		other := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: server.Namespace(t), Name: "other", Annotations: map[string]string{
			policyv1beta1.PubProtectOperationsKey: operations,
		}}, Spec: b.Spec}
		leaves(t, other)
		if err := server.Client.Create(t.Context(), other); (err == nil) != admitted {
			t.Errorf("a budget against %s: %v", operations, err)
		}
	}
}

// leaves has an object deleted with the test, if it is there: others count webhooks.
func leaves(t *testing.T, object client.Object) {
	t.Helper()
	t.Cleanup(func() {
		if err := server.Client.Delete(context.WithoutCancel(t.Context()), object); client.IgnoreNotFound(err) != nil {
			t.Error(err)
		}
	})
}
