package images

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// typeKey is the label of a node that tells what it is.
	typeKey = "type"
	// virtualKubelet is its value for a node without a machine, where nothing can be pulled.
	virtualKubelet = "virtual-kubelet"
)

// nodes makes sure that real nodes have NodeImages, with the labels of the node.
type nodes struct{ *Controllers }

// Reconcile implements reconcile.Reconciler. The request names a node.
func (n nodes) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	node, exists := n.nodeStore.Get(req.NamespacedName)
	image, has := n.nodeImages.Get(req.NamespacedName)
	isMachine := exists && node.Labels[typeKey] != virtualKubelet
	if !has {
		n.board.ForgetNode(req.Name)
	}
	switch {
	case has && image.DeletionTimestamp != nil:
		return reconcile.Result{}, nil
	case has && !isMachine:
		if _, fake := image.Labels[v1beta1.FakeNodeImageKey]; fake {
			return reconcile.Result{}, nil
		}
		uid := image.UID
		if err := n.client.Delete(ctx, image.DeepCopy(), client.Preconditions{UID: &uid}); client.IgnoreNotFound(err) != nil {
			return reconcile.Result{}, fmt.Errorf("delete NodeImage %s, whose node is gone: %w", image.Name, err)
		}
		return reconcile.Result{}, nil
	case has:
		return reconcile.Result{}, n.relabel(ctx, image, node)
	case !isMachine:
		return reconcile.Result{}, nil
	}
	since, ready := readySince(node)
	if !ready {
		return reconcile.Result{}, nil
	}
	if wait := since.Add(n.options.CreationDelay).Sub(n.clock.Now()); wait > 0 {
		return reconcile.Result{RequeueAfter: wait}, nil
	}
	fresh := &v1beta1.NodeImage{}
	fresh.Name, fresh.Labels = node.Name, maps.Clone(node.Labels)
	if err := n.client.Create(ctx, fresh); err != nil && !apierrors.IsAlreadyExists(err) {
		return reconcile.Result{}, fmt.Errorf("create NodeImage %s: %w", node.Name, err)
	}
	return reconcile.Result{}, nil
}

// relabel gives a NodeImage the labels of its node, and takes those that the node does not have.
func (n nodes) relabel(ctx context.Context, image *v1beta1.NodeImage, node *corev1.Node) error {
	changed := map[string]any{}
	for key, value := range node.Labels {
		if had, ok := image.Labels[key]; !ok || had != value {
			changed[key] = value
		}
	}
	for key := range image.Labels {
		if _, ok := node.Labels[key]; !ok && key != v1beta1.FakeNodeImageKey {
			changed[key] = nil
		}
	}
	if len(changed) == 0 {
		return nil
	}
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": image.UID, "labels": changed}})
	if err == nil {
		err = n.client.Patch(ctx, image.DeepCopy(), client.RawPatch(types.MergePatchType, body))
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("label NodeImage %s as its node: %w", image.Name, err)
	}
	return nil
}

// readySince is since when a node is ready.
func readySince(node *corev1.Node) (time.Time, bool) {
	for _, c := range node.Status.Conditions {
		if c.Type == corev1.NodeReady {
			return c.LastTransitionTime.Time, c.Status == corev1.ConditionTrue
		}
	}
	return time.Time{}, false
}

// nodeChanges lets those events of nodes through that matter here: heartbeats do not.
func nodeChanges() predicate.Funcs {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Node)
		after, also := e.ObjectNew.(*corev1.Node)
		if !ok || !also {
			return true
		}
		_, wasReady := readySince(before)
		_, isReady := readySince(after)
		return wasReady != isReady || !maps.Equal(before.Labels, after.Labels)
	}}
}
