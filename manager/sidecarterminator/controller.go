// Package sidecarterminator ends the sidecars of pods whose work is done, as plan/terminate decides, so that a job completes
// though one of its containers would run on.
//
// It promises one request for a pod whatever is repeated, since its name follows from the pod, and no write that holds for
// another version of the pod than the one that was looked at.
package sidecarterminator

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/terminate"
)

const (
	// workers is how many pods are worked on at a time.
	workers = 4
	// reason is that of the events on pods, on which clients rely.
	reason = "SidecarTerminator"
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch;create;delete
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// SetupController adds the controller to a manager.
func SetupController(mgr ctrl.Manager) error {
	concerned := predicate.NewPredicateFuncs(func(o client.Object) bool {
		pod, ok := o.(*corev1.Pod)
		return ok && terminate.Concerns(pod)
	})
	err := ctrl.NewControllerManagedBy(mgr).
		Named("sidecar-terminator").
		For(&corev1.Pod{}, builder.WithPredicates(concerned)).
		Watches(&v1beta1.ContainerRecreateRequest{}, handler.EnqueueRequestsFromMapFunc(podOf)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers, RateLimiter: loop.RateLimiter()}).
		Complete(&reconciler{client: mgr.GetClient(), recorder: mgr.GetEventRecorder("sidecar-terminator"), clock: clock.RealClock{}})
	if err != nil {
		return fmt.Errorf("set up the controller that ends sidecars: %w", err)
	}
	return nil
}

// podOf is the pod that one of our requests is about.
func podOf(_ context.Context, o client.Object) []reconcile.Request {
	r, ok := o.(*v1beta1.ContainerRecreateRequest)
	if !ok || len(r.OwnerReferences) == 0 || r.Name != terminate.RequestName(r.OwnerReferences[0].UID) {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: r.Namespace, Name: r.Spec.PodName}}}
}

type reconciler struct {
	client   client.Client
	recorder events.EventRecorder
	clock    clock.PassiveClock
}

// Reconcile implements reconcile.Reconciler.
func (r *reconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := r.client.Get(ctx, req.NamespacedName, pod); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !terminate.Concerns(pod) {
		return reconcile.Result{}, nil
	}
	virtual, err := r.virtual(ctx, pod.Spec.NodeName)
	if err != nil {
		return reconcile.Result{}, err
	}
	request := &v1beta1.ContainerRecreateRequest{}
	err = r.client.Get(ctx, types.NamespacedName{Namespace: pod.Namespace, Name: terminate.RequestName(pod.UID)}, request)
	if apierrors.IsNotFound(err) {
		request, err = nil, nil
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("get the request for pod %s: %w", req, err)
	}
	plan, err := terminate.Decide(pod, virtual, request, r.clock.Now())
	if err == nil {
		err = r.carryOut(ctx, pod, plan)
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if plan.Wake.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: plan.Wake.Sub(r.clock.Now())}, nil
}

// virtual says whether a node is none.
func (r *reconciler) virtual(ctx context.Context, name string) (bool, error) {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err := r.client.Get(ctx, client.ObjectKey{Name: name}, node); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("get node %s: %w", name, err)
	}
	return node.Labels[v1beta1.VirtualKubeletKey] == v1beta1.VirtualKubeletValue, nil
}

// carryOut does what is to be done for a pod. What an older cache asks for in vain is asked for again.
func (r *reconciler) carryOut(ctx context.Context, pod *corev1.Pod, plan terminate.Plan) error {
	if plan.Why == "" {
		return nil
	}
	log.FromContext(ctx).Info("Ending sidecars", "why", plan.Why)
	key := client.ObjectKeyFromObject(pod)
	if plan.Delete != nil {
		err := r.client.Delete(ctx, plan.Delete, client.Preconditions{UID: &plan.Delete.UID})
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("delete request %s, which left sidecars of pod %s running: %w", plan.Delete.Name, key, err)
		}
	}
	if plan.Create != nil {
		err := r.client.Create(ctx, plan.Create)
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("request that the sidecars of pod %s are stopped: %w", key, err)
		}
	}
	if plan.Status != nil {
		if err := r.client.Status().Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, plan.Status)); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("mark pod %s as ended: %w", key, err))
		}
	}
	if plan.Spec != nil {
		if err := r.client.Patch(ctx, pod.DeepCopy(), client.RawPatch(types.StrategicMergePatchType, plan.Spec)); err != nil {
			return client.IgnoreNotFound(fmt.Errorf("give the sidecars of pod %s another image: %w", key, err))
		}
	}
	r.recorder.Eventf(pod, nil, corev1.EventTypeNormal, reason, "TerminateSidecars", "%s", plan.Why)
	return nil
}
