package podunavailablebudget

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/policy/v1beta1"
)

// refusedWith checks a refusal: its code, and that it says a sentence.
func refusedWith(t *testing.T, err error, code int32, sentence string) {
	t.Helper()
	status, ok := err.(apierrors.APIStatus)
	if !ok || status.Status().Code != code || !strings.Contains(err.Error(), sentence) {
		t.Errorf("got  %v\nwant %d %s", err, code, sentence)
	}
}

// told says whether an event of a reason is about an object.
func told(t *testing.T, about client.Object, reason string) bool {
	t.Helper()
	events := &eventsv1.EventList{}
	namespace := cmp.Or(about.GetNamespace(), metav1.NamespaceDefault) // that of what is in none
	if err := server.Client.List(t.Context(), events, client.InNamespace(namespace)); err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool { return e.Regarding.UID == about.GetUID() && e.Reason == reason })
}

func gone(t *testing.T, p *corev1.Pod) bool {
	t.Helper()
	return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), &corev1.Pod{}))
}

func TestPodsThatExistedBeforeTheirBudgetAreProtected(t *testing.T) {
	namespace := server.Namespace(t)
	pods := []*corev1.Pod{serving(t, plain(namespace, "a")), serving(t, plain(namespace, "b")), serving(t, plain(namespace, "c"))}
	b := budget(namespace, 1)
	create(t, b)
	awaitCounts(t, b, 3, 3, 2, 1) // pods of nobody should be there
	eventually(t, "the pods remember their budget", func() bool {
		return !slices.ContainsFunc(pods, func(p *corev1.Pod) bool {
			p = reread(t, p.DeepCopy())
			return p.Annotations["pub.kruise.io/related-pub"] != "web" || p.Annotations["kruise.io/related-pub"] != "web"
		})
	})
	report(t, reread(t, pods[2]), corev1.ConditionFalse)
	awaitCounts(t, b, 3, 2, 2, 0)
	asked(t, namespace)
	const words = "pub unavailable allowed is negative: PodUnavailableBudget web lets no more pods become unavailable: 2 of 3 are available, and 2 must be; wait until more than 2 are available"
	refusedWith(t, server.Client.Delete(t.Context(), pods[0]), http.StatusForbidden, "budget-deletions: "+words)
	refusedWith(t, evict(t, pods[0]), http.StatusTooManyRequests, "budget-deletions: "+words)
	if err := evict(t, pods[0]); !apierrors.HasStatusCause(err, "DisruptionBudget") {
		t.Errorf("the refusal does not say that it is a budget's: %#v", err)
	}
	eventually(t, "the pod's event tells", func() bool { return told(t, pods[0], "PubPreventPodDeletion") })
	if err := server.Client.Delete(t.Context(), pods[2]); err != nil {
		t.Errorf("a pod that is not ready is missed by nobody: %v", err)
	}
	// A label that hides a pod from the selector does not take it out of what it remembers.
	if err := server.Client.Patch(t.Context(), pods[1], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"app":"hidden"}}}`))); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, server.Client.Delete(t.Context(), pods[1]), http.StatusForbidden, "PodUnavailableBudget web")
}

func TestABudgetThatExistedBeforeItsPodsProtectsThem(t *testing.T) {
	namespace := server.Namespace(t)
	b := budget(namespace, 0)
	create(t, b)
	eventually(t, "it says that there are no pods", func() bool { return told(t, b, "NoPods") })
	eventually(t, "pods remember it from their creation on", func() bool {
		p := plain(namespace, "dry")
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && p.Annotations["pub.kruise.io/related-pub"] == "web"
	})
	p := serving(t, plain(namespace, "a"))
	awaitCounts(t, b, 1, 1, 1, 0)
	asked(t, namespace)
	refusedWith(t, evict(t, p), http.StatusTooManyRequests, "1 of 1 are available, and 1 must be")
	if err := server.Client.Delete(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the pod may go with the budget", func() bool { return server.Client.Delete(t.Context(), p) == nil })
}

func reread(t *testing.T, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestADryRunSpendsNothing(t *testing.T) {
	namespace := server.Namespace(t)
	pods := []*corev1.Pod{serving(t, plain(namespace, "a")), serving(t, plain(namespace, "b"))}
	b := budget(namespace, 1, total(2))
	create(t, b)
	awaitCounts(t, b, 2, 2, 1, 1)
	asked(t, namespace)
	spend := serving(t, plain(namespace, "c", func(p *corev1.Pod) { p.Annotations = map[string]string{"pub.kruise.io/no-protect": "true"} }))
	if err := server.Client.Delete(t.Context(), spend); err != nil {
		t.Errorf("a pod that is exempt: %v", err)
	}
	version := b.ResourceVersion
	for _, p := range pods {
		for what, err := range map[string]error{
			"deletion":             server.Client.Delete(t.Context(), p.DeepCopy(), client.DryRunAll),
			"eviction":             evict(t, p, client.DryRunAll),
			"eviction, by drain's": evictDry(t, p),
		} {
			if err != nil {
				t.Errorf("the dry %s of %s: %v", what, p.Name, err)
			}
		}
	}
	if !counts(t, b, 2, 2, 1, 1) || b.ResourceVersion != version {
		t.Errorf("the budget was changed: %+v", b.Status)
	}
}

func TestAPermissionIsGivenBackOnceThePodIsReplaced(t *testing.T) {
	namespace := server.Namespace(t)
	pods := []*corev1.Pod{serving(t, plain(namespace, "a")), serving(t, plain(namespace, "b"))}
	b := budget(namespace, 1, total(2))
	create(t, b)
	awaitCounts(t, b, 2, 2, 1, 1)
	asked(t, namespace)
	if err := evict(t, pods[0]); err != nil {
		t.Fatal(err)
	}
	refusedWith(t, evict(t, pods[1]), http.StatusTooManyRequests, "pub unavailable allowed is negative")
	if !gone(t, pods[0]) {
		t.Error("the pod was evicted and is there")
	}
	serving(t, plain(namespace, "for-a"))
	eventually(t, "another may be evicted", func() bool { return evict(t, pods[1]) == nil })
}

func TestTheTotalIsWhatWorkloadsWant(t *testing.T) {
	namespace := server.Namespace(t)
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	deployment.Spec.Replicas, deployment.Spec.Selector = new(int32(4)), &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	deployment.Spec.Template.Labels, deployment.Spec.Template.Spec = map[string]string{"app": "web"}, plain("", "").Spec
	create(t, deployment)
	of := func(p *corev1.Pod) {
		p.Labels["pod-template-hash"] = "abc"
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "ReplicaSet", Name: "web-abc", UID: "u", Controller: new(true)}}
	}
	p := serving(t, plain(namespace, "a", of))
	serving(t, plain(namespace, "b", of))
	b := budget(namespace, 1, func(b *v1beta1.PodUnavailableBudget) {
		b.Spec.Selector, b.Spec.TargetReference = nil, &v1beta1.TargetReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	})
	create(t, b)
	awaitCounts(t, b, 4, 2, 3, 0)
	asked(t, namespace)
	if err := server.Client.Patch(t.Context(), deployment, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":2}}`))); err != nil {
		t.Fatal(err)
	}
	awaitCounts(t, b, 2, 2, 1, 1)
	if err := server.Client.Delete(t.Context(), deployment); err != nil {
		t.Fatal(err)
	}
	awaitCounts(t, b, 0, 2, 0, 2) // what is left of a workload that is gone can be cleared away
	eventually(t, "a pod can be deleted", func() bool { return server.Client.Delete(t.Context(), p) == nil })
}

func TestWhileNobodyKnowsHowManyPodsThereShouldBeNoneMayGo(t *testing.T) {
	namespace := server.Namespace(t)
	p := serving(t, plain(namespace, "a", func(p *corev1.Pod) {
		p.OwnerReferences = []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: "u", Controller: new(true)}}
	}))
	b := budget(namespace, 1)
	create(t, b)
	eventually(t, "it says why", func() bool { return told(t, b, "CalculateExpectedPodCountFailed") })
	asked(t, namespace)
	if err := server.Client.Patch(t.Context(), b, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"protectTotalReplicas":1}}`))); err != nil {
		t.Fatal(err)
	}
	awaitCounts(t, b, 1, 1, 0, 1)
	eventually(t, "with a total that is stated it may", func() bool { return server.Client.Delete(t.Context(), p) == nil })
}

func TestChangesOfPodsSpendABudgetToo(t *testing.T) {
	namespace := server.Namespace(t)
	pods := []*corev1.Pod{serving(t, plain(namespace, "a")), serving(t, plain(namespace, "b"))}
	b := budget(namespace, 1)
	create(t, b)
	awaitCounts(t, b, 2, 2, 1, 1)
	asked(t, namespace)
	if err := image(t, pods[0]); err != nil {
		t.Fatal(err)
	}
	if counts(t, b, 2, 1, 1, 0); len(b.Status.UnavailablePods) != 1 {
		t.Errorf("the change is not noted: %+v", b.Status)
	}
	refusedWith(t, image(t, pods[1]), http.StatusForbidden, "budget-changes: pub unavailable allowed is negative")
	if err := server.Client.Patch(t.Context(), pods[1], client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`))); err != nil {
		t.Errorf("a change that takes nothing out of service: %v", err)
	}
	mark := []byte(`{"metadata":{"labels":{"unavailable-pod.kruise.io/x":"y"}}}`)
	refusedWith(t, server.Client.Patch(t.Context(), pods[1], client.RawPatch(types.MergePatchType, mark)), http.StatusForbidden, "budget-changes: ")
	report(t, reread(t, pods[0]), corev1.ConditionFalse)
	eventually(t, "the change is seen", func() bool { return counts(t, b, 2, 1, 1, 0) && len(b.Status.UnavailablePods) == 0 })
	report(t, reread(t, pods[0]), corev1.ConditionTrue)
	eventually(t, "once it is back, another may change", func() bool { return image(t, pods[1]) == nil })
}

func TestAResizeIsAskedAboutWhereABudgetSaysSo(t *testing.T) {
	namespace := server.Namespace(t)
	p := serving(t, plain(namespace, "a", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: *quantity("100m")}
	}))
	b := budget(namespace, 0, func(b *v1beta1.PodUnavailableBudget) {
		b.Spec.ProtectOperations = []v1beta1.PubOperation{v1beta1.PubResizeOperation}
	})
	create(t, b)
	awaitCounts(t, b, 1, 1, 1, 0)
	resize := func() error {
		return server.Client.SubResource("resize").Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.StrategicMergePatchType,
			[]byte(`{"spec":{"containers":[{"name":"main","resources":{"requests":{"cpu":"200m"}}}]}}`)), &client.SubResourcePatchOptions{PatchOptions: client.PatchOptions{DryRun: []string{metav1.DryRunAll}}})
	}
	eventually(t, "a resize is refused", func() bool { return resize() != nil })
	refusedWith(t, resize(), http.StatusForbidden, "budget-changes: pub unavailable allowed is negative")
	if err := server.Client.Delete(t.Context(), p); err != nil {
		t.Errorf("a deletion, which is not protected: %v", err)
	}
}
