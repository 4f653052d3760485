package stepped

import (
	"cmp"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Create creates an object, as a user does.
func (w *World) Create(object client.Object) {
	w.Helper()
	if err := w.API.Create(w.Context(), object); err != nil {
		w.Fatalf("create %T %s: %v", object, object.GetName(), err)
	}
}

// Patch changes an object by a merge patch, as a user does.
func (w *World) Patch(object client.Object, merge string) {
	w.Helper()
	if err := w.API.Patch(w.Context(), object, client.RawPatch(types.MergePatchType, []byte(merge))); err != nil {
		w.Fatalf("patch %T %s: %v", object, object.GetName(), err)
	}
}

// DeletePod deletes a pod, as a user does: it ends some time later.
func (w *World) DeletePod(name string) {
	w.Helper()
	if err := w.API.Delete(w.Context(), w.Pod(name)); err != nil {
		w.Fatal(err)
	}
}

// Vanish ends a pod at once, as when its node is lost and somebody cleans up.
func (w *World) Vanish(name string) {
	w.Helper()
	if err := w.API.Delete(w.Context(), w.Pod(name), client.GracePeriodSeconds(0)); err != nil {
		w.Fatal(err)
	}
}

// Revisions lists the revisions of the world, the oldest first.
func (w *World) Revisions() []appsv1.ControllerRevision {
	w.Helper()
	list := &appsv1.ControllerRevisionList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	slices.SortFunc(list.Items, func(a, b appsv1.ControllerRevision) int { return cmp.Compare(a.Revision, b.Revision) })
	return list.Items
}
