package pod

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/test/integration/apiserver"
)

// A pod of a budget that serves is the one that the policy decides about; the others go in any case.
func TestWhetherAPodOfABudgetGoesWhileNoManagerAnswersIsAPolicy(t *testing.T) {
	for policy, goes := range map[string]bool{"Fail": false, "Ignore": true} {
		t.Run(policy, func(t *testing.T) {
			namespace := server.Namespace(t)
			stop := managed(t, func(m *manager.Options) {
				m.Budgets = disruption.Options{Deletions: true, Changes: true}
				m.Pod.Policies = map[string]string{"budget-deletions": policy, "budget-changes": policy}
			})
			b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
			b.Spec.Selector, b.Spec.MaxUnavailable = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, new(intstr.FromInt32(0))
			apiserver.Eventually(t, "the budget is created", func() bool { return server.Client.Create(t.Context(), b) == nil })
			leaves(t, b)
			serves, idle := plain(namespace), plain(namespace)
			for p, ready := range map[*corev1.Pod]corev1.ConditionStatus{serves: corev1.ConditionTrue, idle: corev1.ConditionFalse} {
				if err := server.Client.Create(t.Context(), p); err != nil {
					t.Fatal(err)
				}
				before := p.DeepCopy()
				p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
				if err := server.Client.Status().Patch(t.Context(), p, client.MergeFrom(before)); err != nil {
					t.Fatal(err)
				}
			}
			tries := func(p *corev1.Pod) []error {
				image := []byte(`{"spec":{"containers":[{"name":"a","image":"demo:2"}]}}`)
				return []error{
					server.Client.Delete(t.Context(), p.DeepCopy(), client.DryRunAll),
					server.Client.SubResource("eviction").Create(t.Context(), p.DeepCopy(), &policyv1.Eviction{}, client.DryRunAll),
					server.Client.Patch(t.Context(), p.DeepCopy(), client.RawPatch("application/strategic-merge-patch+json", image), client.DryRunAll),
				}
			}
			all := func(errs []error, says string) bool {
				return !slices.ContainsFunc(errs, func(err error) bool { return err == nil || !strings.Contains(err.Error(), says) })
			}
			apiserver.Eventually(t, "the budget keeps the pod that serves", func() bool { return all(tries(serves), "lets no more pods become unavailable") })
			stop()
			if goes {
				apiserver.Eventually(t, "it may go and change while nobody answers", func() bool { return slices.Equal(tries(serves), []error{nil, nil, nil}) })
			} else {
				apiserver.Eventually(t, "it stays while nobody answers", func() bool { return all(tries(serves), "failed calling webhook") })
			}
			eviction := !goes // which carries no labels, and may be of any pod
			for i, err := range tries(idle) {
				if waits := err != nil; waits != (i == 1 && eviction) {
					t.Errorf("attempt %d on a pod that does not serve, while no manager answers: %v", i, err)
				}
			}
			for i, err := range tries(elsewhere(t)) {
				if err != nil {
					t.Errorf("attempt %d on a pod of another namespace, while no manager answers: %v", i, err)
				}
			}
		})
	}
}

// elsewhere is a pod in a namespace without a budget.
func elsewhere(t *testing.T) *corev1.Pod {
	t.Helper()
	p := plain(server.Namespace(t))
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}
