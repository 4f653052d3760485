package stepped

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/plan/placement"
)

// Cluster lets everybody but the reconciler do what there is to do: the scheduler gives pods a node, the kubelet starts
// containers, and ends pods that are being deleted; claims that are being deleted go when no pod has them. It returns
// whether there was anything to do.
func (w *World) Cluster() (moved bool) {
	w.Helper()
	for _, pod := range w.Pods() {
		moved = w.Play(pod.Name) || moved
	}
	moved = w.DropClaims() || moved
	if w.AfterEachStep != nil {
		w.AfterEachStep()
	}
	return moved
}

// Play lets scheduler and kubelet do what there is to do for one pod. Other controllers may run at the same time: a pod
// that they delete meanwhile is nobody's any more.
func (w *World) Play(name string) (moved bool) {
	w.Helper()
	pod := &corev1.Pod{}
	err := w.API.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, pod)
	switch {
	case apierrors.IsNotFound(err):
		return false
	case err != nil:
		w.Fatal(err)
	}
	switch {
	case pod.DeletionTimestamp != nil:
		return w.end(pod)
	case pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded:
		return false
	case pod.Spec.NodeName == "":
		return w.bind(pod)
	default:
		return w.run(pod)
	}
}

// Pods lists the pods of the world by name, those that are being deleted included.
func (w *World) Pods() []corev1.Pod {
	w.Helper()
	list := &corev1.PodList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b corev1.Pod) int { return cmp.Compare(a.Name, b.Name) })
	return list.Items
}

// Pod reads a pod.
func (w *World) Pod(name string) *corev1.Pod {
	w.Helper()
	pod := &corev1.Pod{}
	w.Get(name, pod)
	return pod
}

// Get reads an object of the world's namespace.
func (w *World) Get(name string, into client.Object) {
	w.Helper()
	if err := w.API.Get(w.Context(), client.ObjectKey{Namespace: w.Namespace, Name: name}, into); err != nil {
		w.Fatal(err)
	}
}

// bind gives a pod a node. One that is for a node that is gone gets none.
func (w *World) bind(pod *corev1.Pod) bool {
	w.Helper()
	node := placement.NodeOf(pod)
	if node != "" {
		err := w.API.Get(w.Context(), client.ObjectKey{Name: node}, &corev1.Node{})
		if apierrors.IsNotFound(err) {
			return false
		}
		if err != nil {
			w.Fatal(err)
		}
	}
	node = cmp.Or(node, "node")
	binding := &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: node}}
	if err := w.API.SubResource("binding").Create(w.Context(), pod, binding); err != nil && !overtaken(err) {
		w.Fatalf("bind pod %s: %v", pod.Name, err)
	}
	return true
}

// end is the kubelet's last word on a pod that is being deleted. A finalizer keeps the pod.
func (w *World) end(pod *corev1.Pod) bool {
	w.Helper()
	if len(pod.Finalizers) > 0 {
		return false
	}
	err := w.API.Delete(w.Context(), pod, client.GracePeriodSeconds(0), client.Preconditions{UID: &pod.UID})
	if err != nil && !overtaken(err) {
		w.Fatalf("end pod %s: %v", pod.Name, err)
	}
	return true
}

// overtaken says whether a pod was deleted while it was looked at.
func overtaken(err error) bool { return apierrors.IsNotFound(err) || apierrors.IsConflict(err) }

// run starts the containers whose image is not the one of the spec, and reports.
func (w *World) run(pod *corev1.Pod) bool {
	w.Helper()
	after := pod.DeepCopy()
	after.Status.Phase = corev1.PodRunning
	after.Status.ObservedGeneration = pod.Generation
	ready := true
	for _, container := range pod.Spec.InitContainers {
		if container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			status := w.start(&after.Status.InitContainerStatuses, pod.UID, container)
			ready = ready && status.Ready
		}
	}
	for _, container := range pod.Spec.Containers {
		status := w.start(&after.Status.ContainerStatuses, pod.UID, container)
		ready = ready && status.Ready
	}
	w.condition(after, corev1.PodInitialized, true)
	w.condition(after, corev1.ContainersReady, ready)
	for _, gate := range pod.Spec.ReadinessGates {
		ready = ready && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == corev1.ConditionTrue
		})
	}
	w.condition(after, corev1.PodReady, ready)
	if equality.Semantic.DeepEqual(pod.Status, after.Status) {
		return false
	}
	if err := w.API.Status().Patch(w.Context(), after, client.StrategicMergeFrom(pod)); err != nil && !overtaken(err) {
		w.Fatalf("report pod %s: %v", pod.Name, err)
	}
	return true
}

// start brings a container to the image of its spec.
func (w *World) start(statuses *[]corev1.ContainerStatus, pod types.UID, container corev1.Container) corev1.ContainerStatus {
	i := slices.IndexFunc(*statuses, func(s corev1.ContainerStatus) bool { return s.Name == container.Name })
	if i < 0 {
		*statuses = append(*statuses, corev1.ContainerStatus{Name: container.Name, RestartCount: -1})
		i = len(*statuses) - 1
	}
	status := &(*statuses)[i]
	switch {
	case w.BrokenImages[container.Image]:
		status.Ready, status.Started = false, ptr.To(false)
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}
		status.RestartCount = max(status.RestartCount, 0)
	case status.Image != container.Image || !status.Ready:
		status.RestartCount++
		status.Image, status.ImageID = container.Image, "sha256:"+container.Image
		status.ContainerID = fmt.Sprintf("test://%s-%s-%d", pod, container.Name, status.RestartCount)
		status.Ready, status.Started = true, ptr.To(true)
		status.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(w.Clock.Now())}}
	}
	if status.Ready { // resources are given at once
		status.Resources = container.Resources.DeepCopy()
	}
	return *status
}

func (w *World) condition(pod *corev1.Pod, kind corev1.PodConditionType, yes bool) {
	status := corev1.ConditionFalse
	if yes {
		status = corev1.ConditionTrue
	}
	i := slices.IndexFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == kind })
	if i < 0 {
		pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: kind})
		i = len(pod.Status.Conditions) - 1
	}
	if c := &pod.Status.Conditions[i]; c.Status != status {
		c.Status, c.Reason, c.LastTransitionTime = status, "", metav1.NewTime(w.Clock.Now())
	}
}

// DropClaims ends claims that are being deleted and that no pod has: one that has no node has no volume yet.
func (w *World) DropClaims() (moved bool) {
	w.Helper()
	claims := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), claims, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	used := map[string]bool{}
	for _, pod := range w.Pods() {
		for _, volume := range pod.Spec.Volumes {
			if volume.PersistentVolumeClaim != nil && pod.Spec.NodeName != "" {
				used[volume.PersistentVolumeClaim.ClaimName] = true
			}
		}
	}
	for i := range claims.Items {
		claim := &claims.Items[i]
		if claim.DeletionTimestamp == nil || used[claim.Name] {
			continue
		}
		before := claim.DeepCopy()
		claim.Finalizers = nil
		if err := w.API.Patch(w.Context(), claim, client.MergeFrom(before)); err != nil {
			w.Fatalf("end claim %s: %v", claim.Name, err)
		}
		moved = true
	}
	return moved
}
