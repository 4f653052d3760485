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
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// A manager that started before the CustomResourceDefinitions came, or while they were away, is no reason to restart anything by
// hand: the webhooks of the chart refuse every object until it answers for the kind.
func TestAManagerThatWasThereBeforeItsKindsEndsAndServesThemWhenItIsStartedAgain(t *testing.T) {
	fresh(t)
	back := takeAway(t, func(string) bool { return true })
	early := installed(t, asIs)
	back()
	if err := early.AwaitEnd(t.Context()); err != nil {
		t.Fatalf("it fails: %v", err)
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

	installed(t, asIs)

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

// Controllers of some kinds look at others, too, which may be missing alone.
func TestAManagerIsReadyWhicheverKindsAreMissing(t *testing.T) {
	fresh(t)
	for name, kinds := range map[string][]string{
		"some":   {"clonesets", "containerrecreaterequests", "imagelistpulljobs", "nodepodprobes", "persistentpodstates"},
		"others": {"imagepulljobs", "podprobemarkers", "podunavailablebudgets", "sidecarsets", "statefulsets"},
		"one":    {"nodeimages"},
	} {
		t.Run(name, func(t *testing.T) {
			back := takeAway(t, func(plural string) bool { return slices.Contains(kinds, plural) })
			defer back()
			// It stops before it may lead, and would leave the lease to nobody.
			alone := installed(t, func(_ *manager.Options, o *serve.Options) { o.LeaderElection = false })
			if err := alone.Stop(); err != nil {
				t.Errorf("it did not stop as it should: %v", err)
			}
		})
	}
}

// takeAway deletes CustomResourceDefinitions by the plural names of their kinds, and returns what installs them again and waits until
// they are served.
func takeAway(t *testing.T, which func(plural string) bool) (back func()) {
	t.Helper()
	all := &apiextensionsv1.CustomResourceDefinitionList{}
	if err := server.Client.List(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	var crds []*apiextensionsv1.CustomResourceDefinition
	for i := range all.Items {
		crd := &all.Items[i]
		if !which(crd.Spec.Names.Plural) {
			continue
		}
		apiserver.Eventually(t, "objects of "+crd.Name+" can be listed", func() bool { return server.Keeps(t.Context(), crd) })
		if err := server.Client.Delete(t.Context(), crd); err != nil {
			t.Fatal(err)
		}
		crds = append(crds, &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: crd.Name}, Spec: crd.Spec})
	}
	if len(crds) == 0 {
		t.Fatal("no CustomResourceDefinition is deleted")
	}
	for _, crd := range crds {
		apiserver.Eventually(t, crd.Name+" is gone", func() bool {
			return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(crd), &apiextensionsv1.CustomResourceDefinition{})) && !server.Keeps(t.Context(), crd)
		})
	}
	return func() {
		t.Helper()
		for _, crd := range crds {
			if err := server.Client.Create(t.Context(), crd); err != nil {
				t.Fatal(err)
			}
		}
		for _, crd := range crds {
			apiserver.Eventually(t, crd.Name+" is served", func() bool { return server.Keeps(t.Context(), crd) })
		}
	}
}
