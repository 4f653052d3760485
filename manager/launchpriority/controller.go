// Package launchpriority tells the containers of a pod their turn, where the pod asks for an order. The admission of pods
// made each of them wait for a key of the pod's barrier, a config map; plan/launch says which keys are to be there.
//
// It promises: two writes for each turn (the key, and an annotation that makes kubelet look at once) and one at the end, and
// none that changes nothing; no config map is ever read, so
// that the manager need not see those of others; the barrier goes with its pod.
package launchpriority

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/launch"
)

const (
	// workers is how many pods are worked on at a time.
	workers = 4
	// fieldOwner owns the barriers' keys.
	fieldOwner = client.FieldOwner("kruise-launch-priority")
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=create;patch

// SetupController adds the controller to a manager.
func SetupController(mgr ctrl.Manager) error {
	waits := predicate.NewPredicateFuncs(func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && launch.Waits(pod)
	})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("launch-priority").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.Or(waits, deleted()))).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(&reconciler{client: mgr.GetClient(), told: map[types.NamespacedName]told{}})
	if err != nil {
		return fmt.Errorf("set up the controller of launch priorities: %w", err)
	}
	return nil
}

// deleted lets through that a pod is gone, which is then forgotten.
func deleted() predicate.Predicate {
	nothing := func(client.Object) bool { return false }
	p := predicate.NewPredicateFuncs(nothing)
	return predicate.Funcs{CreateFunc: p.Create, UpdateFunc: p.Update, GenericFunc: p.Generic}
}

type reconciler struct {
	client client.Client

	mu   sync.Mutex
	told map[types.NamespacedName]told
}

// told is what was last written for a pod, which its cache may not show yet.
type told struct {
	uid     types.UID
	barrier map[string]string
	done    bool
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := r.client.Get(ctx, req.NamespacedName, pod); err != nil {
		if apierrors.IsNotFound(err) {
			r.remember(req.NamespacedName, nil)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("get pod %s: %w", req.NamespacedName, err)
	}
	if !launch.Waits(pod) {
		r.remember(req.NamespacedName, nil)
		return reconcile.Result{}, nil
	}
	before := r.last(req.NamespacedName, pod.UID)
	if before.done {
		return reconcile.Result{}, nil
	}
	now := told{uid: pod.UID}
	now.barrier, now.done = launch.Open(pod)
	if !maps.Equal(before.barrier, now.barrier) {
		if err := r.open(ctx, pod, now.barrier); err != nil {
			return reconcile.Result{}, err
		}
		if pod.Spec.NodeName != "" && !now.done { // kubelet may have seen that the key was missing
			turns := strings.Join(slices.Sorted(maps.Keys(now.barrier)), ",")
			if err := r.annotate(ctx, pod, v1beta1.ContainerLaunchTurnsKey, turns); err != nil {
				return reconcile.Result{}, err
			}
		}
	}
	if now.done {
		if err := r.annotate(ctx, pod, v1beta1.ContainerLaunchPriorityCompletedKey, "true"); err != nil {
			return reconcile.Result{}, err
		}
	}
	r.remember(req.NamespacedName, &now)
	return reconcile.Result{}, nil
}

// open writes the barrier as it should be.
func (r *reconciler) open(ctx context.Context, pod *corev1.Pod, barrier map[string]string) error {
	name := launch.BarrierName(pod.Name)
	log.FromContext(ctx).Info("Open", "barrier", name, "keys", len(barrier))
	apply := corev1ac.ConfigMap(name, pod.Namespace).WithData(barrier).WithOwnerReferences(
		metav1ac.OwnerReference().WithAPIVersion("v1").WithKind("Pod").WithName(pod.Name).WithUID(pod.UID))
	if err := r.client.Apply(ctx, apply, fieldOwner, client.ForceOwnership); err != nil {
		return fmt.Errorf("write the barrier %s/%s: %w", pod.Namespace, name, err)
	}
	return nil
}

// annotate annotates the pod. One that is gone needs no annotation.
func (r *reconciler) annotate(ctx context.Context, pod *corev1.Pod, key, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"uid":%q,"annotations":{%q:%q}}}`, pod.UID, key, value)
	err := r.client.Patch(ctx, &corev1.Pod{ObjectMeta: *pod.ObjectMeta.DeepCopy()}, client.RawPatch(types.MergePatchType, []byte(patch)))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("annotate pod %s: %w", client.ObjectKeyFromObject(pod), err)
	}
	return nil
}

func (r *reconciler) last(key types.NamespacedName, uid types.UID) told {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last := r.told[key]; last.uid == uid {
		return last
	}
	return told{}
}

func (r *reconciler) remember(key types.NamespacedName, last *told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last == nil {
		delete(r.told, key)
		return
	}
	r.told[key] = *last
}
