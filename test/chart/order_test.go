package chart_test

import (
	"context"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// waiting are pods about which webhooks ask that no manager answers: one that is there and is to go, and one that is to come.
type waiting struct {
	*cluster
	there *corev1.Pod
}

// waiting creates the pod that is there, before any webhook asks about it.
func (c *cluster) waiting(t *testing.T) *waiting {
	t.Helper()
	w := &waiting{cluster: c, there: asks("there")}
	if err := c.Create(t.Context(), w.there); err != nil {
		t.Fatal(err)
	}
	return w
}

func asks(name string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: asking().MatchLabels}}
	p.Spec.Containers = []corev1.Container{{Name: "main", Image: "example.org/main:v1"}}
	p.Spec.AutomountServiceAccountToken = new(false)
	return p
}

// tries says what becomes of a deletion of the one pod, and of a creation of another.
func (w *waiting) tries(ctx context.Context) map[string]error {
	return map[string]error{
		deletesWebhook: w.Delete(ctx, w.there.DeepCopy(), client.DryRunAll),
		createsWebhook: w.Create(ctx, asks("new"), client.DryRunAll),
	}
}

// wait waits until both wait for a manager.
func (w *waiting) wait(t *testing.T) {
	t.Helper()
	err := wait.PollUntilContextCancel(t.Context(), pollInterval, true, func(ctx context.Context) (bool, error) {
		for name, err := range w.tries(ctx) {
			if err == nil || !strings.Contains(err.Error(), `failed calling webhook "`+name+`"`) {
				return false, nil
			}
		}
		return true, nil
	})
	if err != nil {
		t.Fatalf("waiting for pods to wait: %v", err)
	}
}

// pass waits until neither does: the API server hears of webhooks that are gone a moment later.
func (w *waiting) pass(t *testing.T) {
	t.Helper()
	var last map[string]error
	err := wait.PollUntilContextCancel(t.Context(), pollInterval, true, func(ctx context.Context) (bool, error) {
		last = w.tries(ctx)
		return last[deletesWebhook] == nil && last[createsWebhook] == nil, nil
	})
	if err != nil {
		t.Fatalf("pods wait for a manager that is gone: %v", last)
	}
}

// labels are those of everything that the chart installs.
var labels = client.MatchingLabels{"app.kubernetes.io/name": "kruise"}

// Whoever deletes the namespace of the release takes the manager away, and what helm knows of it, but no webhook.
func TestWhereTheNamespaceWentFirstTheWebhooksCanBeTakenAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	pods := c.waiting(t)
	c.deploy(t)
	c.established(t)
	c.writeAsManager(t)
	set := newCloneSet("kept")
	if err := c.Create(t.Context(), set); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []client.Object{&corev1.Secret{}, &corev1.ServiceAccount{}, &appsv1.Deployment{}, &appsv1.DaemonSet{}} {
		if err := c.DeleteAllOf(t.Context(), kind, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Delete(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "kruise-webhook-service"}}); err != nil {
		t.Fatal(err)
	}
	pods.wait(t)
	if out, err := c.helm.run(t, "uninstall", "kruise", "--kubeconfig", c.kubeconfig, "--namespace", namespace); err == nil {
		t.Errorf("helm still knows the release: %s", out)
	}

	for _, kind := range []client.Object{&admissionregistrationv1.MutatingWebhookConfiguration{}, &admissionregistrationv1.ValidatingWebhookConfiguration{}} {
		if err := c.DeleteAllOf(t.Context(), kind, labels); err != nil {
			t.Fatal(err)
		}
	}

	pods.pass(t)
	if err := c.Create(t.Context(), newCloneSet("new")); err != nil {
		t.Errorf("a CloneSet cannot be created: %v", err)
	}
	c.deploy(t) // takes over what is left
	kept := &v1beta1.CloneSet{}
	if c.get(t, client.ObjectKeyFromObject(set), kept); kept.UID != set.UID {
		t.Error("the CloneSet is another one")
	}
}

// Whoever deletes the CustomResourceDefinitions deletes all objects; a manager that runs takes the webhooks for pods away with them.
func TestWhereTheDefinitionsWentFirstAnUninstallTakesTheWebhooksAway(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	pods := c.waiting(t)
	c.deploy(t)
	c.established(t)
	c.writeAsManager(t)
	if err := c.Create(t.Context(), newCloneSet("lost")); err != nil {
		t.Fatal(err)
	}
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := c.List(t.Context(), all, labels); err != nil || len(all.Items) == 0 {
		t.Fatalf("%d CustomResourceDefinitions: %v", len(all.Items), err)
	}
	for i := range all.Items { // one by one, as kubectl does: to delete a collection of them leaves their objects where they are
		if err := c.Delete(t.Context(), &all.Items[i]); err != nil {
			t.Fatal(err)
		}
	}
	err := wait.PollUntilContextCancel(t.Context(), pollInterval, true, func(ctx context.Context) (bool, error) {
		err := c.List(ctx, all, labels)
		return len(all.Items) == 0, err
	})
	if err != nil {
		t.Fatalf("waiting for the CustomResourceDefinitions to go: %v", err)
	}
	pods.wait(t)

	c.run(t, "uninstall", "kruise")

	pods.pass(t)
	c.deploy(t)
	c.established(t)
	if err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "lost"}, &v1beta1.CloneSet{}); !apierrors.IsNotFound(err) {
		t.Errorf("the CloneSet that went with its definition: %v", err)
	}
	if err := c.Create(t.Context(), newCloneSet("new")); err != nil {
		t.Errorf("a CloneSet cannot be created: %v", err)
	}
}
