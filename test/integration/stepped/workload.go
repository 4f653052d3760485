package stepped

import (
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
