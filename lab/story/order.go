package story

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/lab/world"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/revision"
)

// Order watches in which order writes restart the containers of pods: those with the highest launch priority first, and others
// once those run as the pod says and are ready.
type Order struct {
	begun map[types.UID]map[string]bool // containers that were to restart, and were not ready since
}

// Restarts lists the containers that restart for the write of a pod: for another image, for another label or annotation in their
// environment, or for resources that they cannot be given while they run.
func Restarts(before, after *corev1.Pod) (names []string) {
	for i := range after.Spec.Containers {
		is := &after.Spec.Containers[i]
		was := inplace.ContainerOf(before, is.Name)
		if was == nil {
			continue
		}
		oldEnv, _ := inplace.EnvHash(was, &before.ObjectMeta)
		newEnv, _ := inplace.EnvHash(is, &after.ObjectMeta)
		resized := slices.ContainsFunc(is.ResizePolicy, func(p corev1.ContainerResizePolicy) bool {
			other := func(a, b corev1.ResourceList) bool {
				x, y := a[p.ResourceName], b[p.ResourceName]
				return x.Cmp(y) != 0
			}
			return p.RestartPolicy == corev1.RestartContainer &&
				(other(was.Resources.Requests, is.Resources.Requests) || other(was.Resources.Limits, is.Resources.Limits))
		})
		if was.Image != is.Image || oldEnv != newEnv || resized {
			names = append(names, is.Name)
		}
	}
	return names
}

// Look looks at the containers of a pod.
func (o *Order) Look(w *world.World, pod *corev1.Pod) {
	for name := range o.begun[pod.UID] {
		if status := inplace.StatusOf(pod, name); status != nil && status.Ready && w.Current(pod, name) {
			delete(o.begun[pod.UID], name)
		}
	}
}

// Wrote says whether the write of a pod restarts a container before its turn.
func (o *Order) Wrote(before, after *corev1.Pod) error {
	restarts := Restarts(before, after)
	if len(restarts) == 0 {
		return nil
	}
	if o.begun == nil {
		o.begun = map[types.UID]map[string]bool{}
	}
	if o.begun[after.UID] == nil {
		o.begun[after.UID] = map[string]bool{}
	}
	for _, name := range restarts {
		o.begun[after.UID][name] = true
	}
	for _, name := range restarts {
		priority, ordered := launchPriority(after, name)
		for _, other := range slices.Sorted(maps.Keys(o.begun[after.UID])) {
			if first, too := launchPriority(after, other); ordered && too && first > priority && !changeTogether(before, after, name, other) {
				return fmt.Errorf("container %s of pod %s restarts before %s is ready, which goes first", name, after.Name, other)
			}
		}
	}
	return nil
}

// launchPriority is the launch priority of a container, if it has one.
func launchPriority(pod *corev1.Pod, name string) (int, bool) {
	for i := range pod.Spec.Containers {
		if pod.Spec.Containers[i].Name != name {
			continue
		}
		for _, env := range pod.Spec.Containers[i].Env {
			if p, err := strconv.Atoi(env.Value); env.Name == v1beta1.ContainerLaunchPriorityEnv && err == nil {
				return p, true
			}
		}
		return -i, pod.Annotations[v1beta1.ContainerLaunchPriorityKey] == v1beta1.ContainerLaunchOrdered
	}
	return 0, false
}

// changeTogether says whether a write changes a label or an annotation that both containers take into their environment: it
// cannot have two values.
func changeTogether(before, after *corev1.Pod, a, b string) bool {
	common := func(key string, of func(*corev1.Pod) map[string]string, kind string) bool {
		takes := func(name string) bool {
			return slices.ContainsFunc(inplace.ContainerOf(after, name).Env, func(e corev1.EnvVar) bool {
				from := e.ValueFrom
				return from != nil && from.FieldRef != nil && from.FieldRef.FieldPath == fmt.Sprintf("metadata.%s['%s']", kind, key)
			})
		}
		return of(before)[key] != of(after)[key] && takes(a) && takes(b)
	}
	for key := range after.Labels {
		if common(key, func(p *corev1.Pod) map[string]string { return p.Labels }, "labels") {
			return true
		}
	}
	for key := range after.Annotations {
		if common(key, func(p *corev1.Pod) map[string]string { return p.Annotations }, "annotations") {
			return true
		}
	}
	return false
}

// watch returns what is to be called before each write of pods and after the last one.
func (o *Order) watch(w *world.World) func() error {
	last := map[types.UID]*corev1.Pod{}
	for _, pod := range w.Pods {
		o.Look(w, pod)
		last[pod.UID] = pod
	}
	return func() error {
		var errs []error
		for _, pod := range w.Pods {
			if before := last[pod.UID]; before != nil && before != pod {
				errs = append(errs, o.Wrote(before, pod))
			}
			last[pod.UID] = pod
		}
		return errors.Join(errs...)
	}
}

// CheckTemplate says what of a pod is not as a template says: images, cpu and memory, labels and annotations.
func CheckTemplate(pod *corev1.Pod, template *corev1.PodTemplateSpec) error {
	for i := range template.Spec.Containers {
		want := &template.Spec.Containers[i]
		is := inplace.ContainerOf(pod, want.Name)
		switch {
		case is == nil:
			return fmt.Errorf("pod %s has no container %s", pod.Name, want.Name)
		case is.Image != want.Image:
			return fmt.Errorf("pod %s has %s in %s, its revision says %s", pod.Name, is.Image, want.Name, want.Image)
		case !equality.Semantic.DeepEqual(is.Resources.Limits, want.Resources.Limits),
			!equality.Semantic.DeepEqual(is.Resources.Requests, revision.Requests(want.Resources)):
			return fmt.Errorf("pod %s has %+v in %s, its revision says %+v", pod.Name, is.Resources, want.Name, want.Resources)
		}
	}
	return errors.Join(checkEntries(pod.Name, "label", pod.Labels, template.Labels),
		checkEntries(pod.Name, "annotation", pod.Annotations, template.Annotations))
}

func checkEntries(pod, what string, have, want map[string]string) error {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if value, there := have[key]; value != want[key] || !there {
			return fmt.Errorf("pod %s has %q as its %s %s, its revision says %q", pod, value, what, key, want[key])
		}
	}
	return nil
}
