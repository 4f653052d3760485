package workload

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// servingWith is a pod that serves with the sidecars of a set.
func servingWith(t *testing.T, set *v1beta1.SidecarSet, namespace, name string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": "web"}}}
	pod.Spec.Containers = []corev1.Container{{Name: "main", Image: "main:1"}}
	if problems := sidecar.Inject(pod, []sidecar.Injection{{Set: set, Revision: "proxy-v1"}}, sidecar.Options{}); len(problems) > 0 {
		t.Fatal(problems)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	return pod
}

func TestPodsThatTheirBudgetHoldsGiveTheirTurnToOthers(t *testing.T) {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "proxy"}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "proxy", Image: "proxy:1"}}}
	in := Injected{}
	for _, namespace := range []string{"bank", "shop"} {
		for _, name := range []string{"a", "b"} {
			in.Pods = append(in.Pods, servingWith(t, set, namespace, name))
		}
	}
	set.Spec.Containers[0].Image = "proxy:2"
	budget := func(allowed int32) *policyv1beta1.PodUnavailableBudget {
		b := &policyv1beta1.PodUnavailableBudget{}
		b.Spec.Selector = set.Spec.Selector
		b.Status = policyv1beta1.PodUnavailableBudgetStatus{UnavailableAllowed: allowed, DesiredAvailable: 1}
		return b
	}
	for name, tc := range map[string]struct {
		allowed map[string]int32 // by namespace
		away    int
		want    []string
	}{
		"none is held":                  {map[string]int32{"bank": 1, "shop": 1}, 1, []string{"bank/a"}},
		"those of one budget are held":  {map[string]int32{"bank": 0, "shop": 1}, 1, []string{"shop/a"}},
		"held ones are tried last":      {map[string]int32{"bank": 0, "shop": 1}, 3, []string{"shop/a", "shop/b", "bank/a"}},
		"all are held, and still tried": {map[string]int32{"bank": 0, "shop": 0}, 1, []string{"bank/a"}},
		"a namespace without a budget":  {map[string]int32{"bank": 0}, 1, []string{"shop/a"}},
	} {
		t.Run(name, func(t *testing.T) {
			set.Spec.UpdateStrategy.MaxUnavailable = new(intstr.FromInt(tc.away))
			in := in
			in.Budgets = func(namespace string) ([]*policyv1beta1.PodUnavailableBudget, error) {
				allowed, exists := tc.allowed[namespace]
				if !exists {
					return nil, nil
				}
				b := budget(allowed)
				b.Namespace = namespace
				return []*policyv1beta1.PodUnavailableBudget{b}, nil
			}
			view, err := NewSidecarSet(set, in)
			if err != nil {
				t.Fatal(err)
			}
			plan, err := view.Plan(time.Unix(1000, 0))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range plan.Steps {
				got = append(got, s.Pod.Name)
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("it begins with %v, want %v", got, tc.want)
			}
		})
	}
}
