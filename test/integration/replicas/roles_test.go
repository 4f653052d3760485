package replicas

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

func TestTheRolesOfTheChartAreEnough(t *testing.T) {
	fresh(t)
	installed(t, asIs)

	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "granted"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "granted"}}
	set.Spec.Template.Labels = map[string]string{"app": "granted"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	set.Spec.Replicas = ptr.To[int32](2)
	if err := server.Client.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the set has its pods and says so", func() bool {
		pods := &corev1.PodList{}
		if err := server.Client.List(t.Context(), pods, client.InNamespace("default"), client.MatchingLabels{"app": "granted"}); err != nil {
			t.Fatal(err)
		}
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
			t.Fatal(err)
		}
		return len(pods.Items) == 2 && set.Status.Replicas == 2 && set.Status.ObservedGeneration == set.Generation
	})
	apiserver.Eventually(t, "what was done is told in events", func() bool {
		events := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), events, client.InNamespace("default")); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool { return e.Regarding.UID == set.UID })
	})
	if err := server.Client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`))); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the set has no pods and says so", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(set), set); err != nil {
			t.Fatal(err)
		}
		return set.Status.Replicas == 0 && set.Status.ObservedGeneration == set.Generation
	})
}
