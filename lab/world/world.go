package world

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// World is a cluster. Its fields may be changed at any time.
type World struct {
	// Now is the time. Tick moves it.
	Now time.Time
	// Pods are the pods, in the order of their creation.
	Pods []*corev1.Pod
	// Claims are the claims of volumes, in the order of their creation.
	Claims []*corev1.PersistentVolumeClaim
	// Nodes are the nodes, in the order in which they came; with none, no pod is scheduled.
	Nodes []*corev1.Node
	// Full are nodes that have no room for more pods.
	Full map[string]bool
	// AnyNode has any node take any pod, as when nothing is known of the nodes.
	AnyNode bool
	// StartTakes is how long a container takes to start, and ReadyTakes how long it then takes to be ready.
	StartTakes, ReadyTakes time.Duration
	// Unready are images whose containers run and never get ready.
	Unready map[string]bool
	// Crashing are images whose containers end soon after they started, before they are ready.
	Crashing map[string]bool
	// Resize is what kubelets say to other resources in a pod's spec: Deferred or Infeasible. Empty: they give them at once.
	Resize string
	// Growth says how volumes grow: GrowsNever, or GrowsAtRestart. Empty: within a second.
	Growth string
	// Agent puts an agent on each node that restarts containers whose labels or annotations in env changed, while the pod
	// is out of service for an update.
	Agent bool
	// Bad are images that cannot be pulled.
	Bad map[string]bool
	// Digests are the digests of images that share one with another image. Others have their own.
	Digests map[string]string
	// OldKubelet leaves status.observedGeneration out, as kubelets did for long.
	OldKubelet bool

	containers map[types.UID]map[string]*container
	held       map[types.UID]bool // pods that scheduler and kubelet get no further with
	reasons    map[string]string  // why a bad image does not run, where it is not that it cannot be pulled
	serial     int
	version    int // of what was changed last

	fileSystems map[types.UID]types.UID // the users of claims whose file systems are to grow
}

// New is an empty cluster of three nodes where a container takes two seconds to start.
func New() *World {
	w := &World{
		Now:        time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Full:       map[string]bool{},
		StartTakes: 2 * time.Second,
		Bad:        map[string]bool{},
		Unready:    map[string]bool{},
		Crashing:   map[string]bool{},
		Digests:    map[string]string{},
		containers: map[types.UID]map[string]*container{},

		fileSystems: map[types.UID]types.UID{},
	}
	w.SetNodes(3)
	return w
}

// Pod returns the pod of a name, nil if there is none.
func (w *World) Pod(name string) *corev1.Pod {
	for _, pod := range w.Pods {
		if pod.Name == name {
			return pod
		}
	}
	return nil
}

// podWith returns the pod of a UID, nil if there is none.
func (w *World) podWith(uid types.UID) *corev1.Pod {
	for _, pod := range w.Pods {
		if pod.UID == uid {
			return pod
		}
	}
	return nil
}

// Create creates a pod.
func (w *World) Create(pod *corev1.Pod) error {
	if w.Pod(pod.Name) != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "pods"}, pod.Name)
	}
	w.serial++
	pod = pod.DeepCopy()
	pod.UID = types.UID(fmt.Sprintf("uid-%d", w.serial))
	pod.Generation = 1
	for i := range pod.Spec.Containers { // as the API's defaults do
		r := &pod.Spec.Containers[i].Resources
		for name, limit := range r.Limits {
			if _, ok := r.Requests[name]; !ok {
				if r.Requests == nil {
					r.Requests = corev1.ResourceList{}
				}
				r.Requests[name] = limit
			}
		}
	}
	pod.CreationTimestamp = metav1.NewTime(w.Now)
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	w.Pods = append(w.Pods, pod)
	w.containers[pod.UID] = map[string]*container{}
	return nil
}

// Delete asks for the end of a pod. Its kubelet, or nobody where it has no node, stands between the wish and the end;
// finalizers do, too.
func (w *World) Delete(name string, uid types.UID) error {
	return w.change(name, uid, func(pod *corev1.Pod) {
		if pod.DeletionTimestamp == nil {
			pod.DeletionTimestamp = &metav1.Time{Time: w.Now}
		}
	})
}

// Lose takes a pod away at once, as when a node is lost.
func (w *World) Lose(name string) {
	if pod := w.Pod(name); pod != nil {
		w.remove(pod)
	}
}

// Edit changes labels, annotations or finalizers of a pod, as a user does.
func (w *World) Edit(name string, edit func(*metav1.ObjectMeta)) error {
	return w.change(name, "", func(pod *corev1.Pod) {
		if pod.Labels == nil {
			pod.Labels = map[string]string{}
		}
		edit(&pod.ObjectMeta)
	})
}

// PatchPod applies a strategic merge patch to a pod, without its status.
func (w *World) PatchPod(name string, patch []byte) error {
	after, err := w.patched(name, patch)
	if err != nil {
		return err
	}
	before := w.Pod(name)
	after.Status = *before.Status.DeepCopy()
	if !equality.Semantic.DeepEqual(before.Spec, after.Spec) {
		after.Generation++
		spec := after.Spec.DeepCopy()
		for i := range spec.Containers {
			if i < len(before.Spec.Containers) {
				spec.Containers[i].Image = before.Spec.Containers[i].Image
			}
		}
		for i := range spec.InitContainers {
			if i < len(before.Spec.InitContainers) {
				spec.InitContainers[i].Image = before.Spec.InitContainers[i].Image
			}
		}
		if !equality.Semantic.DeepEqual(before.Spec, *spec) {
			return apierrors.NewBadRequest(fmt.Sprintf("pod %s: only images may change in a spec", name))
		}
	}
	w.replace(after)
	return nil
}

// PatchResize applies a strategic merge patch to the resources of a pod's containers, and nothing else of it. It refuses
// what the API refuses: to add or remove a value, and to change others than cpu and memory.
func (w *World) PatchResize(name string, patch []byte) error {
	merged, err := w.patched(name, patch)
	if err != nil {
		return err
	}
	after := w.Pod(name).DeepCopy()
	for i := range after.Spec.Containers {
		before, now := &after.Spec.Containers[i].Resources, merged.Spec.Containers[i].Resources
		if !resizable(before.Limits, now.Limits) || !resizable(before.Requests, now.Requests) {
			return apierrors.NewBadRequest(fmt.Sprintf("pod %s: only values of cpu and memory may change in resources", name))
		}
		if !equality.Semantic.DeepEqual(*before, now) {
			after.Generation = w.Pod(name).Generation + 1
		}
		*before = now
	}
	w.replace(after)
	return nil
}

func resizable(before, after corev1.ResourceList) bool {
	for name, value := range before {
		now, ok := after[name]
		if !ok || now.Cmp(value) != 0 && name != corev1.ResourceCPU && name != corev1.ResourceMemory {
			return false
		}
	}
	return len(before) == len(after)
}

// PatchStatus applies a strategic merge patch to the status of a pod, with its labels and annotations, without its spec.
func (w *World) PatchStatus(name string, patch []byte) error {
	after, err := w.patched(name, patch)
	if err != nil {
		return err
	}
	after.Spec = *w.Pod(name).Spec.DeepCopy()
	w.replace(after)
	return nil
}

func (w *World) patched(name string, patch []byte) (*corev1.Pod, error) {
	pod := w.Pod(name)
	if pod == nil {
		return nil, notFound(name)
	}
	before, err := json.Marshal(pod)
	if err != nil {
		return nil, fmt.Errorf("patch pod %s: %w", name, err)
	}
	merged, err := strategicpatch.StrategicMergePatch(before, patch, corev1.Pod{})
	if err != nil {
		return nil, fmt.Errorf("patch pod %s: %w", name, err)
	}
	after := &corev1.Pod{}
	if err := json.Unmarshal(merged, after); err != nil {
		return nil, fmt.Errorf("patch pod %s: %w", name, err)
	}
	if after.UID != pod.UID || after.ResourceVersion != pod.ResourceVersion {
		return nil, conflict(name)
	}
	return after, nil
}

// change replaces a pod by a changed copy. An empty UID means whichever pod has the name.
func (w *World) change(name string, uid types.UID, change func(*corev1.Pod)) error {
	pod := w.Pod(name)
	if pod == nil {
		return notFound(name)
	}
	if uid != "" && uid != pod.UID {
		return conflict(name)
	}
	pod = pod.DeepCopy()
	change(pod)
	w.replace(pod)
	return nil
}

// replace takes a changed copy in. One that is no different leaves the pod as it is, with its version.
func (w *World) replace(pod *corev1.Pod) {
	for i, before := range w.Pods {
		if before.UID == pod.UID && !equality.Semantic.DeepEqual(before, pod) {
			w.version++
			pod.ResourceVersion = strconv.Itoa(w.version)
			w.Pods[i] = pod
		}
	}
}

func (w *World) remove(pod *corev1.Pod) {
	w.Pods = slices.DeleteFunc(slices.Clone(w.Pods), func(p *corev1.Pod) bool { return p.UID == pod.UID })
	delete(w.containers, pod.UID)
}

func notFound(name string) error {
	return apierrors.NewNotFound(schema.GroupResource{Resource: "pods"}, name)
}

func conflict(name string) error {
	return apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, name, fmt.Errorf("it is another one by now"))
}
