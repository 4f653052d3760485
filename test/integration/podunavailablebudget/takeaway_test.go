package podunavailablebudget

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	appsv1beta1 "kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/api/policy/v1beta1"
)

// trio is a CloneSet of three pods that serve, under a budget that lets none of them go.
type trio struct {
	*testing.T
	set    *appsv1beta1.CloneSet
	budget *v1beta1.PodUnavailableBudget
	before []corev1.Pod
}

// newTrio makes one whose budget takes the total from the set, unless it is stated.
func newTrio(t *testing.T, change func(*appsv1beta1.CloneSet), more ...func(*v1beta1.PodUnavailableBudget)) *trio {
	t.Helper()
	namespace, labels := server.Namespace(t), map[string]string{"app": "web", "hold": "yes"}
	w := &trio{T: t, set: &appsv1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}}
	w.set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	w.set.Spec.Template.Labels, w.set.Spec.Template.Spec = labels, plain("", "").Spec
	w.set.Spec.Replicas, w.set.Spec.UpdateStrategy.Type = new(int32(3)), appsv1beta1.RollingUpdateCloneSetUpdateStrategyType
	w.set.Spec.UpdateStrategy.RollingUpdate = &appsv1beta1.RollingUpdateCloneSetStrategy{MaxUnavailable: new(intstr.FromString("100%"))}
	change(w.set)
	create(t, w.set)
	w.budget = budget(namespace, 0, append(more, func(b *v1beta1.PodUnavailableBudget) {
		b.Spec.Selector, b.Spec.TargetReference = nil, &v1beta1.TargetReference{APIVersion: "apps.kruise.io/v1beta1", Kind: "CloneSet", Name: "web"}
	})...)
	create(t, w.budget)
	eventually(t, "the set has its pods", func() bool { return len(w.pods()) == 3 })
	w.before = w.pods()
	for _, p := range w.before {
		w.serves(p.Name, corev1.ConditionTrue)
	}
	awaitCounts(t, w.budget, 3, 3, 3, 0)
	return w
}

func (w *trio) pods() []corev1.Pod {
	w.Helper()
	pods := &corev1.PodList{}
	if err := server.Client.List(w.Context(), pods, client.InNamespace(w.set.Namespace)); err != nil {
		w.Fatal(err)
	}
	return pods.Items
}

// serves says whether a pod is ready, as kubelet does, and leaves what others say of it.
func (w *trio) serves(name string, ready corev1.ConditionStatus) {
	w.Helper()
	p := reread(w.T, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.set.Namespace, Name: name}})
	body := fmt.Appendf(nil, `{"status":{"phase":"Running","observedGeneration":%d,"conditions":[{"type":"Ready","status":%q,"lastTransitionTime":%q}]}}`,
		p.Generation, ready, time.Now().UTC().Format(time.RFC3339))
	if err := server.Client.Status().Patch(w.Context(), p, client.RawPatch(types.StrategicMergePatchType, body)); err != nil {
		w.Fatal(err)
	}
}

func (w *trio) patch(object client.Object, body string) {
	w.Helper()
	if err := server.Client.Patch(w.Context(), object, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
		w.Fatal(err)
	}
}

// untilHeld waits until the set says that the budget holds it up, and checks that no pod was touched and nothing spent.
func (w *trio) untilHeld(what string, counted ...int32) {
	w.Helper()
	eventually(w.T, "the set says what it waits for", func() bool {
		if err := server.Client.Get(w.Context(), client.ObjectKeyFromObject(w.set), w.set); err != nil {
			w.Fatal(err)
		}
		return slices.ContainsFunc(w.set.Status.Conditions, func(c appsv1beta1.CloneSetCondition) bool {
			return c.Type == appsv1beta1.CloneSetConditionTypeProgressing && strings.Contains(c.Message, what+", but PodUnavailableBudget web lets no more pods become unavailable")
		})
	})
	if left := w.untouched(); left != 3 {
		w.Errorf("%d pods are left as they were", left)
	}
	if !counts(w.T, w.budget, counted...) || len(w.budget.Status.DisruptedPods)+len(w.budget.Status.UnavailablePods) > 0 {
		w.Errorf("the budget says %+v", w.budget.Status)
	}
}

// untouched counts the pods that are there as they were at first.
func (w *trio) untouched() (n int) {
	w.Helper()
	now := w.pods()
	for _, p := range w.before {
		if slices.ContainsFunc(now, func(q corev1.Pod) bool {
			return q.UID == p.UID && q.DeletionTimestamp == nil && q.Labels[appsv1beta1.LifecycleStateKey] == "Normal" && q.Spec.Containers[0].Image == "demo:1"
		}) {
			n++
		}
	}
	return n
}

// leaving is the pod that a hook holds; empty for none.
func (w *trio) leaving() string {
	w.Helper()
	for _, p := range w.pods() {
		if p.Labels[appsv1beta1.LifecycleStateKey] == "PreparingDelete" {
			return p.Name
		}
	}
	return ""
}

func recreating(set *appsv1beta1.CloneSet) {
	set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = appsv1beta1.RecreatePodUpdatePolicyType
}

func asIs(*appsv1beta1.CloneSet) {}

func TestACloneSetTakesNoMorePodsAwayThanTheirBudgetLets(t *testing.T) {
	const image = `{"spec":{"template":{"spec":{"containers":[{"name":"main","image":"demo:2"}]}}}}`
	for name, c := range map[string]struct {
		change func(*appsv1beta1.CloneSet)
		stated []func(*v1beta1.PodUnavailableBudget)
		do     func(*trio)
		held   string
		pods   int // once one of them went
	}{
		"while they are recreated": {change: recreating, held: "to be updated", pods: 3, do: func(w *trio) { w.patch(w.set, image) }},
		"while they are scaled in": {
			change: asIs, held: "to be deleted", pods: 2, stated: []func(*v1beta1.PodUnavailableBudget){total(3)},
			do: func(w *trio) { w.patch(w.set, `{"spec":{"replicas":1}}`) },
		},
		"while they are deleted by name": {change: asIs, held: "to be deleted", pods: 3, do: func(w *trio) {
			for i := range w.before[:2] {
				w.patch(&w.before[i], `{"metadata":{"labels":{"apps.kruise.io/specified-delete":"true"}}}`)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newTrio(t, c.change, c.stated...)
			c.do(w)
			w.untilHeld(c.held, 3, 3, 3, 0)
			w.patch(w.budget, `{"spec":{"maxUnavailable":1}}`)
			eventually(t, "one goes, and the others wait", func() bool {
				return w.untouched() == 2 && len(w.pods()) == c.pods && counts(t, w.budget, 3, 2, 2, 0)
			})
			if c.pods == 2 {
				return // the total was stated: no other comes for the one that went
			}
			for _, p := range w.pods() { // those of before serve already, and any of them may go as soon as the new one does
				if !slices.ContainsFunc(w.before, func(q corev1.Pod) bool { return q.UID == p.UID }) {
					w.serves(p.Name, corev1.ConditionTrue)
				}
			}
			eventually(t, "once another serves in its place, the next goes", func() bool { return w.untouched() == 1 })
			if !counts(t, w.budget, 3, 2, 2, 0) {
				t.Errorf("the budget says %+v", w.budget.Status)
			}
		})
	}
}

func TestAScaleInThatTheWorkloadWantsIsNoLoss(t *testing.T) {
	w := newTrio(t, asIs)
	w.patch(w.set, `{"spec":{"replicas":2}}`)
	eventually(t, "one goes", func() bool { return w.untouched() == 2 && len(w.pods()) == 2 && counts(t, w.budget, 2, 2, 2, 0) })
}

func holding(notReady bool) func(*appsv1beta1.CloneSet) {
	return func(set *appsv1beta1.CloneSet) {
		set.Spec.Lifecycle = &appsv1beta1.Lifecycle{PreDelete: &appsv1beta1.LifecycleHook{
			LabelsHandler: map[string]string{"hold": "yes"}, MarkPodNotReady: notReady,
		}}
		if notReady {
			set.Spec.Template.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: appsv1beta1.KruisePodReadyConditionType}}
		}
	}
}

func TestAHookThatTakesPodsOutOfServiceWaitsForTheirBudget(t *testing.T) {
	w := newTrio(t, holding(true), total(3))
	w.patch(w.set, `{"spec":{"replicas":1}}`)
	w.untilHeld("to be deleted", 3, 3, 3, 0)
	w.patch(w.budget, `{"spec":{"maxUnavailable":1}}`)
	eventually(t, "the hook holds one, which is counted as away", func() bool { return w.leaving() != "" && counts(t, w.budget, 3, 2, 2, 0) })
	held := w.leaving()
	w.serves(held, corev1.ConditionFalse) // which kubelet says once the gate of the pod is closed
	w.patch(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.set.Namespace, Name: held}}, `{"metadata":{"labels":{"hold":null}}}`)
	eventually(t, "it goes, and the others wait", func() bool {
		return len(w.pods()) == 2 && w.untouched() == 2 && counts(t, w.budget, 3, 2, 2, 0)
	})
}

func TestAPodThatItsHookLeavesInServiceWaitsForItsBudgetWhenTheHookLetsGo(t *testing.T) {
	w := newTrio(t, holding(false), total(3))
	w.patch(w.set, `{"spec":{"replicas":2}}`)
	eventually(t, "the hook holds one", func() bool { return w.leaving() != "" })
	held := w.leaving()
	if !counts(t, w.budget, 3, 3, 3, 0) {
		t.Errorf("a pod that serves on cost something: %+v", w.budget.Status)
	}
	w.patch(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: w.set.Namespace, Name: held}}, `{"metadata":{"labels":{"hold":null}}}`)
	eventually(t, "the set waits for the budget", func() bool { return told(t, w.set, "WaitingForBudget") })
	if len(w.pods()) != 3 || !counts(t, w.budget, 3, 3, 3, 0) {
		t.Errorf("%d pods are left, and the budget says %+v", len(w.pods()), w.budget.Status)
	}
	w.patch(w.budget, `{"spec":{"maxUnavailable":1}}`)
	eventually(t, "it goes", func() bool { return len(w.pods()) == 2 && w.untouched() == 2 && counts(t, w.budget, 3, 2, 2, 0) })
}
