package podunavailablebudget

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/policy/v1beta1"
)

func TestWhoeverCreatesABudgetWhereNobodyIsAskedIsTold(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	v := &validator{on: true, others: fake.NewClientBuilder().WithScheme(scheme).Build(), reserved: []string{"kube-system", "kruise-system"}}
	for namespace, want := range map[string][]string{
		"shop":          nil,
		"kube-system":   {"in namespace kube-system only rollouts of kruise ask a budget: deletions, evictions and other changes of pods are not refused there"},
		"kruise-system": {"in namespace kruise-system only rollouts of kruise ask a budget: deletions, evictions and other changes of pods are not refused there"},
	} {
		b := &v1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
		b.Spec.Selector, b.Spec.MaxUnavailable = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, new(intstr.FromInt32(1))
		if got, err := v.ValidateCreate(t.Context(), b); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", namespace, strings.Join(got, "; "), err, want)
		}
	}
}
