// Package terminate decides how the sidecars of a pod end whose work is done: a container that would run on keeps the pod, and
// the job that it belongs to, from completing.
//
// A pod is concerned when its containers are not always restarted, and some of them are marked as sidecars by an environment
// variable. Its work is done when every other container has ended for good. Then, and not before:
//
//   - The sidecars whose exit codes count are stopped by one request for the node's agent, which runs their preStop hooks.
//   - When those have ended, a pod in which only sidecars are left whose exit codes say nothing is marked as ended: its phase is
//     what the exit codes of all the others come to. Kubelet keeps that phase, but stops nothing for it, so what is left is
//     stopped by a request, too.
//   - On a virtual kubelet, whose containers no agent stops, sidecars are given an image that ends by itself.
//
// A container that kubelet starts again after it was stopped, as it does after a failure where the restart policy is OnFailure,
// is left alone: its pod asks for that.
package terminate

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/restart"
)

// again is how long after a request that stopped nothing another one is made.
const again = 10 * time.Second

// Plan is what is to be done for a pod: one patch, or one request.
type Plan struct {
	// Create is a request that stops sidecars. It takes the place of Delete, one that has ended and left sidecars running; nil for
	// none.
	Delete, Create *v1beta1.ContainerRecreateRequest
	// Status is a strategic merge patch of the pod's status, and Spec one of its spec. Both hold for the version of the pod
	// that was read.
	Status, Spec []byte
	// Why says what is done; empty for nothing.
	Why string
	// Wake is when to look again; zero for not before something changes.
	Wake time.Time
}

// Concerns says whether a pod has sidecars that are to end with its work, and has not come to its end.
func Concerns(pod *corev1.Pod) bool {
	switch {
	case pod.DeletionTimestamp != nil || pod.Spec.RestartPolicy != corev1.RestartPolicyNever && pod.Spec.RestartPolicy != corev1.RestartPolicyOnFailure:
		return false
	case pod.Status.Phase != corev1.PodRunning && !marked(pod):
		return false
	}
	return slices.ContainsFunc(pod.Spec.Containers, func(c corev1.Container) bool { return is(&c, false) || is(&c, true) })
}

// is says whether a container is a sidecar that is to end with the work.
func is(c *corev1.Container, virtual bool) bool {
	if virtual {
		return variable(c, v1beta1.TerminateSidecarWithImageEnv) != ""
	}
	return variable(c, v1beta1.TerminateSidecarEnv) == "true"
}

func variable(c *corev1.Container, name string) string {
	for i := range c.Env {
		if c.Env[i].Name == name {
			return c.Env[i].Value
		}
	}
	return ""
}

// marked says whether a pod was marked as ended.
func marked(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == v1beta1.SidecarTerminated && c.Status == corev1.ConditionTrue
	})
}

// sides are the containers of a pod by what they are: the work, sidecars whose exit codes count, and sidecars whose exit codes
// do not.
type sides struct{ work, counted, ignored []*corev1.Container }

func sidesOf(pod *corev1.Pod, virtual bool) (s sides) {
	for i := range pod.Spec.Containers {
		switch c := &pod.Spec.Containers[i]; {
		case !is(c, virtual):
			s.work = append(s.work, c)
		case variable(c, v1beta1.IgnoreExitCodeEnv) == "true":
			s.ignored = append(s.ignored, c)
		default:
			s.counted = append(s.counted, c)
		}
	}
	return s
}

// Decide decides what is to be done for a pod that is Concerned, on a virtual kubelet or on a node. request is the one that was
// made for it; nil for none. It fails where a patch cannot be encoded.
func Decide(pod *corev1.Pod, virtual bool, request *v1beta1.ContainerRecreateRequest, now time.Time) (p Plan, err error) {
	s := sidesOf(pod, virtual)
	if len(s.work) == 0 || !all(pod, s.work, over) {
		return p, nil
	}
	counted := all(pod, s.counted, over)
	switch {
	case counted && !marked(pod) && !all(pod, s.ignored, over):
		err = p.mark(pod, s, now)
	case virtual:
		err = p.replace(pod, slices.Concat(s.counted, s.ignored))
	case !counted:
		p.stop(pod, s.counted, request, now)
	default:
		p.stop(pod, s.ignored, request, now)
	}
	return p, err
}

// all says whether something is so of all containers.
func all(pod *corev1.Pod, containers []*corev1.Container, so func(*corev1.Pod, *corev1.Container) bool) bool {
	return !slices.ContainsFunc(containers, func(c *corev1.Container) bool { return !so(pod, c) })
}

// over says whether a container has ended and is not started again.
func over(pod *corev1.Pod, c *corev1.Container) bool {
	policy, _ := restart.RestartPolicyOf(pod, c.Name)
	status := restart.StatusOf(pod, c.Name)
	if status == nil || status.State.Terminated == nil {
		return false
	}
	return policy == corev1.ContainerRestartPolicyNever || policy == corev1.ContainerRestartPolicyOnFailure && status.State.Terminated.ExitCode == 0
}

// well says whether a container that is over has done what it was to do.
func well(pod *corev1.Pod, c *corev1.Container) bool {
	return restart.StatusOf(pod, c.Name).State.Terminated.ExitCode == 0
}

// mark has the pod count as ended.
func (p *Plan) mark(pod *corev1.Pod, s sides, now time.Time) (err error) {
	phase := corev1.PodSucceeded
	if !all(pod, s.work, well) || !all(pod, s.counted, well) {
		phase = corev1.PodFailed
	}
	p.Why = fmt.Sprintf("the work is done: the pod has %s, whatever becomes of sidecars whose exit codes are ignored: %s", strings.ToLower(string(phase)), list(s.ignored))
	p.Status, err = encode(pod, "status", map[string]any{"phase": phase, "conditions": []map[string]any{{
		"type": v1beta1.SidecarTerminated, "status": corev1.ConditionTrue, "reason": "WorkDone", "message": p.Why,
		"lastTransitionTime": metav1.NewTime(now),
	}}})
	return err
}

// replace gives sidecars an image that ends by itself.
func (p *Plan) replace(pod *corev1.Pod, sidecars []*corev1.Container) (err error) {
	var changed []*corev1.Container
	var patch []map[string]any
	for _, c := range sidecars {
		if image := variable(c, v1beta1.TerminateSidecarWithImageEnv); c.Image != image && !over(pod, c) {
			changed = append(changed, c)
			patch = append(patch, map[string]any{"name": c.Name, "image": image})
		}
	}
	if len(changed) == 0 {
		return nil
	}
	p.Why = "the work is done: sidecars get an image that ends by itself: " + list(changed)
	p.Spec, err = encode(pod, "spec", map[string]any{"containers": patch})
	return err
}

// stop has the sidecars that run stopped by a request, unless that is under way.
func (p *Plan) stop(pod *corev1.Pod, sidecars []*corev1.Container, r *v1beta1.ContainerRecreateRequest, now time.Time) {
	var left []*corev1.Container
	tried := false
	for _, c := range sidecars {
		if status := restart.StatusOf(pod, c.Name); status != nil && status.State.Running != nil && !stopped(r, status) {
			left, tried = append(left, c), tried || names(r, c)
		}
	}
	switch {
	case len(left) == 0 || r != nil && (!restart.Completed(r) || r.DeletionTimestamp != nil):
		return
	case tried && r.Status.CompletionTime != nil && now.Before(r.Status.CompletionTime.Add(again)):
		p.Wake = r.Status.CompletionTime.Add(again)
		return
	case r != nil:
		p.Delete = r
	}
	p.Why = "the work is done: sidecars are stopped: " + list(left)
	p.Create = &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{
		Namespace: pod.Namespace, Name: RequestName(pod.UID),
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
	}}
	p.Create.Spec.PodName = pod.Name
	p.Create.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{
		FailurePolicy: v1beta1.ContainerRecreateRequestFailurePolicyIgnore, ForceRecreate: true,
	}
	for _, c := range left {
		p.Create.Spec.Containers = append(p.Create.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: c.Name})
	}
}

// names says whether a request, if there is one, is about a container.
func names(r *v1beta1.ContainerRecreateRequest, c *corev1.Container) bool {
	return r != nil && slices.ContainsFunc(r.Spec.Containers, func(named v1beta1.ContainerRecreateRequestContainer) bool { return named.Name == c.Name })
}

// stopped says whether a request has stopped a container, so that the one that runs is its successor.
func stopped(r *v1beta1.ContainerRecreateRequest, now *corev1.ContainerStatus) bool {
	if r == nil {
		return false
	}
	return slices.ContainsFunc(r.Status.ContainerRecreateStates, func(s v1beta1.ContainerRecreateState) bool {
		return s.Name == now.Name && s.IsKilled && s.ContainerID != now.ContainerID
	})
}

// RequestName is the name of the request that stops the sidecars of a pod.
func RequestName(pod types.UID) string { return v1beta1.SidecarTerminationPrefix + string(pod) }

func list(containers []*corev1.Container) string {
	var out []string
	for _, c := range containers {
		out = append(out, c.Name)
	}
	return strings.Join(out, ", ")
}

// encode makes a patch of one part of a pod as it was read.
func encode(pod *corev1.Pod, part string, change map[string]any) ([]byte, error) {
	body, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": pod.UID, "resourceVersion": pod.ResourceVersion}, part: change,
	})
	if err != nil {
		return nil, fmt.Errorf("pod %s/%s: encode the patch of its %s: %w", pod.Namespace, pod.Name, part, err)
	}
	return body, nil
}
