package pod

import (
	"context"
	"fmt"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/podwebhook"
	"kruise.io/kruise/test/integration/apiserver"
)

// waited says that a request waits for a manager.
func waited(err error) bool {
	return err != nil && strings.Contains(err.Error(), "failed calling webhook")
}

// stands creates a pod, whose label app and whose StatefulSet are called so if it has any, and which is ready or not.
func stands(t *testing.T, namespace, app, owner string, ready corev1.ConditionStatus) *corev1.Pod {
	t.Helper()
	p := plain(namespace)
	if p.Labels = nil; app != "" {
		p.Labels = map[string]string{"app": app}
	}
	if owner != "" {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: owner, UID: "u", Controller: new(true)}}
	}
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	before := p.DeepCopy()
	p.Status.Phase, p.Status.Conditions = corev1.PodRunning, []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	if err := server.Client.Status().Patch(t.Context(), p, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	return p
}

// requests tries to delete a pod and to change its image.
func requests(t *testing.T, p *corev1.Pod) map[string]error {
	t.Helper()
	image := []byte(`{"spec":{"containers":[{"name":"a","image":"demo:2"}]}}`)
	return map[string]error{
		"deletion": server.Client.Delete(t.Context(), p.DeepCopy(), client.DryRunAll),
		"change":   server.Client.Patch(t.Context(), p.DeepCopy(), client.RawPatch("application/strategic-merge-patch+json", image), client.DryRunAll),
	}
}

// manyObjects creates 250 budgets and 40 SidecarSets in some namespaces. Even budgets select pods whose label app has their
// name, odd ones name a StatefulSet.
func manyObjects(t *testing.T, namespaces []string) {
	t.Helper()
	after := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		for _, namespace := range namespaces {
			if err := server.Client.DeleteAllOf(after, &policyv1beta1.PodUnavailableBudget{}, client.InNamespace(namespace)); err != nil {
				t.Error(err)
			}
		}
		if err := server.Client.DeleteAllOf(after, &v1beta1.SidecarSet{}); err != nil {
			t.Error(err)
		}
	})
	for i := range 250 {
		name := fmt.Sprint("web-", i)
		b := &policyv1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespaces[i%len(namespaces)], Name: name}}
		b.Spec.MaxUnavailable = new(intstr.FromInt32(0))
		if i%2 == 0 {
			b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
		} else {
			b.Spec.TargetReference = &policyv1beta1.TargetReference{APIVersion: "apps/v1", Kind: "StatefulSet", Name: name}
		}
		apiserver.Eventually(t, "the budget is created", func() bool { return server.Client.Create(t.Context(), b) == nil })
	}
	for i := range 40 {
		namespace := namespaces[i%len(namespaces)]
		logging(t, fmt.Sprint(namespace, "-", i), func(set *v1beta1.SidecarSet) {
			set.Spec.Selector.MatchLabels = map[string]string{"app": fmt.Sprint("set-", i)}
			set.Spec.NamespaceSelector.MatchLabels = map[string]string{corev1.LabelMetadataName: namespace}
		})
	}
}

// Many objects make no pod wait that is none of theirs.
func TestWithHundredsOfObjectsNothingButTheirPodsWaitsForAManager(t *testing.T) {
	stop := managed(t, func(m *manager.Options) { m.Budgets = disruption.Options{Deletions: true, Changes: true} })
	homes, away := []string{server.Namespace(t), server.Namespace(t), server.Namespace(t)}, server.Namespace(t)
	// The last of each: 248 selects, 249 names.
	selected, named := homes[248%3], homes[249%3]
	keeps := []*corev1.Pod{stands(t, selected, "web-248", "", corev1.ConditionTrue), stands(t, named, "other", "web-249", corev1.ConditionTrue)}
	spare := []*corev1.Pod{
		stands(t, selected, "web-248", "", corev1.ConditionFalse), stands(t, named, "other", "web-249", corev1.ConditionFalse), // not ready
		stands(t, selected, "web-249", "web-248", corev1.ConditionTrue), stands(t, named, "web-248", "", corev1.ConditionTrue), // of others
		stands(t, away, "web-248", "web-249", corev1.ConditionTrue), // where there is no object
	}
	owner := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: named, Name: "web-249"}} // a budget of a workload that is gone lets its pods go
	owner.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "other"}}
	owner.Spec.Template.Labels, owner.Spec.Template.Spec = owner.Spec.Selector.MatchLabels, plain(named).Spec
	if err := server.Client.Create(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	manyObjects(t, homes)
	apiserver.Eventually(t, "the budgets keep their pods", func() bool {
		return strings.Contains(fmt.Sprint(requests(t, keeps[0])["deletion"]), "lets no more pods") && strings.Contains(fmt.Sprint(requests(t, keeps[1])["deletion"]), "lets no more pods")
	})
	of := plain(homes[39%3])
	of.Labels = map[string]string{"app": "set-39"}
	apiserver.Eventually(t, "pods carry their sidecars", func() bool { return dry(t, of.DeepCopy(), carries) })
	stop()
	apiserver.Eventually(t, "what the objects are about waits", func() bool {
		return waited(requests(t, keeps[0])["deletion"]) && waited(requests(t, keeps[0])["change"]) && waited(requests(t, keeps[1])["deletion"]) &&
			waited(server.Client.Create(t.Context(), of.DeepCopy(), client.DryRunAll))
	})
	for i, p := range spare {
		for what, err := range requests(t, p) {
			if err != nil {
				t.Errorf("the %s of spare pod %d: %v", what, i, err)
			}
		}
	}
	if err := server.Client.SubResource("eviction").Create(t.Context(), spare[4].DeepCopy(), &policyv1.Eviction{}, client.DryRunAll); err != nil {
		t.Errorf("the eviction of a pod where there is no budget: %v", err)
	}
	for name, namespace := range map[string]string{"set-39": away, "set-38": homes[39%3], "web": homes[0]} {
		p := plain(namespace)
		p.Labels = map[string]string{"app": name}
		if err := server.Client.Create(t.Context(), p); err != nil {
			t.Errorf("a new pod of %s in %s: %v", name, namespace, err)
		}
	}
}

// The API server takes the webhooks for however many objects, and goes by them.
func TestTheAPIServerTakesTheWebhooksOfThousandsOfObjects(t *testing.T) {
	home, away := server.Namespace(t), server.Namespace(t)
	selected, named := stands(t, home, "web-0", "", corev1.ConditionTrue), stands(t, home, "other", "web-0", corev1.ConditionTrue)
	spare := []*corev1.Pod{
		stands(t, home, "web-0", "web-0", corev1.ConditionFalse), stands(t, away, "web-0", "web-0", corev1.ConditionTrue), stands(t, home, "", "", corev1.ConditionTrue),
	}
	for _, n := range []int{17, 33, 250, 2000, 10_000} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			c := deaf(t, n, home)
			apiserver.Eventually(t, "what the objects are about is asked about", func() bool {
				return waited(requests(t, selected)["deletion"]) && waited(requests(t, named)["deletion"]) && waited(requests(t, selected)["change"])
			})
			for i, p := range spare {
				for what, err := range requests(t, p) {
					if far := i == 1 && n > 2000; err != nil && !far { // so many namespaces are not named
						t.Errorf("the %s of spare pod %d: %v", what, i, err)
					}
				}
			}
			if err := server.Client.Delete(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			apiserver.Eventually(t, "nothing is asked about any more", func() bool { return requests(t, selected)["deletion"] == nil })
		})
	}
}

// deaf is a configuration for so many objects of both sorts, one of each in a namespace, whose webhooks nobody answers.
func deaf(t *testing.T, n int, home string) *admissionregistrationv1.ValidatingWebhookConfiguration {
	t.Helper()
	ready := admissionregistrationv1.MatchCondition{Name: "is-ready", Expression: `has(oldObject.status.conditions) && oldObject.status.conditions.exists(c, c.type == "Ready" && c.status == "True")`}
	var demands []podwebhook.Demand
	for i := range n {
		namespace, name := home, fmt.Sprint("web-", i)
		if i > 0 {
			namespace = fmt.Sprint("team-", i)
		}
		for _, o := range []podwebhook.Operation{podwebhook.Delete, podwebhook.Update} {
			d := podwebhook.Demand{Operation: o, Policy: admissionregistrationv1.Fail, Namespace: namespace, Conditions: []admissionregistrationv1.MatchCondition{ready}}
			tied := d
			tied.Conditions = append([]admissionregistrationv1.MatchCondition{disruption.RemembersAny()}, tied.Conditions...)
			d.Pods = &metav1.LabelSelector{MatchLabels: map[string]string{"app": name}}
			owned := d
			owned.Pods, owned.Owner = nil, &podwebhook.Owner{GroupKind: schema.GroupKind{Group: "apps", Kind: "StatefulSet"}, Name: name}
			demands = append(demands, d, tied, owned)
		}
	}
	c := &admissionregistrationv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("deaf-", n)}}
	for _, w := range podwebhook.For(demands, []string{"kube-system"}) {
		operation := map[podwebhook.Operation]admissionregistrationv1.OperationType{podwebhook.Delete: admissionregistrationv1.Delete, podwebhook.Update: admissionregistrationv1.Update}[w.Operation]
		c.Webhooks = append(c.Webhooks, admissionregistrationv1.ValidatingWebhook{
			Name: w.Name, ClientConfig: admissionregistrationv1.WebhookClientConfig{URL: new("https://localhost:1/")}, FailurePolicy: &w.Policy,
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, MatchConditions: w.MatchConditions,
			SideEffects: new(admissionregistrationv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
			Rules: []admissionregistrationv1.RuleWithOperations{{
				Operations: []admissionregistrationv1.OperationType{operation},
				Rule:       admissionregistrationv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"pods"}},
			}},
		})
	}
	if err := server.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.IgnoreNotFound(server.Client.Delete(context.WithoutCancel(t.Context()), c)); err != nil {
			t.Error(err)
		}
	})
	return c
}
