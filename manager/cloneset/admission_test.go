package cloneset

import (
	"context"
	"errors"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Most of admission is proved on a real API server, in test/integration/cloneset. Here is what cannot be made to happen there.

func podOf(set *v1beta1.CloneSet, name string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: name, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: v1beta1.GroupVersion.String(), Kind: "CloneSet", Name: set.Name, UID: set.UID, Controller: ptr.To(true)},
	}}}
}

func TestAPodThatTheCacheHasNotSeenYetCanBeNamed(t *testing.T) {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "demo", UID: "1"}}
	set.Spec.ScaleStrategy.PodsToDelete = []string{"demo-new"}
	behind, live := fake.NewClientBuilder().Build(), fake.NewClientBuilder().WithObjects(podOf(set, "demo-new")).Build()
	errs, err := podReader{cache: behind, live: live}.validate(t.Context(), &v1beta1.CloneSet{}, set, field.NewPath("names"))
	if err != nil || len(errs) != 0 {
		t.Errorf("refused: %v, %v", errs, err)
	}
}

func TestAReadThatFailsIsNoFaultOfTheName(t *testing.T) {
	set := &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "demo", UID: "1"}}
	set.Spec.ScaleStrategy.PodsToDelete = []string{"demo-a"}
	down := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Get: func(context.Context, client.WithWatch, client.ObjectKey, client.Object, ...client.GetOption) error {
			return errors.New("the server is down")
		},
	}).Build()
	errs, err := podReader{cache: down, live: down}.validate(t.Context(), &v1beta1.CloneSet{}, set, field.NewPath("names"))
	if err == nil || len(errs) != 0 {
		t.Errorf("got faults %v and error %v, want no fault and an error", errs, err)
	}
}

func TestDefaultsTouchNothingButAMissingRollingUpdate(t *testing.T) {
	for name, tc := range map[string]struct {
		spec  string
		patch bool
	}{
		"RollingUpdate without parameters": {`{"updateStrategy":{"type":"RollingUpdate"}}`, true},
		"RollingUpdate with parameters":    {`{"updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"paused":true}}}`, false},
		"OnDelete":                         {`{"updateStrategy":{"type":"OnDelete"}}`, false},
		"something of the wrong shape, which the schema refuses": {`{"updateStrategy":"fast"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := setDefaults(t.Context(), admission.Request{AdmissionRequest: admissionv1.AdmissionRequest{
				Object: runtime.RawExtension{Raw: []byte(`{"spec":` + tc.spec + `}`)}}})
			if !got.Allowed || (len(got.Patches) > 0) != tc.patch {
				t.Errorf("allowed %t, patches %v", got.Allowed, got.Patches)
			}
			for _, patch := range got.Patches {
				if patch.Path != "/spec/updateStrategy/rollingUpdate" || patch.Operation != "add" {
					t.Errorf("patch %v", patch)
				}
			}
		})
	}
}
