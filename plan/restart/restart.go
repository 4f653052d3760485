// Package restart decides how a ContainerRecreateRequest goes on: what the manager does for it, and what the agent of the
// pod's node does.
//
// The two share the request's status. The agent writes the phase and the states of the containers; the manager writes the
// snapshot of what kubelet says, the condition PreRecreateGrace, and the end of a request that the agent cannot end. Every
// write holds only for the version of the request that was read.
//
// It promises, of each container of a request:
//
//   - The container that is to be stopped is written down, by its ID, before anything is done to it, and no other container
//     is ever stopped for the request. Container IDs are never used twice, so a stop is carried out at most once, however
//     often it is tried: it is tried until the container is seen to be stopped, or is given up in words.
//   - The preStop hook runs at most once. It is begun only by the process that wrote the stop down; where that process ended
//     since, the container is stopped without running the hook again, with the grace period that is left.
//   - A container that was restarted since the request was made is not stopped, unless forceRecreate says so.
//   - Of the requests for one pod, one is carried out at a time; the next one begins when it is completed and the pod is back
//     in service.
//
// A request ends: completed when each of its containers is recreated or has failed, when the pod is gone, at its deadline.
package restart

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// AgentTimeout is how long the agent of a node may leave a request alone until it counts as gone.
	AgentTimeout = time.Minute
	// LeastStop is what a container gets to stop in, however long its preStop hook took.
	LeastStop = 2 * time.Second
	// DefaultGrace is the grace period of a pod that does not say.
	DefaultGrace = 30 * time.Second
	// poll is how often the agent looks at the runtime while it waits for something that nobody tells.
	poll = 2 * time.Second
)

// The messages of requests that are completed before their containers are recreated.
const (
	PodGone      = "pod has gone"
	PodEnded     = "pod has ended"
	AgentSilent  = "daemon has not responded for a long time"
	TimeExceeded = "recreating has exceeded the activeDeadlineSeconds"
)

// Request is the object that the package decides about.
type Request = v1beta1.ContainerRecreateRequest

// PodUID is the UID of the pod that a request was admitted for.
func PodUID(r *Request) types.UID {
	return types.UID(r.Labels[v1beta1.ContainerRecreateRequestPodUIDKey])
}

// Grace is how long a container of a request may take to stop, with its preStop hook.
func Grace(r *Request) time.Duration {
	if s := r.Spec.Strategy; s != nil && s.TerminationGracePeriodSeconds != nil {
		return time.Duration(*s.TerminationGracePeriodSeconds) * time.Second
	}
	return DefaultGrace
}

// strategyOf is the strategy of a request, which its admission fills in.
func strategyOf(r *Request) v1beta1.ContainerRecreateRequestStrategy {
	return ptr.Deref(r.Spec.Strategy, v1beta1.ContainerRecreateRequestStrategy{})
}

// Completed says whether a request has ended.
func Completed(r *Request) bool {
	return r.Status.Phase == v1beta1.ContainerRecreateRequestCompleted ||
		r.Status.Phase == v1beta1.ContainerRecreateRequestSucceeded || r.Status.Phase == v1beta1.ContainerRecreateRequestFailed
}

// final says whether nothing more happens to a container.
func final(p v1beta1.ContainerRecreateRequestPhase) bool {
	return p == v1beta1.ContainerRecreateRequestSucceeded || p == v1beta1.ContainerRecreateRequestFailed
}

// First is the one of several requests for a pod that is carried out: one that is completed and not tidied up after, one
// that was begun, one that waits, a new one; of several of these the oldest.
func First(requests []*Request) *Request {
	return slices.MinFunc(requests, func(a, b *Request) int {
		if c := rank(a) - rank(b); c != 0 {
			return c
		}
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
}

func rank(r *Request) int {
	switch {
	case Completed(r):
		return 0
	case r.Status.Phase == v1beta1.ContainerRecreateRequestRecreating:
		return 1
	case r.Status.Phase == v1beta1.ContainerRecreateRequestPending:
		return 2
	default:
		return 3
	}
}

// RestartPolicyOf says when kubelet starts a container of a pod again. ok is false for a container that a request cannot
// be about: one that is not in the pod, and an init container that runs once.
func RestartPolicyOf(pod *corev1.Pod, name string) (policy corev1.ContainerRestartPolicy, ok bool) {
	if c := find(pod.Spec.Containers, name); c != nil {
		switch {
		case c.RestartPolicy != nil:
			return *c.RestartPolicy, true
		case pod.Spec.RestartPolicy == "":
			return corev1.ContainerRestartPolicyAlways, true
		default:
			return corev1.ContainerRestartPolicy(pod.Spec.RestartPolicy), true
		}
	}
	if c := find(pod.Spec.InitContainers, name); c != nil && ptr.Deref(c.RestartPolicy, "") == corev1.ContainerRestartPolicyAlways {
		return corev1.ContainerRestartPolicyAlways, true
	}
	return "", false
}

// Fill fills in what the agent needs to know of a container of a pod that can be restarted and was started.
func Fill(c *v1beta1.ContainerRecreateRequestContainer, pod *corev1.Pod) {
	c.RestartPolicy, _ = RestartPolicyOf(pod, c.Name)
	if status := StatusOf(pod, c.Name); status != nil {
		c.StatusContext = &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: status.ContainerID, RestartCount: status.RestartCount}
	}
	container := ContainerOf(pod, c.Name)
	if container == nil || container.Lifecycle == nil || container.Lifecycle.PreStop == nil {
		return
	}
	hook := container.Lifecycle.PreStop
	c.PreStop = &v1beta1.ContainerPreStop{Exec: hook.Exec, HTTPGet: hook.HTTPGet, TCPSocket: hook.TCPSocket, Sleep: hook.Sleep}
	if hook.HTTPGet != nil || hook.TCPSocket != nil {
		c.Ports = container.Ports
	}
}

// ContainerOf is a container of a pod, or one of its init containers; nil when there is none of the name.
func ContainerOf(pod *corev1.Pod, name string) *corev1.Container {
	if c := find(pod.Spec.Containers, name); c != nil {
		return c
	}
	return find(pod.Spec.InitContainers, name)
}

func find(containers []corev1.Container, name string) *corev1.Container {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return nil
	}
	return &containers[i]
}

// StatusOf is what kubelet says of a container of a pod; nil when it says nothing.
func StatusOf(pod *corev1.Pod, name string) *corev1.ContainerStatus {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses} {
		if i := slices.IndexFunc(statuses, func(c corev1.ContainerStatus) bool { return c.Name == name }); i >= 0 {
			return &statuses[i]
		}
	}
	return nil
}

// Ended says why nothing can be recreated in a pod any more, in the words of a request's message; empty while something
// can. A pod whose sidecars are being stopped has ended only for those who read its phase.
func Ended(pod *corev1.Pod, uid types.UID) string {
	switch {
	case pod == nil || pod.UID != uid || pod.DeletionTimestamp != nil:
		return PodGone
	case pod.Status.Phase != corev1.PodSucceeded && pod.Status.Phase != corev1.PodFailed:
		return ""
	case slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == v1beta1.SidecarTerminated && c.Status == corev1.ConditionTrue
	}):
		return ""
	default:
		return PodEnded
	}
}

// states are the states of all containers of a request, in its order; those that it says nothing of are Pending.
func states(r *Request) []v1beta1.ContainerRecreateState {
	out := make([]v1beta1.ContainerRecreateState, 0, len(r.Spec.Containers))
	for i := range r.Spec.Containers {
		name := r.Spec.Containers[i].Name
		state := v1beta1.ContainerRecreateState{Name: name, Phase: v1beta1.ContainerRecreateRequestPending}
		for j := range r.Status.ContainerRecreateStates {
			if r.Status.ContainerRecreateStates[j].Name == name {
				state = r.Status.ContainerRecreateStates[j]
			}
		}
		out = append(out, state)
	}
	return out
}

// giveUp fails all containers that are not recreated.
func giveUp(all []v1beta1.ContainerRecreateState, message string) {
	for i := range all {
		if !final(all[i].Phase) {
			all[i].Phase, all[i].Message = v1beta1.ContainerRecreateRequestFailed, message
		}
	}
}

// earlier is the earlier of two times, of which zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func seconds(d time.Duration) string {
	return fmt.Sprintf("%d s", int64((d+time.Second-1)/time.Second))
}
