package containerrecreaterequest

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
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
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/restart"
)

// The kinds that the controller writes, as their caches are named for own writes.
const (
	kindRequest = "ContainerRecreateRequest"
	kindPod     = "Pod"
)

// byPodName is the index from a pod's name to the requests for it.
const byPodName = "spec.podName"

// Failed reconciles are repeated with growing pauses between these.
const (
	shortestBackoff = 50 * time.Millisecond
	longestBackoff  = 30 * time.Second
)

// Options tune the controller and the webhook.
type Options struct {
	// Workers is how many requests are worked on at a time. Default: 3.
	Workers int
	// Off refuses new requests: there are no agents. Those that there are still end, and their pods are let go.
	Off bool
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=containerrecreaterequests/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch

// Controller works on requests.
type Controller struct {
	client client.Client
	live   client.Reader
	writes *seen.Writes
	pods   *index.Store[*corev1.Pod]
}

// SetupController adds the controller to a manager.
func (o Options) SetupController(ctx context.Context, mgr ctrl.Manager) error {
	reconciler, err := o.NewReconciler(ctx, mgr, clock.RealClock{})
	if err != nil {
		return err
	}
	if o.Workers == 0 {
		o.Workers = 3
	}
	err = mgr.GetFieldIndexer().IndexField(ctx, &v1beta1.ContainerRecreateRequest{}, byPodName, func(obj client.Object) []string {
		if r, ok := obj.(*v1beta1.ContainerRecreateRequest); ok {
			return []string{r.Spec.PodName}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("index the requests by pod: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("containerrecreaterequest").
		For(&v1beta1.ContainerRecreateRequest{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, pod client.Object) []reconcile.Request {
			return requestsFor(ctx, mgr.GetClient(), pod)
		}), builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestBackoff, longestBackoff),
		}).
		Complete(reconciler)
	if err != nil {
		return fmt.Errorf("set up the controller of ContainerRecreateRequests: %w", err)
	}
	return nil
}

// requestsFor are the requests for a pod.
func requestsFor(ctx context.Context, c client.Reader, pod client.Object) []reconcile.Request {
	found := &v1beta1.ContainerRecreateRequestList{}
	if err := c.List(ctx, found, client.InNamespace(pod.GetNamespace()), client.MatchingFields{byPodName: pod.GetName()}); err != nil {
		log.FromContext(ctx).Error(err, "Looking for the requests for a pod", "pod", client.ObjectKeyFromObject(pod))
		return nil
	}
	var out []reconcile.Request
	for i := range found.Items {
		out = append(out, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&found.Items[i])})
	}
	return out
}

// NewReconciler makes the reconciler of requests over a manager's caches and client, and a clock.
func (o Options) NewReconciler(ctx context.Context, mgr ctrl.Manager, now clock.PassiveClock) (reconcile.Reconciler, error) {
	requests, err := index.For(ctx, mgr.GetCache(), &v1beta1.ContainerRecreateRequest{})
	if err != nil {
		return nil, err
	}
	pods, err := index.For(ctx, mgr.GetCache(), &corev1.Pod{})
	if err != nil {
		return nil, err
	}
	c := &Controller{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), pods: pods,
		writes: seen.New(map[string]seen.Cache{kindRequest: requests, kindPod: pods}),
	}
	return &loop.Loop[*v1beta1.ContainerRecreateRequest]{
		Kind: kindRequest, Client: c.client, Live: c.live, Recorder: mgr.GetEventRecorder("containerrecreaterequest-controller"),
		Writes: c.writes, Clock: now, SharedStatus: true, Finalizes: true,
		New: func() *v1beta1.ContainerRecreateRequest { return &v1beta1.ContainerRecreateRequest{} },
		Begin: func(r *v1beta1.ContainerRecreateRequest) loop.Work[*v1beta1.ContainerRecreateRequest] {
			return &work{Controller: c, request: r}
		},
	}, nil
}

// work is one reconcile of one request.
type work struct {
	*Controller
	request *v1beta1.ContainerRecreateRequest
	pod     *corev1.Pod // nil: there is none
	plan    restart.ManagerPlan
	// version is that of the request after what was written.
	version string
	decided bool
}

func (w *work) key() types.NamespacedName { return client.ObjectKeyFromObject(w.request) }

// Observe finds the pod. One that the cache does not show as it should be is looked up at the API server itself: a request
// may be younger than what the cache shows of its pod, and would be ended for nothing.
func (w *work) Observe(ctx context.Context) error {
	w.version = w.request.ResourceVersion
	key := types.NamespacedName{Namespace: w.request.Namespace, Name: w.request.Spec.PodName}
	if pod, ok := w.pods.Get(key); ok && pod.UID == restart.PodUID(w.request) {
		w.pod = pod
		return nil
	}
	if restart.Completed(w.request) {
		return nil // nothing is held on a pod that is gone
	}
	pod := &corev1.Pod{}
	err := w.live.Get(ctx, key, pod)
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return fmt.Errorf("get pod %s: %w", key, err)
	}
	w.pod = pod
	return nil
}

// Decide asks plan what to do.
func (w *work) Decide(now time.Time) error {
	w.plan, w.decided = restart.Manage(w.request, w.pod, now), true
	return nil
}

// Act holds or releases the pod, and tidies up after a request that has ended.
func (w *work) Act(ctx context.Context) error {
	if w.plan.Guard {
		finalizers := slices.Concat(w.request.Finalizers, []string{v1beta1.ContainerRecreateRequestUnreadyAcquiredKey})
		if err := w.patch(ctx, map[string]any{"finalizers": finalizers}); err != nil {
			return err
		}
	}
	if w.plan.Pod != nil {
		log.FromContext(ctx).Info("Changing whether the pod is in service", "pod", w.pod.Name, "phase", w.request.Status.Phase)
		pod := w.pod.DeepCopy()
		err := w.client.Status().Patch(ctx, pod, client.RawPatch(types.StrategicMergePatchType, w.plan.Pod))
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("patch the status of pod %s/%s: %w", pod.Namespace, pod.Name, err)
		}
		if err == nil {
			w.writes.Wrote(w.key(), kindPod, pod)
		}
	}
	if w.plan.Tidy {
		var finalizers []string
		for _, f := range w.request.Finalizers {
			if f != v1beta1.ContainerRecreateRequestUnreadyAcquiredKey {
				finalizers = append(finalizers, f)
			}
		}
		err := w.patch(ctx, map[string]any{
			"labels":     map[string]any{v1beta1.ContainerRecreateRequestActiveKey: nil},
			"finalizers": finalizers,
		})
		if err != nil {
			return err
		}
	}
	if w.plan.Delete {
		uid := w.request.UID
		if err := client.IgnoreNotFound(w.client.Delete(ctx, w.request.DeepCopy(), client.Preconditions{UID: &uid})); err != nil {
			return fmt.Errorf("delete request %s: %w", w.key(), err)
		}
		w.writes.Deleted(w.key(), kindRequest, w.request)
	}
	return nil
}

// patch changes the metadata of the request as it was read.
func (w *work) patch(ctx context.Context, metadata map[string]any) error {
	metadata["uid"], metadata["resourceVersion"] = w.request.UID, w.version
	body, err := json.Marshal(map[string]any{"metadata": metadata})
	if err != nil {
		return fmt.Errorf("patch request %s: %w", w.key(), err)
	}
	after := w.request.DeepCopy()
	if err := w.client.Patch(ctx, after, client.RawPatch(types.MergePatchType, body)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("patch request %s: %w", w.key(), err))
	}
	w.version = after.ResourceVersion
	w.writes.Wrote(w.key(), kindRequest, after)
	return nil
}

// Report writes what was decided.
func (w *work) Report(_ time.Time, failure error) loop.Report[*v1beta1.ContainerRecreateRequest] {
	report := loop.Report[*v1beta1.ContainerRecreateRequest]{Wake: w.plan.Wake}
	if failure != nil || !w.decided || w.plan.Delete {
		return report
	}
	after := w.request.DeepCopy()
	after.Status, after.ResourceVersion = w.plan.Status, w.version
	report.Object = after
	return report
}
