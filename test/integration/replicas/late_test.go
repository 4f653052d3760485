package replicas

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

// A manager that started before the CustomResourceDefinitions came, or while they were away, is no reason to restart anything by
// hand: the webhooks of the chart refuse every object until it answers for the kind.
func TestAManagerThatWasThereBeforeItsKindsEndsAndServesThemWhenItIsStartedAgain(t *testing.T) {
	fresh(t)
	crds := takeAway(t)
	early := installed(t)
	for _, crd := range crds {
		if err := server.Client.Create(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
	}
	if err := early.AwaitEnd(t.Context()); err != nil {
		t.Fatalf("it fails: %v", err)
	}
	for _, crd := range crds {
		apiserver.Eventually(t, crd.Name+" is served", func() bool { return serves(t, crd) })
	}
	apiserver.Eventually(t, "an event says why", func() bool {
		events := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), events, client.InNamespace("kruise-system")); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Reason == "KindServed" && e.Regarding.Name == "kruise-manager" && strings.HasPrefix(e.Note, "Starting anew: the API server serves ")
		})
	})

	installed(t)

	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "late"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "late"}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "side", Image: "demo:1"}}}
	budget := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "late"}}
	budget.Spec.Selector, budget.Spec.MaxUnavailable = set.Spec.Selector, new(intstr.FromInt32(1))
	for _, object := range []client.Object{set, budget} {
		apiserver.Eventually(t, object.GetName()+" is admitted", func() bool { return server.Client.Create(t.Context(), object) == nil })
	}
	apiserver.Eventually(t, "objects of v1alpha1 are converted and admitted", func() bool { return writeDemo(t) == nil })
	apiserver.Eventually(t, "pods get their sidecars", func() bool {
		pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", GenerateName: "late-", Labels: set.Spec.Selector.MatchLabels}}
		pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
		return server.Client.Create(t.Context(), pod, client.DryRunAll) == nil && len(pod.Spec.Containers) == 2
	})
}

// takeAway deletes the CustomResourceDefinitions, and returns them as they were installed.
func takeAway(t *testing.T) []*apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := server.Client.List(t.Context(), all); err != nil || len(all.Items) == 0 {
		t.Fatalf("%d CustomResourceDefinitions: %v", len(all.Items), err)
	}
	var crds []*apiextensionsv1.CustomResourceDefinition
	for i := range all.Items {
		crd := &all.Items[i]
		if err := server.Client.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		crds = append(crds, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd.Name}, Spec: crd.Spec})
	}
	for _, crd := range crds {
		apiserver.Eventually(t, crd.Name+" is gone", func() bool {
			return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(crd), &apiextensionsv1.CustomResourceDefinition{})) && !serves(t, crd)
		})
	}
	return crds
}

// serves says whether objects of a kind can be listed.
func serves(t *testing.T, crd *apiextensionsv1.CustomResourceDefinition) bool {
	t.Helper()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: crd.Spec.Group, Version: crd.Spec.Versions[0].Name, Kind: crd.Spec.Names.ListKind})
	return server.Client.List(t.Context(), list) == nil
}
