package containerrecreaterequest

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

func TestWithTheGateOffAPodThatIsOutOfServiceForARequestIsLetGo(t *testing.T) {
	namespace := server.Namespace(t)
	replica, err := server.RunReplica(context.WithoutCancel(t.Context()), func(m *manager.Options, o *serve.Options) {
		m.WebhooksOnly, m.Kinds, m.Recreate.Off = false, []string{"ContainerRecreateRequest"}, true
		o.Namespace = namespace
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := replica.Stop(); err != nil {
			t.Error(err)
		}
	})
	p := pod(t, namespace, nil)
	inService := func() corev1.ConditionStatus {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			t.Fatal(err)
		}
		for _, c := range p.Status.Conditions {
			if c.Type == v1beta1.KruisePodReadyConditionType {
				return c.Status
			}
		}
		return corev1.ConditionUnknown
	}
	// It is under way, as another manager let it in.
	r := request(namespace, "begun", "app")
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](3)}
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := patchStatus(t, server.Client, r, `{"status":{"phase":"Recreating"}}`); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the pod is out of service", func() bool { return inService() == corev1.ConditionFalse })
	if err := server.Client.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the pod is in service", func() bool { return inService() == corev1.ConditionTrue })
	apiserver.Eventually(t, "the request is gone", func() bool {
		return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(r), &v1beta1.ContainerRecreateRequest{}))
	})
}
