package persistentpodstate

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestWhoeverHasPodsRememberedThatDoNotReturnIsTold(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	v := &validator{states: fake.NewClientBuilder().WithScheme(scheme).Build(), reserved: []string{"kube-system"}}
	for namespace, want := range map[string][]string{
		"shop": nil, "kube-system": {"pods in namespace kube-system do not return to where they ran: new pods there are sent to no webhook"},
	} {
		state := &v1beta1.PersistentPodState{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
		state.Spec.TargetReference = v1beta1.TargetReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: "web"}
		if got, err := v.ValidateCreate(t.Context(), state); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", namespace, got, err, want)
		}
	}
}
