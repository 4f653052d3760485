package daemonset

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// selecting is a DaemonSet whose pods run on nodes with a label.
func selecting(name, label string) *v1beta1.DaemonSet {
	set := &v1beta1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	set.Spec.Template.Spec.NodeSelector = map[string]string{label: "yes"}
	return set
}

func TestAChangeOfANodeWakesTheSetsToWhichItMatters(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := v1beta1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	h := nodeHandler{sets: fake.NewClientBuilder().WithScheme(scheme).WithObjects(selecting("gpu", "gpu"), selecting("disk", "disk")).Build()}
	plain := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "one", Labels: map[string]string{"disk": "yes"}}}
	with := func(change func(*corev1.Node)) *corev1.Node {
		node := plain.DeepCopy()
		change(node)
		return node
	}
	for name, test := range map[string]struct {
		happen func(q queue)
		want   []string
	}{
		"it comes": {func(q queue) { h.Create(t.Context(), event.CreateEvent{Object: plain}, q) }, []string{"disk"}},
		"it goes":  {func(q queue) { h.Delete(t.Context(), event.DeleteEvent{Object: plain}, q) }, []string{"disk"}},
		"another label": {func(q queue) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: with(func(n *corev1.Node) { n.Labels = map[string]string{"gpu": "yes"} })}, q)
		}, []string{"disk", "gpu"}},
		"a taint": {func(q queue) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: with(func(n *corev1.Node) {
				n.Spec.Taints = []corev1.Taint{{Key: "team", Effect: corev1.TaintEffectNoExecute}}
			})}, q)
		}, []string{"disk"}},
		"nobody hears of it": {func(q queue) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: with(func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionUnknown}}
			})}, q)
		}, []string{"disk"}},
		"a heartbeat": {func(q queue) {
			h.Update(t.Context(), event.UpdateEvent{ObjectOld: plain, ObjectNew: with(func(n *corev1.Node) {
				n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
				n.Status.Images = []corev1.ContainerImage{{Names: []string{"new"}}}
			})}, q)
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			q := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
			defer q.ShutDown()
			test.happen(q)
			var got []string
			for q.Len() > 0 {
				item, _ := q.Get()
				got = append(got, item.Name)
				q.Done(item)
			}
			slices.Sort(got)
			if !slices.Equal(got, test.want) {
				t.Errorf("woken are %v, want %v", got, test.want)
			}
		})
	}
}
