package pod

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/manager/pod"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/test/integration/apiserver"
)

// removable is a cluster of its own, whose CustomResourceDefinitions can be taken away.
type removable struct {
	*testing.T
	*apiserver.Server
}

func newRemovable(t *testing.T) *removable {
	t.Helper()
	s, err := apiserver.Start(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return &removable{T: t, Server: s}
}

// managed runs a manager with its controllers, and returns what stops it.
func (c *removable) managed() (stop func()) {
	c.Helper()
	return c.Managed(c.T, func(m *manager.Options, _ *serve.Options) {
		m.WebhooksOnly, m.Budgets = false, disruption.Options{Deletions: true, Changes: true}
	})
}

// webhooks are those for pods: for those that are created, and for those that go.
func (c *removable) webhooks() (creating []admissionregistrationv1.MutatingWebhook, going []admissionregistrationv1.ValidatingWebhook) {
	c.Helper()
	mutating, validating := &admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}
	for name, object := range map[string]client.Object{pod.MutatingConfiguration: mutating, pod.ValidatingConfiguration: validating} {
		if err := c.Client.Get(c.Context(), client.ObjectKey{Name: name}, object); err != nil {
			c.Fatal(err)
		}
	}
	return mutating.Webhooks, validating.Webhooks
}

// protected makes a set and a budget of all pods of the app in a namespace, and a pod that may not go.
func (c *removable) protected(namespace string) *corev1.Pod {
	c.Helper()
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "log"}}
	set.Spec.Selector, set.Spec.Containers = selector, []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "log", Image: "log:1"}}}
	b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	b.Spec.Selector, b.Spec.MaxUnavailable = selector, new(intstr.FromInt32(0))
	for _, object := range []client.Object{set, b} {
		if err := c.Client.Create(c.Context(), object); err != nil {
			c.Fatal(err)
		}
	}
	apiserver.Eventually(c, "a pod carries the sidecar", func() bool {
		p := plain(namespace)
		return c.Client.Create(c.Context(), p, client.DryRunAll) == nil && carries(p)
	})
	p := plain(namespace)
	if err := c.Client.Create(c.Context(), p); err != nil {
		c.Fatal(err)
	}
	before := p.DeepCopy()
	p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := c.Client.Status().Patch(c.Context(), p, client.MergeFrom(before)); err != nil {
		c.Fatal(err)
	}
	apiserver.Eventually(c, "the budget keeps the pod", func() bool {
		return !slices.ContainsFunc(c.tries(p)[1:], func(err error) bool {
			return err == nil || !strings.Contains(err.Error(), "lets no more pods become unavailable")
		})
	})
	return p
}

// tries says what would become of the creation of another pod, and of the deletion and the eviction of this one.
func (c *removable) tries(p *corev1.Pod) []error {
	return []error{
		c.Client.Create(c.Context(), plain(p.Namespace), client.DryRunAll),
		c.Client.Delete(c.Context(), p.DeepCopy(), client.DryRunAll),
		c.Client.SubResource("eviction").Create(c.Context(), p.DeepCopy(), &policyv1.Eviction{}, client.DryRunAll),
	}
}

// remove takes the CustomResourceDefinitions away, one by one, as kubectl does.
func (c *removable) remove() {
	c.Helper()
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := c.Client.List(c.Context(), all); err != nil || len(all.Items) == 0 {
		c.Fatalf("%d CustomResourceDefinitions: %v", len(all.Items), err)
	}
	for i := range all.Items {
		crd := &all.Items[i]
		apiserver.Eventually(c, "objects of "+crd.Name+" can be listed", func() bool { return c.Keeps(c.Context(), crd) })
		if err := c.Client.Delete(c.Context(), crd); err != nil {
			c.Fatal(err)
		}
	}
	apiserver.Eventually(c, "the CustomResourceDefinitions are gone", func() bool {
		return c.Client.List(c.Context(), all) == nil && len(all.Items) == 0
	})
}

func TestWithTheDefinitionsGoTheWebhooksThatTheirObjectsAskedFor(t *testing.T) {
	c := newRemovable(t)
	namespace := c.Namespace(t)
	stop := c.managed()
	apiserver.Eventually(t, "the API server asks about pods that want an order", func() bool { creating, _ := c.webhooks(); return len(creating) == 1 })
	before, _ := c.webhooks()
	there := c.protected(namespace)

	c.remove()

	apiserver.Eventually(t, "the webhooks are as they were before there was any object", func() bool {
		creating, going := c.webhooks()
		return len(going) == 0 && cmp.Equal(creating, before)
	})
	apiserver.Eventually(t, "a pod that wants an order is asked about as ever", func() bool {
		p := ordered(namespace)
		return c.Client.Create(t.Context(), p, client.DryRunAll) == nil && waits(p)
	})
	stop()
	apiserver.Eventually(t, "pods come and go while no manager runs", func() bool { return slices.Equal(c.tries(there), []error{nil, nil, nil}) })
	if p := plain(namespace); c.Client.Create(t.Context(), p) != nil || containers(p) != "a b" {
		t.Errorf("a pod that is created has the containers %q", containers(p))
	}
}
