package images

import (
	"context"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Failed reconciles are repeated with growing pauses between these.
const (
	shortestBackoff = 50 * time.Millisecond
	longestBackoff  = 30 * time.Second
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs;imagelistpulljobs,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs/status;imagelistpulljobs/status;nodeimages/status,verbs=patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=imagepulljobs/finalizers;imagelistpulljobs/finalizers,verbs=update
// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodeimages,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=nodes;pods,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

func workers(n int) controller.Options {
	return controller.Options{
		MaxConcurrentReconciles: max(n, 1),
		RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestBackoff, longestBackoff),
	}
}

// setupNodeImages adds the controllers of NodeImages to a manager.
func (c *Controllers) setupNodeImages(mgr ctrl.Manager) error {
	sameName := handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: o.GetName()}}}
	})
	metadata := predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !maps.Equal(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) || e.ObjectNew.GetDeletionTimestamp() != nil
	}}
	err := ctrl.NewControllerManagedBy(mgr).Named("nodeimage-of-node").
		For(&corev1.Node{}, builder.WithPredicates(nodeChanges())).
		Watches(&v1beta1.NodeImage{}, sameName, builder.WithPredicates(metadata)).
		WithOptions(workers(c.options.NodeWorkers)).
		Complete(c.Nodes())
	if err != nil {
		return wrap("nodes", err)
	}
	return wrap(kindNodeImage, ctrl.NewControllerManagedBy(mgr).Named("nodeimage").
		For(&v1beta1.NodeImage{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&v1beta1.ImagePullJob{}, handler.Funcs{
			UpdateFunc: func(_ context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				if !sameForNodes(e.ObjectOld, e.ObjectNew) {
					c.enqueueNodesOf(e.ObjectNew, queue)
				}
			},
			DeleteFunc: func(_ context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
				c.enqueueNodesOf(e.Object, queue)
			},
		}).
		WatchesRawSource(c.nodeWaker.source()).
		WithOptions(workers(c.options.NodeWorkers)).
		Complete(c.NodeImages()))
}

// sameForNodes says whether a change of a job means nothing to its nodes.
func sameForNodes(before, after client.Object) bool {
	old, ok := before.(*v1beta1.ImagePullJob)
	job, also := after.(*v1beta1.ImagePullJob)
	return ok && also && old.Generation == job.Generation && over(old) == over(job)
}

func over(job *v1beta1.ImagePullJob) bool {
	return job.Status.CompletionTime != nil || job.DeletionTimestamp != nil
}

func (c *Controllers) enqueueNodesOf(job client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
	found, err := c.nodeImages.By(byJob, string(job.GetUID()))
	if err != nil {
		return // the index is there: New made it
	}
	for _, image := range found {
		queue.Add(reconcile.Request{NamespacedName: types.NamespacedName{Name: image.Name}})
	}
}

// setupJobs adds the controllers of ImagePullJobs and their pull secrets to a manager.
func (c *Controllers) setupJobs(mgr ctrl.Manager) error {
	changes := predicate.Or(predicate.GenerationChangedPredicate{}, predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !sameForNodes(e.ObjectOld, e.ObjectNew)
	}})
	err := ctrl.NewControllerManagedBy(mgr).Named("imagepulljob").
		For(&v1beta1.ImagePullJob{}, builder.WithPredicates(changes)).
		Watches(&v1beta1.NodeImage{}, handler.EnqueueRequestsFromMapFunc(c.jobsOfNode), builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(c.jobsOfPod), builder.WithPredicates(podChanges())).
		WatchesRawSource(c.jobWaker.source()).
		WithOptions(workers(c.options.JobWorkers)).
		Complete(c.Jobs())
	if err != nil {
		return wrap(kindJob, err)
	}
	return wrap("pull secrets", ctrl.NewControllerManagedBy(mgr).Named("imagepulljob-secrets").
		Watches(&v1beta1.ImagePullJob{}, handler.EnqueueRequestsFromMapFunc(func(_ context.Context, o client.Object) []reconcile.Request {
			job, ok := o.(*v1beta1.ImagePullJob)
			if !ok || job.Namespace == c.options.ConfigNamespace {
				return nil
			}
			var requests []reconcile.Request
			for _, secret := range sources(job) {
				requests = append(requests, reconcile.Request{NamespacedName: secret})
			}
			return requests
		}), builder.WithPredicates(changes)).
		WatchesRawSource(c.waker.source(sweep)).
		WithOptions(workers(1)).
		Complete(c.Secrets()))
}

// jobsOfNode are the running jobs that may select a node: all that do not go by pods.
func (c *Controllers) jobsOfNode(_ context.Context, image client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, job := range c.jobStore.All() {
		if !over(job) && mayChoose(job, image.GetName()) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(job)})
		}
	}
	return requests
}

func mayChoose(job *v1beta1.ImagePullJob, node string) bool {
	if job.Spec.Selector == nil || len(job.Spec.Selector.Names) == 0 {
		return true // by labels, or by pods that may run on a node that had no NodeImage so far
	}
	return slices.Contains(job.Spec.Selector.Names, node)
}

// jobsOfPod are the running jobs that select a pod.
func (c *Controllers) jobsOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	found, err := c.jobStore.By(byPods, pod.GetNamespace())
	if err != nil {
		return nil // the index is there: New made it
	}
	var requests []reconcile.Request
	for _, job := range found {
		selector, err := metav1.LabelSelectorAsSelector(job.Spec.PodSelector)
		if err == nil && selector.Matches(labels.Set(pod.GetLabels())) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(job)})
		}
	}
	return requests
}

// podChanges lets those events of pods through that change on which nodes pods are.
func podChanges() predicate.Funcs {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*corev1.Pod)
		after, also := e.ObjectNew.(*corev1.Pod)
		return !ok || !also || runs(before) != runs(after) || !maps.Equal(before.Labels, after.Labels)
	}}
}

// setupLists adds the controller of ImageListPullJobs to a manager.
func (c *Controllers) setupLists(mgr ctrl.Manager) error {
	return wrap(kindList, ctrl.NewControllerManagedBy(mgr).Named("imagelistpulljob").
		For(&v1beta1.ImageListPullJob{}, builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		Owns(&v1beta1.ImagePullJob{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		WithOptions(workers(c.options.ListWorkers)).
		Complete(c.Lists()))
}
