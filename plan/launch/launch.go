// Package launch decides in which order the containers of a pod start.
//
// A pod asks for an order by an annotation, which means that of its spec, or by a priority for each container. Every
// container then takes an environment variable from a key of a config map that does not exist yet, the barrier, and
// kubelet starts no container without its environment. A key is added once all containers of higher priorities are ready.
//
// It promises: a pod that asks for nothing, or for the same place for all, is left as it is; what is not an order is
// refused with words, and can stop nobody else; a barrier that was opened is never closed before a container that waited
// for it has been made; preparing a pod twice changes nothing.
package launch

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// barrierSuffix ends the name of a pod's barrier.
	barrierSuffix = "-barrier"
	// longestName is how long the name of a pod with a barrier may be: the name of the barrier is one, too.
	longestName = 253 - len(barrierSuffix)
	// opened is the value of a barrier's keys.
	opened = "true"
)

// Asked is the condition that a new pod, object, asks for an order. It never fails.
func Asked() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name: "asks-for-an-order",
		Expression: fmt.Sprintf("has(object.metadata.annotations) && %q in object.metadata.annotations || "+
			"has(object.spec.containers) && object.spec.containers.exists(c, has(c.env) && c.env.exists(e, e.name == %q))",
			v1beta1.ContainerLaunchPriorityKey, v1beta1.ContainerLaunchPriorityEnv),
	}
}

// Prepare makes the containers of a new pod wait for their turn, if it asks for that. name is the name that the pod gets
// where it has none yet, since that of the barrier follows from it. It returns what is wrong with the pod, if anything.
func Prepare(pod *corev1.Pod, name string) field.ErrorList {
	priorities, errs := priorities(pod)
	if len(errs) > 0 || len(pod.Spec.Containers) < 2 || slices.Max(priorities) == slices.Min(priorities) {
		return errs
	}
	if errs := checkBarriers(pod); len(errs) > 0 {
		return errs
	}
	if pod.Name == "" {
		pod.Name = name
	}
	if len(pod.Name) > longestName {
		return field.ErrorList{field.TooLong(field.NewPath("metadata", "name"), pod.Name, longestName)}
	}
	delete(pod.Annotations, v1beta1.ContainerLaunchPriorityCompletedKey) // both speak of the pod that this one was copied from
	delete(pod.Annotations, v1beta1.ContainerLaunchTurnsKey)
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		barrier := corev1.EnvVar{Name: v1beta1.ContainerLaunchBarrierEnv, ValueFrom: &corev1.EnvVarSource{
			ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: BarrierName(pod.Name)},
				Key:                  key(priorities[i]),
			},
		}}
		others := slices.DeleteFunc(slices.Clone(c.Env), func(e corev1.EnvVar) bool { return e.Name == barrier.Name })
		c.Env = append([]corev1.EnvVar{barrier}, others...)
	}
	return nil
}

// priorities reads what a pod asks for: one priority for each container, higher ones first.
func priorities(pod *corev1.Pod) ([]int, field.ErrorList) {
	out := make([]int, len(pod.Spec.Containers))
	switch asked, ok := pod.Annotations[v1beta1.ContainerLaunchPriorityKey]; {
	case asked == v1beta1.ContainerLaunchOrdered:
		for i := range out {
			out[i] = -i
		}
		return out, nil
	case ok && asked != "":
		return nil, field.ErrorList{field.NotSupported(field.NewPath("metadata", "annotations").Key(v1beta1.ContainerLaunchPriorityKey),
			asked, []string{v1beta1.ContainerLaunchOrdered})}
	}
	var errs field.ErrorList
	for i := range pod.Spec.Containers {
		for j, env := range pod.Spec.Containers[i].Env {
			if env.Name != v1beta1.ContainerLaunchPriorityEnv {
				continue
			}
			priority, err := strconv.ParseInt(env.Value, 10, 32)
			if err != nil {
				errs = append(errs, field.Invalid(envPath(i, j).Child("value"), env.Value, fmt.Sprintf(
					"%s must be an integer of 32 bits, written out here: containers are told their turn before any of them runs", env.Name)))
			}
			out[i] = int(priority)
		}
	}
	return out, errs
}

// checkBarriers refuses variables of the barrier's name that are something else.
func checkBarriers(pod *corev1.Pod) field.ErrorList {
	var errs field.ErrorList
	for i := range pod.Spec.Containers {
		for j := range pod.Spec.Containers[i].Env {
			if e := &pod.Spec.Containers[i].Env[j]; e.Name == v1beta1.ContainerLaunchBarrierEnv && barrierOf(e) == nil {
				errs = append(errs, field.Forbidden(envPath(i, j), fmt.Sprintf(
					"%s is set for a pod that asks for an order of its containers; give the variable another name", e.Name)))
			}
		}
	}
	return errs
}

func envPath(container, env int) *field.Path {
	return field.NewPath("spec", "containers").Index(container).Child("env").Index(env)
}

// BarrierName is the name of a pod's barrier.
func BarrierName(pod string) string { return pod + barrierSuffix }

func key(priority int) string {
	return v1beta1.ContainerLaunchBarrierPrefix + strconv.Itoa(priority)
}

// barrierOf is the reference that makes a variable a barrier; nil when it is none.
func barrierOf(e *corev1.EnvVar) *corev1.ConfigMapKeySelector {
	if e.Name != v1beta1.ContainerLaunchBarrierEnv || e.ValueFrom == nil || e.ValueFrom.ConfigMapKeyRef == nil ||
		!strings.HasPrefix(e.ValueFrom.ConfigMapKeyRef.Key, v1beta1.ContainerLaunchBarrierPrefix) {
		return nil
	}
	return e.ValueFrom.ConfigMapKeyRef
}

// turn is a container that waits behind a barrier.
type turn struct {
	priority     int
	made, passed bool
}

// Waits says whether a pod has containers whose turn is still to be told.
func Waits(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed ||
		pod.Annotations[v1beta1.ContainerLaunchPriorityCompletedKey] == "true" {
		return false
	}
	return len(turns(pod)) > 0
}

// Open lists what the barrier of a pod holds: the keys of all priorities whose turn it is or was. done is true when all
// containers have passed, and nothing is left to tell.
func Open(pod *corev1.Pod) (barrier map[string]string, done bool) {
	waiting := turns(pod)
	slices.SortStableFunc(waiting, func(a, b turn) int { return cmp.Compare(b.priority, a.priority) })
	barrier, done = map[string]string{}, true
	for i, t := range waiting {
		before := slices.ContainsFunc(waiting[:i], func(o turn) bool { return o.priority > t.priority && !o.passed })
		if !before || t.made {
			barrier[key(t.priority)] = opened
		}
		done = done && t.passed
	}
	return barrier, done
}

// turns lists the containers of a pod that wait behind its own barrier. Any other variable of that name is none of ours.
func turns(pod *corev1.Pod) []turn {
	var out []turn
	for i := range pod.Spec.Containers {
		c := &pod.Spec.Containers[i]
		for j := range c.Env {
			ref := barrierOf(&c.Env[j])
			if ref == nil || ref.Name != BarrierName(pod.Name) {
				continue
			}
			priority, err := strconv.Atoi(strings.TrimPrefix(ref.Key, v1beta1.ContainerLaunchBarrierPrefix))
			if err != nil {
				continue
			}
			t := turn{priority: priority}
			for k := range pod.Status.ContainerStatuses {
				if s := &pod.Status.ContainerStatuses[k]; s.Name == c.Name {
					t.made, t.passed = s.ContainerID != "", s.Ready || ended(pod, s)
				}
			}
			out = append(out, t)
			break
		}
	}
	return out
}

// ended says whether a container has come to an end after which it does not start again: it holds nobody up.
func ended(pod *corev1.Pod, s *corev1.ContainerStatus) bool {
	end := s.State.Terminated
	switch {
	case end == nil:
		return false
	case pod.Spec.RestartPolicy == corev1.RestartPolicyNever:
		return true
	default:
		return pod.Spec.RestartPolicy == corev1.RestartPolicyOnFailure && end.ExitCode == 0
	}
}
