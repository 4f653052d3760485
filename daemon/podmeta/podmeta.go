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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/recreate"
	"kruise.io/kruise/kit/agent"
	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/store"
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

// Watched says which pods the process needs to know: those of its node, and of those that it never looks at that they are
// there.
func Watched(node string) agent.Selection[*corev1.Pod] {
	return agent.Selection[*corev1.Pod]{Field: fields.OneTermEqualSelector("spec.nodeName", node), Trim: trim}
}

func trim(pod *corev1.Pod) *corev1.Pod {
	if takesIn(pod) {
		return pod
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion}}
}

// Controller looks at pods.
type Controller struct {
	pods     agent.Cache[*corev1.Pod]
	api      agent.API
	runtimes *cri.Node
	clock    clock.PassiveClock
	stopper  *recreate.Stopper
	writes   *seen.Writes

	mu   sync.Mutex
	envs map[types.UID]map[string]map[string]string // environments that were read, by pod and container ID
}

func newController(pods agent.Cache[*corev1.Pod], api agent.API, runtimes *cri.Node, now clock.PassiveClock) *Controller {
	return &Controller{
		pods: pods, api: api, runtimes: runtimes, clock: now, writes: seen.New(map[string]seen.Cache{kindPod: pods}),
		envs: map[types.UID]map[string]map[string]string{},
	}
}

// Setup adds the controller to a runner, over the pods of the node.
func Setup(r *agent.Runner, pods *agent.Informer[*corev1.Pod], o recreate.Options) error {
	c := newController(pods, r.API, o.Runtimes, clock.RealClock{})
	controller := agent.NewController(agent.Options{
		Name: "podmeta", Workers: workers, First: shortestBackoff, Last: longestBackoff, Take: c.Take,
	})
	c.stopper = recreate.NewStopper(o, controller.Wake)
	err := pods.Handle(func(before, after *corev1.Pod) {
		for _, pod := range []*corev1.Pod{before, after} {
			if pod != nil && takesIn(pod) {
				controller.Wake(store.Key(pod))
			}
		}
	})
	if err != nil {
		return fmt.Errorf("set up the controller of pods: %w", err)
	}
	r.Add(c.stopper.Start)
	r.Add(controller.Run)
	return nil
}

// takesIn says whether a pod is one of ours with a container that takes labels or annotations into its environment.
func takesIn(pod *corev1.Pod) bool {
	_, injected := pod.Annotations[v1beta1.SidecarSetInjectedListKey]
	owner := metav1.GetControllerOfNoCopy(pod)
	ours := owner != nil && strings.HasPrefix(owner.APIVersion, v1beta1.GroupName+"/")
	return (ours || injected) && slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return inplace.TakesIn(&c) })
}

// Take looks at one pod.
func (c *Controller) Take(ctx context.Context, key types.NamespacedName) (time.Duration, error) {
	pod, ok := c.pods.Get(key)
	if !ok {
		c.writes.Forget(key)
		return 0, nil
	}
	if pod.DeletionTimestamp != nil || pod.Status.Phase != corev1.PodRunning {
		c.forget(pod.UID)
		return 0, nil
	}
	if c.writes.Behind(key) != "" {
		return unseenPace, nil
	}
	runtime, err := c.look(ctx, pod)
	if err != nil {
		return 0, err
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
		return 0, err
	}
	if plan.Wake.IsZero() {
		return 0, nil
	}
	return max(plan.Wake.Sub(f.Now), unseenPace), nil
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
	if err := c.api.PatchStatus(ctx, after, types.StrategicMergePatchType, body); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("patch the annotations of pod %s/%s: %w", pod.Namespace, pod.Name, err)
	}
	c.writes.Wrote(store.Key(pod), kindPod, after)
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
