package inplace

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/revision"
)

// resize takes the new resources of the container at a place into the change. Where they cannot be had in place, it says
// why, in the words that follow the field's name.
func (c *Change) resize(from, to *corev1.PodTemplateSpec, place string, o Options) (ok bool, why string) {
	i, err := strconv.Atoi(place)
	if err != nil || i >= len(from.Spec.Containers) || i >= len(to.Spec.Containers) {
		return false, ""
	}
	container := &to.Spec.Containers[i]
	changed, refused := differentResources(from.Spec.Containers[i].Resources, container.Resources)
	switch {
	case refused != "" && o.Resources:
		return false, " (" + refused + ")"
	case refused != "":
		return false, ""
	case zero(changed): // written in another way
		return true, ""
	case !o.Resources:
		return false, " (the gate InPlaceWorkloadVerticalScaling is off, or the cluster has no pods/resize)"
	}
	c.Resources[container.Name] = changed
	c.ResizeRestarts = c.ResizeRestarts || restartsFor(container, changed)
	return true, ""
}

// differentResources are the new values of cpu and memory, if nothing else is different. As the API does for pods, it
// takes a limit for the request where there is none: the pod has that request, and it must follow the limit.
func differentResources(from, to corev1.ResourceRequirements) (changed corev1.ResourceRequirements, refused string) {
	if !equality.Semantic.DeepEqual(from.Claims, to.Claims) {
		return changed, "claims cannot be changed"
	}
	changed.Limits, refused = differentValues("limits", from.Limits, to.Limits)
	if refused == "" {
		changed.Requests, refused = differentValues("requests", revision.Requests(from), revision.Requests(to))
	}
	return changed, refused
}

func differentValues(list string, from, to corev1.ResourceList) (changed corev1.ResourceList, refused string) {
	for _, name := range slices.Sorted(maps.Keys(mergedLists(from, to))) {
		before, had := from[name]
		after, has := to[name]
		switch {
		case had && has && before.Cmp(after) == 0:
		case name != corev1.ResourceCPU && name != corev1.ResourceMemory:
			return nil, fmt.Sprintf("%s.%s is neither cpu nor memory", list, name)
		case !had:
			return nil, fmt.Sprintf("%s.%s cannot be added", list, name)
		case !has:
			return nil, fmt.Sprintf("%s.%s cannot be removed", list, name)
		default:
			if changed == nil {
				changed = corev1.ResourceList{}
			}
			changed[name] = after
		}
	}
	return changed, ""
}

func mergedLists(a, b corev1.ResourceList) corev1.ResourceList {
	if len(b) == 0 {
		return a
	}
	out := maps.Clone(a)
	if out == nil {
		out = make(corev1.ResourceList, len(b))
	}
	maps.Copy(out, b)
	return out
}

// mergedResources are a's values overlaid with b's.
func mergedResources(a, b corev1.ResourceRequirements) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: mergedLists(a.Limits, b.Limits), Requests: mergedLists(a.Requests, b.Requests)}
}

func zero(r corev1.ResourceRequirements) bool { return len(r.Limits)+len(r.Requests) == 0 }

// has says whether resources have all of the wanted values.
func has(r, wanted corev1.ResourceRequirements) bool {
	return listHas(r.Limits, wanted.Limits) && listHas(r.Requests, wanted.Requests)
}

func listHas(list, wanted corev1.ResourceList) bool {
	for name, value := range wanted {
		if have, ok := list[name]; !ok || have.Cmp(value) != 0 {
			return false
		}
	}
	return true
}

// pick are the values that resources have for the names that others have.
func pick(r, names corev1.ResourceRequirements) corev1.ResourceRequirements {
	return corev1.ResourceRequirements{Limits: pickList(r.Limits, names.Limits), Requests: pickList(r.Requests, names.Requests)}
}

func pickList(list, names corev1.ResourceList) corev1.ResourceList {
	var out corev1.ResourceList
	for name := range names {
		if value, ok := list[name]; ok {
			out = mergedLists(out, corev1.ResourceList{name: value})
		}
	}
	return out
}

// cpuAndMemory are the values of the two resources that can be resized.
func cpuAndMemory(r corev1.ResourceRequirements) corev1.ResourceRequirements {
	both := corev1.ResourceList{corev1.ResourceCPU: {}, corev1.ResourceMemory: {}}
	return pick(r, corev1.ResourceRequirements{Limits: both, Requests: both})
}

// restartsFor says whether a container restarts when its resources get other values. Default of resizePolicy: it does not.
func restartsFor(c *corev1.Container, changed corev1.ResourceRequirements) bool {
	return slices.ContainsFunc(c.ResizePolicy, func(p corev1.ContainerResizePolicy) bool {
		_, limit := changed.Limits[p.ResourceName]
		_, request := changed.Requests[p.ResourceName]
		return p.RestartPolicy == corev1.RestartContainer && (limit || request)
	})
}

// resized says whether kubelet reports that a container runs with the values of cpu and memory of its spec. That is the
// proof for one that restarts for them, too: until then kubelet reports the values of before, or none that runs. A restart
// itself is none: kubelet leaves it out where the node has nothing to change, as for a request of memory.
func resized(pod *corev1.Pod, c *corev1.Container) bool {
	cs := containerStatus(pod, c.Name)
	return cs != nil && cs.State.Running != nil && cs.Resources != nil && has(*cs.Resources, cpuAndMemory(c.Resources))
}

// resizeTrouble says what kubelet has against a resize, or nothing.
func resizeTrouble(pod *corev1.Pod) string {
	for i := range pod.Status.Conditions {
		c := &pod.Status.Conditions[i]
		if c.Status == corev1.ConditionTrue &&
			(c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress && c.Reason == corev1.PodReasonError) {
			return "resize: " + c.Reason
		}
	}
	return ""
}

// resizing says whether kubelet says that a resize is not over.
func resizing(pod *corev1.Pod) bool {
	return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Status == corev1.ConditionTrue && (c.Type == corev1.PodResizePending || c.Type == corev1.PodResizeInProgress)
	})
}

// unwritten are the resources that the record of an update names and the pod's spec does not have: what was to be written
// when whoever wrote the record stopped.
func unwritten(pod *corev1.Pod, state *v1beta1.InPlaceUpdateState) map[string]corev1.ResourceRequirements {
	var out map[string]corev1.ResourceRequirements
	for name, wanted := range state.ContainerResources {
		if c := containerOf(pod, name); c != nil && !has(c.Resources, wanted) {
			if out == nil {
				out = map[string]corev1.ResourceRequirements{}
			}
			out[name] = wanted
		}
	}
	return out
}

// QOSClass is the QoS class of pods of a spec, which a resize must not change. It counts as Kubernetes does: pod-level
// resources alone where there are any; else a pod is Guaranteed whose containers all have limits of cpu and memory that
// equal the requests, BestEffort where nobody asks for either, and Burstable otherwise.
func QOSClass(spec *corev1.PodSpec) corev1.PodQOSClass {
	all := []corev1.ResourceRequirements{}
	if r := spec.Resources; r != nil {
		all = append(all, *r)
	} else {
		for _, containers := range [][]corev1.Container{spec.Containers, spec.InitContainers} {
			for i := range containers {
				all = append(all, containers[i].Resources)
			}
		}
	}
	guaranteed, bestEffort := true, true
	for _, r := range all {
		asked := revision.Requests(r)
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			limit, request := r.Limits[name], asked[name]
			bestEffort = bestEffort && limit.Sign() <= 0 && request.Sign() <= 0
			guaranteed = guaranteed && limit.Sign() > 0 && limit.Cmp(request) == 0
		}
	}
	switch {
	case bestEffort:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}
