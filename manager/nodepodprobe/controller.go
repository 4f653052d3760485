// Package nodepodprobe hands each node the probes of its pods, and writes what the nodes found on the pods.
//
// It promises: a NodePodProbe holds what follows from the pods on its node and the PodProbeMarkers of their namespaces, and
// nothing else; a node that probes nothing needs none; one write for all changes of a node, and one for what all probes of
// a pod found, none of which changes nothing. What should be is decided by plan/probe.
//
// The loop goes over nodes. A node of a virtual kubelet has no agent: its pods were asked for probes at their creation, and
// report them as conditions.
package nodepodprobe

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/probe"
)

// The kinds that the controller writes, as their caches are named for own writes.
const (
	kindProbes = "NodePodProbe"
	kindPod    = "Pod"
)

// Options tune the controller.
type Options struct {
	// Workers is how many nodes are worked on at a time. Default: 3.
	Workers int
	// Serverless says that pods of virtual kubelets are asked for probes, too.
	Serverless bool
}

// +kubebuilder:rbac:groups=apps.kruise.io,resources=nodepodprobes,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=apps.kruise.io,resources=podprobemarkers,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=nodes,verbs=get;list;watch

// Controller works on nodes.
type Controller struct {
	client     client.Client
	writes     *seen.Writes
	serverless bool

	markers  *index.Store[*v1alpha1.PodProbeMarker]
	probes   *index.Store[*v1alpha1.NodePodProbe]
	byMarker *index.Lookup[*v1alpha1.NodePodProbe]
	pods     *index.Store[*corev1.Pod]
	byNode   *index.Lookup[*corev1.Pod]
}

// SetupController adds the controller to a manager.
func SetupController(ctx context.Context, mgr ctrl.Manager, o Options) error {
	c, err := o.new(ctx, mgr)
	if err != nil {
		return err
	}
	if o.Workers == 0 {
		o.Workers = 3
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("nodepodprobe").
		For(&corev1.Node{}, builder.OnlyMetadata, builder.WithPredicates(predicate.LabelChangedPredicate{})).
		Watches(&v1alpha1.NodePodProbe{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(predicate.ResourceVersionChangedPredicate{})).
		Watches(&v1alpha1.PodProbeMarker{}, handler.EnqueueRequestsFromMapFunc(c.nodesOfMarker), builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, deletionBegan()))).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(c.nodeOfPod), builder.WithPredicates(podChanged())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: o.Workers,
			RateLimiter:             loop.RateLimiter(),
		}).
		Complete(c.reconciler(mgr, clock.RealClock{}))
	if err != nil {
		return fmt.Errorf("set up the NodePodProbe controller: %w", err)
	}
	return nil
}

func (o Options) new(ctx context.Context, mgr ctrl.Manager) (*Controller, error) {
	informers := mgr.GetCache()
	c := &Controller{client: mgr.GetClient(), serverless: o.Serverless}
	var err error
	if c.markers, err = index.For(ctx, informers, &v1alpha1.PodProbeMarker{}); err != nil {
		return nil, err
	}
	if c.probes, err = index.For(ctx, informers, &v1alpha1.NodePodProbe{}); err != nil {
		return nil, err
	}
	if c.pods, err = index.For(ctx, informers, &corev1.Pod{}); err != nil {
		return nil, err
	}
	if c.byMarker, err = index.By(ctx, informers, &v1alpha1.NodePodProbe{}, "kruise/marker", markersOf); err != nil {
		return nil, err
	}
	if c.byNode, err = index.By(ctx, informers, &corev1.Pod{}, "kruise/node", func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} }); err != nil {
		return nil, err
	}
	c.writes = seen.New(map[string]seen.Cache{kindProbes: c.probes, kindPod: c.pods})
	return c, nil
}

func (c *Controller) reconciler(mgr ctrl.Manager, now clock.PassiveClock) reconcile.Reconciler {
	return &loop.Loop[*metav1.PartialObjectMetadata]{
		Kind: "Node", Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Recorder: mgr.GetEventRecorder("nodepodprobe-controller"),
		Writes: c.writes, Clock: now,
		New: func() *metav1.PartialObjectMetadata {
			node := &metav1.PartialObjectMetadata{}
			node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
			return node
		},
		Begin: func(node *metav1.PartialObjectMetadata) loop.Work[*metav1.PartialObjectMetadata] {
			return &work{Controller: c, node: node}
		},
	}
}

// markersOf lists the markers whose probes a node has, as namespace/name.
func markersOf(p *v1alpha1.NodePodProbe) []string {
	var out []string
	for i := range p.Spec.PodProbes {
		for _, one := range p.Spec.PodProbes[i].Probes {
			out = append(out, p.Spec.PodProbes[i].Namespace+"/"+probe.MarkerOf(one.Name))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// nodesOfMarker are the nodes that have pods which a marker is about, or its probes already.
func (c *Controller) nodesOfMarker(_ context.Context, o client.Object) []reconcile.Request {
	marker, ok := o.(*v1alpha1.PodProbeMarker)
	if !ok {
		return nil
	}
	nodes := map[string]bool{}
	pods, err := c.pods.InNamespace(marker.Namespace)
	if err == nil {
		selector := probe.Selector(marker)
		for _, pod := range pods {
			if pod.Spec.NodeName != "" && selector.Matches(labels.Set(pod.Labels)) {
				nodes[pod.Spec.NodeName] = true
			}
		}
	}
	probes, err := c.byMarker.Of(client.ObjectKeyFromObject(marker).String())
	if err == nil {
		for _, p := range probes {
			nodes[p.Name] = true
		}
	}
	var out []reconcile.Request
	for node := range nodes {
		out = append(out, requestFor(node))
	}
	return out
}

// nodeOfPod is the node of a pod, where anybody wants to know anything of pods of its namespace.
func (c *Controller) nodeOfPod(_ context.Context, pod client.Object) []reconcile.Request {
	p, ok := pod.(*corev1.Pod)
	if !ok || p.Spec.NodeName == "" {
		return nil
	}
	if markers, err := c.markers.InNamespace(p.Namespace); err != nil || len(markers) == 0 {
		return nil
	}
	return []reconcile.Request{requestFor(p.Spec.NodeName)}
}

func requestFor(node string) reconcile.Request {
	return reconcile.Request{NamespacedName: types.NamespacedName{Name: node}}
}

// podChanged lets through what makes a pod be probed or not, and what others write over what was written for a probe.
func podChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, wasPod := e.ObjectOld.(*corev1.Pod)
		after, isPod := e.ObjectNew.(*corev1.Pod)
		return wasPod && isPod && (before.UID != after.UID || probe.Probed(before) != probe.Probed(after) ||
			before.Status.PodIP != after.Status.PodIP || !maps.Equal(before.Labels, after.Labels) || !maps.Equal(before.Annotations, after.Annotations) ||
			!slices.EqualFunc(before.Status.Conditions, after.Status.Conditions, func(a, b corev1.PodCondition) bool {
				return a.Type == b.Type && a.Status == b.Status
			}))
	}}
}

// deletionBegan lets through that an object is being deleted, which changes no generation of its spec that was seen yet.
func deletionBegan() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return e.ObjectOld.GetDeletionTimestamp() == nil && e.ObjectNew.GetDeletionTimestamp() != nil
	}}
}
