package cloneset

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

// demoPod makes a pod, owned by a set where one is given.
func demoPod(t *testing.T, set *unstructured.Unstructured, name string, finalizers []string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: set.GetNamespace(), Name: name, Finalizers: finalizers, OwnerReferences: []metav1.OwnerReference{{
			APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: set.GetName(), UID: set.GetUID(), Controller: ptr.To(true),
		}}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "demo:1"}}},
	}
	if err := server.Client.Create(t.Context(), pod); err != nil {
		t.Fatalf("creating pod %s: %v", name, err)
	}
	return pod
}

func setNames(t *testing.T, set *unstructured.Unstructured, names ...string) {
	t.Helper()
	if err := unstructured.SetNestedStringSlice(set.Object, names, "spec", "scaleStrategy", "podsToDelete"); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyLivingPodsOfTheSetCanBeNamedToBeDeleted(t *testing.T) {
	namespace := server.Namespace(t)
	set, other := object(t, v1alpha1, namespace, `{}`), object(t, v1alpha1, namespace, `{metadata: {name: other}}`)
	for _, s := range []*unstructured.Unstructured{set, other} {
		if err := server.Client.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	demoPod(t, set, "demo-alive", nil)
	demoPod(t, other, "other-alive", nil)
	dying := demoPod(t, set, "demo-dying", []string{"example.com/hold"})
	if err := server.Client.Delete(t.Context(), dying, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	vanished := demoPod(t, set, "demo-vanished", nil)

	// A name that was let in stays, though its pod is gone by then: the controller takes it off.
	setNames(t, set, "demo-vanished")
	if err := server.Client.Update(t.Context(), set); err != nil {
		t.Fatalf("a pod of the set was refused: %v", err)
	}
	if err := server.Client.Delete(t.Context(), vanished, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}

	cases := map[string]struct {
		names []string
		want  string
	}{
		"a pod of the set":             {[]string{"demo-vanished", "demo-alive"}, ""},
		"a pod of another set":         {[]string{"demo-vanished", "other-alive"}, `spec.scaleStrategy.podsToDelete[1]: Invalid value: "other-alive": the pod does not belong to this CloneSet`},
		"a pod that is going already":  {[]string{"demo-dying"}, `spec.scaleStrategy.podsToDelete[0]: Invalid value: "demo-dying": the pod is being deleted already`},
		"a pod that was never there":   {[]string{"demo-never"}, `spec.scaleStrategy.podsToDelete[0]: Invalid value: "demo-never": there is no such pod in the namespace of the CloneSet`},
		"two faults are told together": {[]string{"demo-never", "demo-dying"}, `[spec.scaleStrategy.podsToDelete[0]: Invalid value: "demo-never": there is no such pod in the namespace of the CloneSet, spec.scaleStrategy.podsToDelete[1]: Invalid value: "demo-dying": the pod is being deleted already]`},
	}
	apiserver.Eventually(t, "it is known that a pod is being deleted", func() bool {
		changed := set.DeepCopy()
		setNames(t, changed, "demo-dying")
		return server.Client.Update(t.Context(), changed, client.DryRunAll) != nil
	})
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			changed := set.DeepCopy()
			setNames(t, changed, tc.names...)
			got := ""
			if err := server.Client.Update(t.Context(), changed, client.DryRunAll); err != nil {
				_, got, _ = strings.Cut(err.Error(), "is invalid: ")
				if got == "" {
					got = err.Error()
				}
			}
			if got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}
