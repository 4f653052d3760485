package podreadiness

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clocks "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// gated is a pod of nobody's with the gate.
func gated() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "web"}}
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReadyConditionType}}
	return pod
}

// cached reads from a cache that lags behind.
type cached struct {
	client.Client
	pod *corev1.Pod
}

// Get implements client.Reader.
func (c cached) Get(ctx context.Context, at client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
	if c.pod != nil {
		c.pod.DeepCopyInto(obj.(*corev1.Pod))
		return nil
	}
	return c.Client.Get(ctx, at, obj, opts...)
}

func TestTheGateOfAPodIsOpenedUnlessSomebodyHoldsThePod(t *testing.T) {
	held := corev1.PodCondition{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionFalse, Message: `[{"userAgent":"drain","key":"a"}]`}
	for name, c := range map[string]struct {
		conditions []corev1.PodCondition
		lags       bool // the cache does not show them yet
		want       corev1.ConditionStatus
	}{
		"nobody said anything yet":               {nil, false, corev1.ConditionTrue},
		"somebody holds it":                      {[]corev1.PodCondition{held}, false, corev1.ConditionFalse},
		"somebody holds it since the cache read": {[]corev1.PodCondition{held}, true, corev1.ConditionFalse},
	} {
		t.Run(name, func(t *testing.T) {
			api := fake.NewClientBuilder().WithStatusSubresource(&corev1.Pod{}).WithObjects(gated()).Build()
			before, pod := &corev1.Pod{}, &corev1.Pod{}
			read := func(into *corev1.Pod) {
				if err := api.Get(t.Context(), client.ObjectKeyFromObject(gated()), into); err != nil {
					t.Fatal(err)
				}
			}
			read(before)
			read(pod)
			if pod.Status.Conditions = c.conditions; c.conditions != nil {
				if err := api.Status().Update(t.Context(), pod); err != nil {
					t.Fatal(err)
				}
			}
			r := &reconciler{client: cached{Client: api}, clock: clocks.NewFakePassiveClock(time.Unix(1, 0))}
			if c.lags {
				r.client = cached{api, before}
			}
			if _, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(pod)}); err != nil {
				t.Fatal(err)
			}
			read(pod)
			if len(pod.Status.Conditions) != 1 || pod.Status.Conditions[0].Status != c.want {
				t.Errorf("conditions %+v, want one that is %s", pod.Status.Conditions, c.want)
			}
		})
	}
}
