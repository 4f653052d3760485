// Package podunavailablebudget proves on a real API server what users of PodUnavailableBudgets see: which objects are refused and
// with which words, which pods may go, when and how that is refused, and that no budget is ever overspent, however many ask.
package podunavailablebudget

import (
	"context"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/test/integration/apiserver"
)

const user = "manager"

var server *apiserver.Server

// running is the manager beside which the tests run.
var running *apiserver.Replica

// The tests run beside one manager with its controllers, which has the rights that the chart gives it.
func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Installed(user), func(ctx context.Context, s *apiserver.Server) error {
		s.AtEnd(func() error { return running.Stop() })
		return run(ctx, s)
	})
}

func run(ctx context.Context, s *apiserver.Server) (err error) {
	running, err = s.As(user).RunWebhooks(ctx, protecting)
	return err
}

// protecting are the options of every manager here.
func protecting(m *manager.Options, _ *serve.Options) {
	m.WebhooksOnly, m.Budgets = false, disruption.Options{Deletions: true, Changes: true, ResizesApart: true}
}

// withoutManager stops the manager until the test ends.
func withoutManager(t *testing.T) {
	t.Helper()
	if err := running.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := run(context.WithoutCancel(t.Context()), server); err != nil {
			t.Error(err)
		}
	})
}

// eventually waits for a state of the world.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	apiserver.Eventually(t, what, holds)
}

func create(t *testing.T, object client.Object) {
	t.Helper()
	if err := server.Client.Create(t.Context(), object); err != nil {
		t.Fatalf("creating %T %s: %v", object, object.GetName(), err)
	}
}

// plain makes a pod of an app.
func plain(namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "demo:1"}}},
	}
	for _, c := range change {
		c(p)
	}
	return p
}

// serving creates a pod and does what kubelet does: it runs and is ready.
func serving(t *testing.T, p *corev1.Pod) *corev1.Pod {
	t.Helper()
	create(t, p)
	report(t, p, corev1.ConditionTrue)
	return p
}

// report says whether a pod is ready, as kubelet does.
func report(t *testing.T, p *corev1.Pod, ready corev1.ConditionStatus) {
	t.Helper()
	before := p.DeepCopy()
	p.Status.Phase, p.Status.ObservedGeneration = corev1.PodRunning, p.Generation
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: metav1.Now()}}
	if err := server.Client.Status().Patch(t.Context(), p, client.MergeFrom(before)); err != nil {
		t.Fatalf("reporting on pod %s: %v", p.Name, err)
	}
}

// budget makes a budget of the pods of the app.
func budget(namespace string, maxUnavailable int32, change ...func(*v1beta1.PodUnavailableBudget)) *v1beta1.PodUnavailableBudget {
	b := &v1beta1.PodUnavailableBudget{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	b.Spec.MaxUnavailable = new(intstr.FromInt32(maxUnavailable))
	for _, c := range change {
		c(b)
	}
	return b
}

// total states a total.
func total(n int32) func(*v1beta1.PodUnavailableBudget) {
	return func(b *v1beta1.PodUnavailableBudget) { b.Spec.ProtectTotalReplicas = &n }
}

// counts says whether a budget says these numbers: total, available, desired, allowed.
func counts(t *testing.T, b *v1beta1.PodUnavailableBudget, want ...int32) bool {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(b), b); err != nil {
		t.Fatal(err)
	}
	s := b.Status
	return s.ObservedGeneration == b.Generation && s.TotalReplicas == want[0] && s.CurrentAvailable == want[1] &&
		s.DesiredAvailable == want[2] && s.UnavailableAllowed == want[3]
}

func awaitCounts(t *testing.T, b *v1beta1.PodUnavailableBudget, want ...int32) {
	t.Helper()
	apiserver.Eventually(t, fmt.Sprintf("total, available, desired, allowed are %v", want), func() bool { return counts(t, b, want...) })
}

// asked waits until the API server asks about pods of a namespace that are deleted, evicted and changed: for that there is a pod
// that may not go.
func asked(t *testing.T, namespace string) {
	t.Helper()
	canary := serving(t, plain(namespace, "canary", func(p *corev1.Pod) { p.Labels["app"] = "canary" }))
	create(t, budget(namespace, 0, total(1), func(b *v1beta1.PodUnavailableBudget) {
		b.Name, b.Spec.Selector.MatchLabels["app"] = "canary", "canary"
	}))
	apiserver.Eventually(t, "the API server asks about deletions, evictions and changes", func() bool {
		return server.Client.Delete(t.Context(), canary.DeepCopy(), client.DryRunAll) != nil && evict(t, canary, client.DryRunAll) != nil &&
			image(t, canary, client.DryRunAll) != nil
	})
}

// image gives a pod another image.
func image(t *testing.T, p *corev1.Pod, options ...client.PatchOption) error {
	t.Helper()
	return server.Client.Patch(t.Context(), p.DeepCopy(), client.RawPatch(types.StrategicMergePatchType,
		[]byte(`{"spec":{"containers":[{"name":"main","image":"demo:2"}]}}`)), options...)
}

func evict(t *testing.T, p *corev1.Pod, options ...client.SubResourceCreateOption) error {
	t.Helper()
	return server.Client.SubResource("eviction").Create(t.Context(), p.DeepCopy(), &policyv1.Eviction{}, options...)
}

// evictDry evicts a pod as kubectl drain --dry-run=server does: the eviction itself says so.
func evictDry(t *testing.T, p *corev1.Pod) error {
	t.Helper()
	return server.Client.SubResource("eviction").Create(t.Context(), p.DeepCopy(),
		&policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}})
}

func quantity(text string) *resource.Quantity { return new(resource.MustParse(text)) }
