// Package podreadiness opens the readiness gate KruisePodReady of pods that have it and that no workload of ours owns:
// those open the gates of their pods themselves. It runs where every pod gets the gate.
//
// It promises one write for each pod, and to leave alone what anybody has said of the gate.
package podreadiness

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

// workers is how many pods are worked on at a time.
const workers = 8

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch

// SetupController adds the controller to a manager.
func SetupController(mgr ctrl.Manager) error {
	r := &reconciler{client: mgr.GetClient(), clock: clock.RealClock{}}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("pod-readiness").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(o client.Object) bool {
			pod, ok := o.(*corev1.Pod)
			return ok && waits(pod)
		}))).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers}).
		Complete(r)
	if err != nil {
		return fmt.Errorf("set up the controller of pod readiness: %w", err)
	}
	return nil
}

// waits says whether the gate of a pod waits for us to open it.
func waits(pod *corev1.Pod) bool {
	gate := v1beta1.KruisePodReadyConditionType
	if pod.DeletionTimestamp != nil || !inplace.HasGate(pod, gate) {
		return false
	}
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == gate {
			return false
		}
	}
	owner := metav1.GetControllerOfNoCopy(pod)
	return owner == nil || !strings.HasPrefix(owner.APIVersion, v1beta1.GroupName+"/")
}

type reconciler struct {
	client client.Client
	clock  clock.PassiveClock
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := r.client.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !waits(pod) {
		return reconcile.Result{}, nil
	}
	patch := inplace.Settle(pod, lifecycle.State(pod.Labels[v1beta1.LifecycleStateKey]), "", r.clock.Now()).Status
	if patch == nil {
		return reconcile.Result{}, nil
	}
	err := r.client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, patch))
	if apierrors.IsConflict(err) { // somebody wrote the pod, and with what comes of that it is looked at again
		return reconcile.Result{}, nil
	}
	if client.IgnoreNotFound(err) != nil {
		return reconcile.Result{}, fmt.Errorf("open the gate of pod %s: %w", req.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}
