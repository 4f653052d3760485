package daemonset

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/placement"
	"kruise.io/kruise/plan/workload"
)

// queue is where sets wait for their turn.
type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]

// nodeHandler wakes the sets to which a change of a node matters.
type nodeHandler struct{ sets client.Reader }

var _ handler.EventHandler = nodeHandler{}

// Create implements handler.EventHandler.
func (h nodeHandler) Create(ctx context.Context, e event.CreateEvent, q queue) {
	h.wake(ctx, nil, nodeOf(e.Object), q)
}

// Update implements handler.EventHandler.
func (h nodeHandler) Update(ctx context.Context, e event.UpdateEvent, q queue) {
	before, after := nodeOf(e.ObjectOld), nodeOf(e.ObjectNew)
	if before != nil && after != nil && !matters(before, after) {
		return
	}
	h.wake(ctx, before, after, q)
}

// Delete implements handler.EventHandler.
func (h nodeHandler) Delete(ctx context.Context, e event.DeleteEvent, q queue) {
	h.wake(ctx, nodeOf(e.Object), nil, q)
}

// Generic implements handler.EventHandler. Nobody sends such events.
func (h nodeHandler) Generic(context.Context, event.GenericEvent, queue) {}

func nodeOf(object client.Object) *corev1.Node {
	node, _ := object.(*corev1.Node)
	return node
}

// matters says whether a change of a node may matter to any set. A heartbeat does not.
func matters(before, after *corev1.Node) bool {
	return placement.Lost(before) != placement.Lost(after) || !equality.Semantic.DeepEqual(before.Labels, after.Labels) ||
		!equality.Semantic.DeepEqual(before.Spec.Taints, after.Spec.Taints)
}

// wake queues the sets to which the change matters. Nil stands for a node that is not there.
func (h nodeHandler) wake(ctx context.Context, before, after *corev1.Node, q queue) {
	var sets v1beta1.DaemonSetList
	if err := h.sets.List(ctx, &sets, client.UnsafeDisableDeepCopy); err != nil {
		log.FromContext(ctx).Error(err, "No DaemonSet hears of the change of a node")
		return
	}
	for i := range sets.Items {
		if set := &sets.Items[i]; workload.NodeMatters(set, before, after) {
			q.Add(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(set)})
		}
	}
}
