package podunavailablebudget

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
	"kruise.io/kruise/test/integration/stepped"
)

// nodes is a cluster's scheduler and kubelets for the pods of a namespace, of which a budget lets so many be away.
type nodes struct {
	*stepped.World
	budget *v1beta1.PodUnavailableBudget
	// mustServe is how many pods serve at any time; 0 while that is not checked.
	mustServe int
}

func nodesOf(t *testing.T, b *v1beta1.PodUnavailableBudget) *nodes {
	t.Helper()
	nobody := func(context.Context, ctrl.Manager, clock.PassiveClock) (reconcile.Reconciler, error) {
		return reconcile.Func(func(context.Context, reconcile.Request) (reconcile.Result, error) { return reconcile.Result{}, nil }), nil
	}
	return &nodes{World: stepped.In(t, server, b.Namespace, nobody), budget: b}
}

// serves says whether a pod serves: it is ready, nobody has taken it out of service, and its containers run what its spec says.
func serves(pod *corev1.Pod) bool {
	up := pod.DeletionTimestamp == nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
	return up && !slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == "InPlaceUpdateReady" && c.Status == corev1.ConditionFalse
	}) && !slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return !runs(pod, c) })
}

func runs(pod *corev1.Pod, c corev1.Container) bool {
	return slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name && s.Image == c.Image })
}

// play checks how many pods serve, and then lets the kubelets take a step: images take a while to be pulled, and pods to end.
func (n *nodes) play() []corev1.Pod {
	n.Helper()
	pods := n.Pods()
	serving := 0
	for i := range pods {
		if serves(&pods[i]) {
			serving++
		}
	}
	if serving < n.mustServe {
		n.Errorf("%d pods serve, and %d must", serving, n.mustServe)
	}
	if err := server.Client.Get(n.Context(), client.ObjectKeyFromObject(n.budget), n.budget); err != nil {
		n.Fatal(err)
	}
	n.Clock.SetTime(time.Now())
	for i := range pods {
		pod := &pods[i]
		if pod.DeletionTimestamp != nil && len(n.budget.Status.DisruptedPods) > 0 {
			continue
		}
		for _, c := range pod.Spec.Containers {
			waits := slices.ContainsFunc(pod.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.Name == c.Name && s.State.Waiting != nil })
			n.BrokenImages[c.Image] = !runs(pod, c) && !waits
		}
		n.Play(pod.Name)
		clear(n.BrokenImages)
	}
	return pods
}

// allow lets another number of pods be away.
func (n *nodes) allow(maxUnavailable int) {
	n.Helper()
	merge := fmt.Appendf(nil, `{"spec":{"maxUnavailable":%d}}`, maxUnavailable)
	if err := server.Client.Patch(n.Context(), n.budget, client.RawPatch(types.MergePatchType, merge)); err != nil {
		n.Fatal(err)
	}
}

// says tells whether the condition Progressing of an object has words in it.
func says(t *testing.T, object *unstructured.Unstructured, words string) bool {
	t.Helper()
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	conditions, _, err := unstructured.NestedSlice(object.Object, "status", "conditions")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(conditions, func(c any) bool {
		condition, _ := c.(map[string]any)
		message, _ := condition["message"].(string)
		if kind, _ := condition["type"].(string); (strings.HasPrefix(kind, "Failed") || kind == "Stalled") && condition["status"] == "True" {
			t.Errorf("the wait is told as a failure: %v", condition)
		}
		return condition["type"] == "Progressing" && strings.Contains(message, words)
	})
}

// addNodes adds so many nodes for the pods of a namespace, and takes them away with the test.
func addNodes(t *testing.T, namespace string, n int) {
	t.Helper()
	for i := range n {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", namespace, i), Labels: map[string]string{"for": namespace}}}
		create(t, node)
		// The API server taints a node that nobody has found ready yet.
		if err := server.Client.Patch(t.Context(), node, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"taints":null}}`))); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := server.Client.Delete(context.Background(), node); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestOurOwnControllersAskFirst(t *testing.T) {
	const inPlace = "InPlaceIfPossible"
	specs := map[string]string{
		"CloneSet":    `{replicas: 3, updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 100%, podUpdatePolicy: POLICY}}}`,
		"StatefulSet": `{replicas: 3, serviceName: web, podManagementPolicy: Parallel, updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 100%, podUpdatePolicy: POLICY}}}`,
		"DaemonSet":   `{updateStrategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 100%, rollingUpdateType: POLICY}}}`,
	}
	for kind, spec := range specs {
		for how, policy := range map[string]string{"in place": inPlace, "by recreating pods": "ReCreate"} {
			t.Run(kind+" "+how, func(t *testing.T) {
				t.Parallel()
				namespace := server.Namespace(t)
				if kind == "DaemonSet" {
					addNodes(t, namespace, 3)
					policy = strings.Replace(policy, "ReCreate", "Standard", 1)
				}
				example := apiserver.Example{Kind: kind, Text: `
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {for: ` + namespace + `}
      readinessGates: [{conditionType: InPlaceUpdateReady}]
      containers: [{name: main, image: "demo:1"}]
`}
				set := example.Object(t, "v1beta1", namespace, "spec: "+strings.Replace(spec, "POLICY", policy, 1))
				create(t, set)
				b := budget(namespace, 0, func(b *v1beta1.PodUnavailableBudget) {
					b.Spec.Selector, b.Spec.TargetReference = nil, &v1beta1.TargetReference{APIVersion: "apps.kruise.io/v1alpha1", Kind: kind, Name: "web"}
				})
				create(t, b)
				updatesUnderABudget(t, set, nodesOf(t, b), policy == inPlace)
			})
		}
	}
}

// updatesUnderABudget updates a set of three pods while its budget lets none of them be away, and then one.
func updatesUnderABudget(t *testing.T, set *unstructured.Unstructured, n *nodes, inPlace bool) {
	t.Helper()
	var pods []corev1.Pod
	eventually(t, "three pods serve and are counted", func() bool {
		pods = n.play()
		return counts(t, n.budget, 3, 3, 3, 0)
	})
	before := map[types.UID]bool{}
	for _, p := range pods {
		before[p.UID] = true
	}
	n.mustServe = 3
	if err := server.Client.Patch(t.Context(), set, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"demo:2"}]}}}}`))); err != nil {
		t.Fatal(err)
	}
	const why = "to be updated, but PodUnavailableBudget web lets no more pods become unavailable"
	eventually(t, "the set says what it waits for", func() bool {
		n.play()
		return says(t, set, why) && told(t, set, "WaitingForBudget")
	})
	for _, p := range n.play() {
		if p.Spec.Containers[0].Image != "demo:1" || !before[p.UID] {
			t.Errorf("pod %s was changed", p.Name)
		}
	}
	n.mustServe = 2
	n.allow(1)
	eventually(t, "it goes on, pod by pod, to its end", func() bool {
		pods = n.play()
		return counts(t, n.budget, 3, 3, 2, 1) && !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Spec.Containers[0].Image != "demo:2" })
	})
	for _, p := range pods {
		if before[p.UID] != inPlace {
			t.Errorf("pod %s is one of before: %t, and the update was in place: %t", p.Name, before[p.UID], inPlace)
		}
	}
}
