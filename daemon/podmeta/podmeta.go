// Package podmeta tells with which labels and annotations in their environment containers were started, and restarts those
// whose values are out of date, for updates in place: kubelet restarts nothing for them.
//
// It looks at pods of our workloads on its node that take labels or annotations into an environment, and at no others. What it
// finds stands in the pod's annotation apps.kruise.io/runtime-containers-meta. It stops a container only while the pod is out of
// service for an update in place, and not before kubelet knows the new values; the promises of plan/restart hold: written down
// before it begins, by its ID, and the preStop hook at most once.
package podmeta

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/recreate"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/restart"
)

const (
	kindPod = "Pod"
	// workers is how many pods are looked at a time.
	workers = 4
	// unseenPace is when to look again for a write that the cache does not show.
	unseenPace = 50 * time.Millisecond
	// Failed reconciles are repeated with growing pauses between these.
	shortestBackoff = 3 * time.Second
	longestBackoff  = 10 * time.Minute
)

// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch
// +kubebuilder:rbac:groups="",resources=pods/status,verbs=patch

// Watched says which pods the process needs to know: those of its node.
func Watched(node string) cache.ByObject {
	return cache.ByObject{Field: fields.OneTermEqualSelector("spec.nodeName", node)}
}

// Controller looks at pods.
type Controller struct {
	client   client.Client
	live     client.Reader
	runtimes *cri.Node
	clock    clock.PassiveClock
	stopper  *recreate.Stopper
	writes   *seen.Writes

	mu   sync.Mutex
	envs map[types.UID]map[string]map[string]string // environments that were read, by pod and container ID
}

// Setup adds the controller to a manager.
func Setup(ctx context.Context, mgr ctrl.Manager, o recreate.Options) error {
	pods, err := index.For(ctx, mgr.GetCache(), &corev1.Pod{})
	if err != nil {
		return err
	}
	ended := make(chan event.GenericEvent, 100)
	c := &Controller{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), runtimes: o.Runtimes, clock: clock.RealClock{},
		stopper: recreate.NewStopper(o, ended), writes: seen.New(map[string]seen.Cache{kindPod: pods}),
		envs: map[types.UID]map[string]map[string]string{},
	}
	if err := mgr.Add(c.stopper); err != nil {
		return fmt.Errorf("set up the stops of containers: %w", err)
	}
	err = ctrl.NewControllerManagedBy(mgr).
		Named("podmeta").
		For(&corev1.Pod{}, builder.WithPredicates(predicate.NewPredicateFuncs(func(obj client.Object) bool {
			pod, ok := obj.(*corev1.Pod)
			return ok && takesIn(pod)
		}))).
		WatchesRawSource(source.Channel(ended, &handler.EnqueueRequestForObject{})).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: workers,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](shortestBackoff, longestBackoff),
		}).
		Complete(c)
	if err != nil {
		return fmt.Errorf("set up the controller of pods: %w", err)
	}
	return nil
}

// takesIn says whether a pod is one of ours with a container that takes labels or annotations into its environment.
func takesIn(pod *corev1.Pod) bool {
	_, injected := pod.Annotations[v1beta1.SidecarSetInjectedListKey]
	owner := metav1.GetControllerOfNoCopy(pod)
	ours := owner != nil && strings.HasPrefix(owner.APIVersion, v1beta1.GroupName+"/")
	return (ours || injected) && slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return inplace.TakesIn(&c) })
}

// Reconcile looks at one pod.
func (c *Controller) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	pod := &corev1.Pod{}
	if err := c.client.Get(ctx, req.NamespacedName, pod); err != nil {
		if client.IgnoreNotFound(err) == nil {
			c.writes.Forget(req.NamespacedName)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, fmt.Errorf("get pod %s: %w", req.NamespacedName, err)
	}
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		c.forget(pod.UID)
		return reconcile.Result{}, nil
	}
	if c.writes.Behind(req.NamespacedName) != "" {
		return reconcile.Result{RequeueAfter: unseenPace}, nil
	}
	runtime, err := c.look(ctx, pod)
	if err != nil {
		return reconcile.Result{}, err
	}
	stop := restart.StopOf(pod)
	f := restart.EnvironmentFacts{Now: c.clock.Now(), Pod: pod, Runtime: runtime}
	f.Attempts, f.Mine = c.stopper.Known(stop)
	plan := restart.Renew(f)
	for _, s := range plan.Stops {
		if c.stopper.Begin(ctx, stop, s) {
			log.FromContext(ctx).Info("Stopping a container whose environment is out of date", "container", s.Name, "id", s.ID)
		}
	}
	if err := c.report(ctx, pod, plan.Report); err != nil {
		return reconcile.Result{}, err
	}
	if plan.Wake.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(plan.Wake.Sub(f.Now), unseenPace)}, nil
}

// report writes the annotation if it is to say something else. A stop that is about to be written down is remembered as this
// process's own before it is.
func (c *Controller) report(ctx context.Context, pod *corev1.Pod, set v1beta1.RuntimeContainerMetaSet) error {
	text, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("encode what is known of the containers of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	if len(set.Containers) == 0 || pod.Annotations[v1beta1.RuntimeContainerMetaKey] == string(text) {
		return nil
	}
	c.stopper.Remember(written(pod), states(set))
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": pod.UID, "annotations": map[string]string{v1beta1.RuntimeContainerMetaKey: string(text)},
	}})
	if err != nil {
		return fmt.Errorf("encode the patch of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	after := pod.DeepCopy()
	if err := c.client.Status().Patch(ctx, after, client.RawPatch(types.StrategicMergePatchType, body)); err != nil {
		return client.IgnoreNotFound(fmt.Errorf("patch the annotations of pod %s/%s: %w", pod.Namespace, pod.Name, err))
	}
	c.writes.Wrote(client.ObjectKeyFromObject(pod), kindPod, after)
	return nil
}

// written is the stop of a pod's containers, as far as the pod's annotation says that it was begun.
func written(pod *corev1.Pod) *v1beta1.ContainerRecreateRequest {
	r := restart.StopOf(pod)
	r.Status.ContainerRecreateStates = states(inplace.RuntimeMetaOf(pod))
	return r
}

// states are the stops that an annotation speaks of.
func states(set v1beta1.RuntimeContainerMetaSet) []v1beta1.ContainerRecreateState {
	var out []v1beta1.ContainerRecreateState
	for _, c := range set.Containers {
		out = append(out, v1beta1.ContainerRecreateState{Name: c.Name, ContainerID: c.ContainerID, StopTime: c.StopTime})
	}
	return out
}

// look asks the runtime for the containers of a pod and what they were started with.
func (c *Controller) look(ctx context.Context, pod *corev1.Pod) (map[string]restart.Environment, error) {
	runtime, about, err := c.runtimeOf(ctx, pod)
	if err != nil || runtime == nil {
		return nil, err
	}
	found, err := runtime.Containers(ctx, string(pod.UID))
	if err != nil {
		return nil, err
	}
	out := map[string]restart.Environment{}
	for i := range pod.Spec.Containers {
		now, exists := found[pod.Spec.Containers[i].Name]
		if !exists || !inplace.TakesIn(&pod.Spec.Containers[i]) {
			continue
		}
		e := restart.Environment{
			Container: restart.Container{ID: about.Name + "://" + now.ID, Running: now.Running}, Attempt: int32(now.Attempt),
		}
		e.PlainHash, _ = strconv.ParseUint(now.Annotations[cri.HashAnnotation], 16, 64)
		if now.Running {
			e.Env, err = c.env(ctx, runtime, pod.UID, now.ID)
		} else {
			e.Env = c.remembered(pod.UID, now.ID)
		}
		if err != nil {
			return nil, err
		}
		out[now.Name] = e
	}
	c.keep(pod.UID, found)
	return out, nil
}

// runtimeOf is the runtime of a pod's containers; nil while none of them was started.
func (c *Controller) runtimeOf(ctx context.Context, pod *corev1.Pod) (*cri.Runtime, cri.About, error) {
	for i := range pod.Status.ContainerStatuses {
		if id := pod.Status.ContainerStatuses[i].ContainerID; id != "" {
			runtime, _, err := c.runtimes.Of(ctx, id)
			if err != nil {
				return nil, cri.About{}, err
			}
			about, err := runtime.About(ctx)
			return runtime, about, err
		}
	}
	return nil, cri.About{}, nil
}

// env is the environment of a container, which never changes: it is asked for once.
func (c *Controller) env(ctx context.Context, runtime *cri.Runtime, pod types.UID, id string) (map[string]string, error) {
	if env := c.remembered(pod, id); env != nil {
		return env, nil
	}
	env, err := runtime.Env(ctx, id)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.envs[pod] == nil {
		c.envs[pod] = map[string]map[string]string{}
	}
	c.envs[pod][id] = env
	return env, nil
}

func (c *Controller) remembered(pod types.UID, id string) map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.envs[pod][id]
}

// keep forgets the environments of containers that are no longer the newest.
func (c *Controller) keep(pod types.UID, found map[string]cri.Container) {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.envs[pod], func(id string, _ map[string]string) bool {
		return !slices.ContainsFunc(slices.Collect(maps.Values(found)), func(now cri.Container) bool { return now.ID == id })
	})
}

// forget drops what is known of a pod that ends.
func (c *Controller) forget(pod types.UID) {
	c.mu.Lock()
	delete(c.envs, pod)
	c.mu.Unlock()
	c.stopper.Forget(pod)
}
