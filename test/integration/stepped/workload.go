package stepped

import (
	"math/rand"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

// Workload is a world about one object of a kind, which has pods.
type Workload[T client.Object] struct {
	*World
	// Key names the object.
	Key types.NamespacedName

	empty func() T
}

// About makes a world in a namespace that exists, about the object of a name. Its reconciler reads the kinds of the lists, pods and
// revisions.
func About[T client.Object](t *testing.T, server *apiserver.Server, at types.NamespacedName, empty func() T, setup Setup, kinds ...client.ObjectList) *Workload[T] {
	t.Helper()
	kinds = append(kinds, &corev1.PodList{}, &appsv1.ControllerRevisionList{})
	return &Workload[T]{World: In(t, server, at.Namespace, setup, kinds...), Key: at, empty: empty}
}

// PullJobs lists the jobs that pull images ahead, of which a reconciler reads the metadata alone.
func PullJobs() client.ObjectList {
	jobs := &metav1.PartialObjectMetadataList{}
	jobs.SetGroupVersionKind(v1beta1.GroupVersion.WithKind("ImagePullJobList"))
	return jobs
}

// Turn reconciles once, with caches that show everything.
func (w *Workload[T]) Turn() {
	w.Helper()
	if err := w.Reconcile(w.Key); err != nil {
		w.Fatalf("reconcile: %v", err)
	}
}

// Finish lets controller and cluster take turns until nothing is left to do.
func (w *Workload[T]) Finish() {
	w.Helper()
	w.Rest(w.Key)
}

// Object reads the object.
func (w *Workload[T]) Object() T {
	w.Helper()
	object := w.empty()
	w.Get(w.Key.Name, object)
	return object
}

// Change changes the object, as a user does.
func (w *Workload[T]) Change(change func(T)) {
	w.Helper()
	before, after := w.Object(), w.Object()
	change(after)
	if err := w.API.Patch(w.Context(), after, client.MergeFrom(before)); err != nil {
		w.Fatalf("change the %T: %v", after, err)
	}
}

// Jobs lists the jobs that pull images ahead.
func (w *Workload[T]) Jobs() []v1beta1.ImagePullJob {
	w.Helper()
	list := &v1beta1.ImagePullJobList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	return list.Items
}

// Lag takes steps while the caches of resources are held back and let go at random, and the reconciler is restarted now and then.
func (w *Workload[T]) Lag(random *rand.Rand, steps int, resources []string) {
	w.Helper()
	for range steps {
		resource := resources[random.Intn(len(resources))]
		switch random.Intn(6) {
		case 0, 1:
			w.Freeze(resource)
		case 2, 3:
			w.Thaw(resource)
		case 4:
			w.Cluster()
		}
		w.Turn()
		if random.Intn(20) == 0 {
			w.Restart()
		}
	}
	for _, resource := range resources {
		w.Thaw(resource)
	}
}

// Snapshot is what must not change without a reason.
type Snapshot struct {
	// Pods are the UIDs of the pods, and Restarts those of all containers of a pod.
	Pods     map[string]types.UID
	Restarts map[string]int
	// Versions are the resource versions of revisions and claims.
	Versions map[string]string
}

// Snapshot looks at the world as it is now.
func (w *Workload[T]) Snapshot() Snapshot {
	w.Helper()
	s := Snapshot{Pods: map[string]types.UID{}, Restarts: map[string]int{}, Versions: map[string]string{}}
	for _, pod := range w.Pods() {
		s.Pods[pod.Name] = pod.UID
		for _, c := range pod.Status.ContainerStatuses {
			s.Restarts[pod.Name] += int(c.RestartCount)
		}
	}
	for _, r := range w.Revisions() {
		s.Versions[r.Name] = r.ResourceVersion
	}
	claims := &corev1.PersistentVolumeClaimList{}
	if err := w.API.List(w.Context(), claims, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	for _, claim := range claims.Items {
		s.Versions[claim.Name] = claim.ResourceVersion
	}
	return s
}
