// Package share lets the pods of a cache share what is equal in them. Pods of one workload are copies of one template, and
// what a template says (resources, environment, probes, volumes, tolerations) is half of what a pod takes in memory.
//
// It promises: whoever reads a pod reads what the API server sent, down to what is nil and what is empty; of a pod that has
// left the cache nothing is kept but what others share with it; what is shared has no room at its end, so that appending to it
// makes a copy. Whoever changed a pod of such a cache in any other way would change others, too.
package share

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"weak"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Pods are the pods of a cache. It is safe for concurrent use; the zero value is ready for use.
type Pods struct {
	mu sync.Mutex
	// models are pods that others of the same controller are compared with, by its UID. The cache alone keeps them.
	models map[types.UID]weak.Pointer[corev1.Pod]
	// sweep is with how many models those that have left the cache are looked for.
	sweep int
}

// Take has a pod share what it can with the pods that were taken before. Nobody else may know the pod yet.
func (p *Pods) Take(pod *corev1.Pod) {
	owner := metav1.GetControllerOfNoCopy(pod)
	if owner == nil {
		withItself(pod)
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	model := p.models[owner.UID].Value()
	if model != nil {
		adopt(reflect.ValueOf(pod).Elem(), reflect.ValueOf(model).Elem())
	}
	withItself(pod)
	if model == nil || model.UID == pod.UID { // which is about to leave the cache
		p.keep(owner.UID, pod)
	}
}

func (p *Pods) keep(owner types.UID, model *corev1.Pod) {
	const few = 64
	if p.models == nil {
		p.models = map[types.UID]weak.Pointer[corev1.Pod]{}
	}
	if len(p.models) >= max(p.sweep, few) {
		maps.DeleteFunc(p.models, func(_ types.UID, model weak.Pointer[corev1.Pod]) bool { return model.Value() == nil })
		p.sweep = 2 * len(p.models)
	}
	p.models[owner] = weak.Make(model)
}

// withItself has the status of containers share the resources of the spec, which it repeats. The status of a model need not
// tell of them yet.
func withItself(pod *corev1.Pod) {
	for _, of := range []struct {
		statuses []corev1.ContainerStatus
		specs    []corev1.Container
	}{{pod.Status.InitContainerStatuses, pod.Spec.InitContainers}, {pod.Status.ContainerStatuses, pod.Spec.Containers}} {
		for i := range of.statuses {
			status := &of.statuses[i]
			at := slices.IndexFunc(of.specs, func(c corev1.Container) bool { return c.Name == status.Name })
			if at < 0 {
				continue
			}
			resources := &of.specs[at].Resources
			adoptMap(&status.AllocatedResources, &resources.Requests)
			if status.Resources != nil {
				adoptMap(&status.Resources.Requests, &resources.Requests)
				adoptMap(&status.Resources.Limits, &resources.Limits)
			}
		}
	}
}

// adopt makes what is equal in two values the same memory, that of the second, and says whether all of it is. It may say no
// of values that are equal. Both are of one type and have an address, and the first can be set.
func adopt(to, from reflect.Value) bool {
	switch to.Kind() {
	case reflect.String:
		text := from.String()
		if to.String() != text {
			return false
		}
		to.SetString(text)
		return true
	case reflect.Pointer:
		if to.IsNil() || from.IsNil() {
			return to.IsNil() && from.IsNil()
		}
		if !adopt(to.Elem(), from.Elem()) {
			return false
		}
		to.Set(from)
		return true
	case reflect.Slice:
		return adoptSlice(to, from)
	case reflect.Struct:
		return adoptStruct(to, from)
	case reflect.Map:
		return adoptAnyMap(to, from)
	case reflect.Interface:
		return to.IsNil() && from.IsNil()
	default:
		return to.Equal(from)
	}
}

func adoptSlice(to, from reflect.Value) bool {
	shared := min(to.Len(), from.Len())
	equal := to.Len() == from.Len() && to.IsNil() == from.IsNil()
	for i := range shared {
		equal = adopt(to.Index(i), from.Index(i)) && equal
	}
	if equal {
		to.Set(from)
		to.SetCap(shared)
	}
	return equal
}

func adoptStruct(to, from reflect.Value) bool {
	switch ours := to.Addr().Interface().(type) { // of what has no parts that could be set
	case *metav1.Time:
		theirs, ok := reflect.TypeAssert[*metav1.Time](from.Addr())
		return ok && *ours == *theirs
	case *resource.Quantity:
		theirs, ok := reflect.TypeAssert[*resource.Quantity](from.Addr())
		return ok && *ours == *theirs
	}
	equal := true
	for i := range to.NumField() {
		field := to.Field(i)
		equal = field.CanSet() && adopt(field, from.Field(i)) && equal
	}
	return equal
}

func adoptAnyMap(to, from reflect.Value) bool {
	switch ours := to.Addr().Interface().(type) {
	case *map[string]string:
		theirs, ok := reflect.TypeAssert[*map[string]string](from.Addr())
		return ok && adoptMap(ours, theirs)
	case *corev1.ResourceList:
		theirs, ok := reflect.TypeAssert[*corev1.ResourceList](from.Addr())
		return ok && adoptMap(ours, theirs)
	default:
		return to.IsNil() && from.IsNil()
	}
}

func adoptMap[M ~map[K]V, K, V comparable](to, from *M) bool {
	if (*to == nil) != (*from == nil) || !maps.Equal(*to, *from) {
		return false
	}
	*to = *from
	return true
}
