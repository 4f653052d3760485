package world

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/restart"
)

// container is what truly runs, or is to run, in a pod.
type container struct {
	image    string    // that it is started from
	since    time.Time // when kubelet began to start it
	running  bool
	id       string // of the latest one that ran
	ran      string // its image
	imageID  string // of that image, where it is not the world's own
	restarts int32
	ended    *corev1.ContainerStateTerminated // how the one before ended by itself
	crashes  int                              // in a row
	stuck    *corev1.ContainerStatus          // what is reported of a container that cannot run until its image changes
	stops    time.Time                        // when it will have ended that is being stopped

	resources corev1.ResourceRequirements // that it has
	env       map[string]string           // what it took in from labels and annotations
}

// Tick lets time pass; then scheduler and kubelet look at every pod once.
func (w *World) Tick(d time.Duration) {
	w.Now = w.Now.Add(d)
	for _, pod := range slices.Clone(w.Pods) {
		w.Sync(pod.Name)
	}
	w.growClaims()
	w.releaseClaims()
	w.collectClaims()
}

// Sync lets scheduler or kubelet look at one pod. As a real kubelet does, it first reports what it finds and then acts,
// so that what it does shows with the next look.
func (w *World) Sync(name string) {
	pod := w.Pod(name)
	switch {
	case pod == nil:
	case w.lost(pod.Spec.NodeName):
		if isTrue(pod, corev1.PodReady) { // as the controller of nodes writes for a kubelet that is silent
			pod = pod.DeepCopy()
			w.condition(pod, corev1.PodReady, false, "NodeNotReady")
			w.replace(pod)
		}
	case pod.DeletionTimestamp != nil:
		if len(pod.Finalizers) == 0 {
			w.remove(pod)
		}
	case pod.Status.Phase == corev1.PodFailed || w.held[pod.UID]:
	case pod.Spec.NodeName == "":
		w.schedule(pod.DeepCopy())
	default:
		w.report(pod.DeepCopy())
		w.act(pod)
		if w.Agent {
			w.look(pod.Name)
		}
	}
}

// Running is the image that a container of a pod truly runs; empty when it does not run.
func (w *World) Running(pod *corev1.Pod, name string) string {
	if c := w.containers[pod.UID][name]; c != nil && c.running {
		return c.image
	}
	return ""
}

// Current says whether a container of a pod truly runs as the pod says: its image, its cpu and memory, and the labels and
// annotations in its environment.
func (w *World) Current(pod *corev1.Pod, name string) bool {
	c := w.containers[pod.UID][name]
	spec := inplace.ContainerOf(pod, name)
	if c == nil || spec == nil || !c.running {
		return false
	}
	return c.ran == spec.Image && w.TookIn(pod, name) && equality.Semantic.DeepEqual(c.resources, spec.Resources)
}

// TookIn says whether a container of a pod truly has in its environment what the pod's labels and annotations say.
func (w *World) TookIn(pod *corev1.Pod, name string) bool {
	c, spec := w.containers[pod.UID][name], inplace.ContainerOf(pod, name)
	if c == nil || spec == nil {
		return false
	}
	wanted, _ := inplace.EnvHash(spec, &pod.ObjectMeta)
	is, _ := inplace.EnvHashOf(spec, func(env, _, _ string) string { return c.env[env] })
	return is == wanted
}

// takeIn has a container take the labels and annotations of its pod into its environment.
func (c *container) takeIn(spec *corev1.Container, pod *corev1.Pod) {
	c.env = map[string]string{}
	inplace.EnvHashOf(spec, func(env, kind, key string) string {
		c.env[env] = pod.Annotations[key]
		if kind == "labels" {
			c.env[env] = pod.Labels[key]
		}
		return ""
	})
}

// Evict ends the containers of a pod and leaves the pod in the phase Failed, as kubelet does on a node that runs out of
// memory or disk.
func (w *World) Evict(name string) error {
	return w.change(name, "", func(pod *corev1.Pod) {
		w.containers[pod.UID] = map[string]*container{}
		pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "Evicted"
		for i := range pod.Status.ContainerStatuses {
			pod.Status.ContainerStatuses[i].Ready = false
		}
		w.condition(pod, corev1.ContainersReady, false, "PodFailed")
		w.condition(pod, corev1.PodReady, false, "PodFailed")
	})
}

func (w *World) report(pod *corev1.Pod) {
	var statuses, natives []corev1.ContainerStatus
	pending := false
	for _, spec := range running(&pod.Spec) {
		c := w.containers[pod.UID][spec.Name]
		if c != nil && c.id != "" { // a dead container is reported until the next one runs
			pod.Status.Phase = corev1.PodRunning
		}
		pending = pending || c != nil && w.Resize != "" && !equality.Semantic.DeepEqual(c.resources, spec.Resources)
		if status := w.status(c, spec); spec.RestartPolicy != nil {
			natives = append(natives, status)
		} else {
			statuses = append(statuses, status)
		}
	}
	notReady := func(s corev1.ContainerStatus) bool { return !s.Ready }
	all := !slices.ContainsFunc(slices.Concat(statuses, natives), notReady)
	pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses = statuses, natives
	if !w.OldKubelet {
		pod.Status.ObservedGeneration = pod.Generation
	}
	pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodResizePending })
	if pending {
		w.condition(pod, corev1.PodResizePending, true, w.Resize)
	}
	w.condition(pod, corev1.ContainersReady, all, "")
	reason := ""
	for _, gate := range pod.Spec.ReadinessGates {
		if all && !isTrue(pod, gate.ConditionType) {
			all, reason = false, "ReadinessGatesNotReady"
		}
	}
	w.condition(pod, corev1.PodReady, all, reason)
	w.replace(pod)
}

// running are the containers of a pod that run as long as the pod does: its own, and native sidecars among the init
// containers. Other init containers are not modelled.
func running(spec *corev1.PodSpec) []*corev1.Container {
	var out []*corev1.Container
	for i := range spec.InitContainers {
		if c := &spec.InitContainers[i]; c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			out = append(out, c)
		}
	}
	for i := range spec.Containers {
		out = append(out, &spec.Containers[i])
	}
	return out
}

// status is what kubelet reports of a container.
func (w *World) status(c *container, spec *corev1.Container) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: spec.Name, Image: spec.Image}
	if c != nil {
		status.Resources = c.resources.DeepCopy()
	}
	if c != nil && c.id != "" {
		status.Image, status.ImageID, status.ContainerID, status.RestartCount = c.ran, cmp.Or(c.imageID, w.Digest(c.ran)), c.id, c.restarts
	}
	if c != nil && c.ended != nil {
		status.LastTerminationState.Terminated = c.ended
	}
	switch {
	case c != nil && c.stuck != nil:
		status = *c.stuck
	case c != nil && !c.running && c.ended != nil && w.Now.Sub(c.ended.FinishedAt.Time) < time.Second:
		status.State.Terminated = c.ended
	case c != nil && !c.running && c.crashes > 1:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}
	case c != nil && c.running:
		status.Ready = !w.Unready[c.ran] && !w.Crashing[c.ran] && !w.Now.Before(c.since.Add(w.StartTakes+w.ReadyTakes))
		status.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(c.since.Add(w.StartTakes))}
	case w.Bad[spec.Image]:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: cmp.Or(w.reasons[spec.Image], "ImagePullBackOff")}
	default:
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	return status
}

func (w *World) act(pod *corev1.Pod) {
	containers := w.containers[pod.UID]
	for _, spec := range running(&pod.Spec) {
		c := containers[spec.Name]
		if c == nil {
			c = &container{image: spec.Image, since: w.Now, resources: *spec.Resources.DeepCopy()}
			containers[spec.Name] = c
		}
		if c.image != spec.Image {
			c.image, c.since, c.running = spec.Image, w.Now, false
			c.stuck, c.ended, c.crashes = nil, nil, 0
		}
		if ends := c.since.Add(w.StartTakes + crashesAfter); c.running && w.Crashing[c.ran] && !w.Now.Before(ends) {
			w.crash(c)
		}
		if c.running && !c.stops.IsZero() && !w.Now.Before(c.stops) {
			c.since, c.running = w.Now, false
		}
		w.resize(c, spec)
		if !c.running && c.stuck == nil && !w.Bad[c.image] && !w.Now.Before(c.since.Add(w.StartTakes)) {
			w.serial++
			if c.id != "" {
				c.restarts++
			}
			c.stops = time.Time{}
			c.running, c.id, c.ran = true, fmt.Sprintf("containerd://%d", w.serial), c.image
			c.imageID = ""
			c.takeIn(spec, pod)
		}
	}
}

// stopTakes is how long a container takes to end that the agent stops.
const stopTakes = 2 * time.Second

// crashesAfter is how long a container of a crashing image runs.
const crashesAfter = 3 * time.Second

// crash ends a container. The first time it is started again at once, then after a pause that doubles, up to five minutes.
func (w *World) crash(c *container) {
	started := metav1.NewTime(c.since.Add(w.StartTakes))
	c.ended = &corev1.ContainerStateTerminated{ExitCode: 1, Reason: "Error", StartedAt: started, FinishedAt: metav1.NewTime(w.Now)}
	c.running, c.since = false, w.Now
	if c.crashes > 0 {
		c.since = c.since.Add(min(10*time.Second<<(c.crashes-1), 5*time.Minute))
	}
	c.crashes = min(c.crashes+1, 10)
}

// resize gives a container the resources of its spec, unless the world has something against it.
func (w *World) resize(c *container, spec *corev1.Container) {
	if w.Resize != "" || equality.Semantic.DeepEqual(c.resources, spec.Resources) {
		return
	}
	for _, p := range spec.ResizePolicy {
		before, after := c.resources.Requests[p.ResourceName], spec.Resources.Requests[p.ResourceName]
		limit, newLimit := c.resources.Limits[p.ResourceName], spec.Resources.Limits[p.ResourceName]
		if p.RestartPolicy == corev1.RestartContainer && (before.Cmp(after) != 0 || limit.Cmp(newLimit) != 0) {
			c.since, c.running = w.Now, false
		}
	}
	c.resources = *spec.Resources.DeepCopy()
}

// look lets the agent of the node look at a pod, and do what the product's agent decides: it reports what is in the environment of
// the containers, and stops those where that is out of date while the pod is out of service, a while after it said so.
func (w *World) look(name string) {
	pod := w.Pod(name).DeepCopy()
	facts := restart.EnvironmentFacts{Now: w.Now, Pod: pod, Runtime: map[string]restart.Environment{}}
	containers := w.containers[pod.UID]
	for name, c := range containers {
		if c.id != "" {
			facts.Runtime[name] = restart.Environment{Container: restart.Container{ID: c.id, Running: c.running}, Attempt: c.restarts, Env: c.env}
		}
	}
	plan := restart.Renew(facts)
	for _, stop := range plan.Stops {
		if c := containers[stop.Name]; c.stops.IsZero() {
			c.stops = w.Now.Add(stopTakes)
		}
	}
	if plan.Report.Containers == nil {
		return
	}
	if text, err := json.Marshal(plan.Report); err == nil && pod.Annotations[v1beta1.RuntimeContainerMetaKey] != string(text) {
		metav1.SetMetaDataAnnotation(&pod.ObjectMeta, v1beta1.RuntimeContainerMetaKey, string(text))
		w.replace(pod)
	}
}

// Digest is what an image is made of, under whatever name.
func (w *World) Digest(image string) string {
	if digest, ok := w.Digests[image]; ok {
		return digest
	}
	return "sha256:" + image
}

func (w *World) condition(pod *corev1.Pod, kind corev1.PodConditionType, yes bool, reason string) {
	status := corev1.ConditionFalse
	if yes {
		status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		i = len(pod.Status.Conditions)
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind})
	}
	c := &pod.Status.Conditions[i]
	if c.Status != status {
		c.Status, c.LastTransitionTime = status, metav1.NewTime(w.Now)
	}
	c.Reason = reason
}

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind && c.Status == corev1.ConditionTrue })
}
