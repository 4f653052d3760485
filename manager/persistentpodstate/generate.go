package persistentpodstate

import (
	"context"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/affinity"
)

// generator makes, for the workloads of one kind, the objects that their annotations ask for, and keeps them so.
type generator[T client.Object] struct {
	kind     schema.GroupVersionKind
	sets     *index.Store[T]
	states   *index.Store[*v1beta1.PersistentPodState]
	client   client.Client
	recorder events.EventRecorder
}

func setupGenerator[T client.Object](mgr ctrl.Manager, sets *index.Store[T], empty T, states *index.Store[*v1beta1.PersistentPodState], kind schema.GroupVersionKind) error {
	g := &generator[T]{kind: kind, sets: sets, states: states, client: mgr.GetClient(), recorder: mgr.GetEventRecorder("persistentpodstate-controller")}
	err := ctrl.NewControllerManagedBy(mgr).
		Named("persistentpodstate-of-"+kind.GroupKind().String()).
		For(empty, builder.WithPredicates(predicate.Funcs{UpdateFunc: asksOtherwise})).
		Watches(&v1beta1.PersistentPodState{}, handler.EnqueueRequestsFromMapFunc(g.setOf), builder.WithPredicates(predicate.GenerationChangedPredicate{})).
		WithOptions(controller.Options{RateLimiter: loop.RateLimiter()}).
		Complete(g)
	if err != nil {
		return fmt.Errorf("set up what annotations of %s ask for: %w", kind.GroupKind(), err)
	}
	return nil
}

// asksOtherwise says whether a workload may ask for something else than before.
func asksOtherwise(e event.UpdateEvent) bool {
	return !maps.Equal(e.ObjectOld.GetAnnotations(), e.ObjectNew.GetAnnotations())
}

// setOf is the workload that an object is about, if it is of the generator's kind.
func (g *generator[T]) setOf(_ context.Context, o client.Object) []reconcile.Request {
	state, ok := o.(*v1beta1.PersistentPodState)
	if !ok {
		return nil
	}
	target, ok := affinity.Of(state)
	if !ok || target.GroupKind != g.kind.GroupKind() {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: state.Namespace, Name: target.Name}}}
}

// Reconcile implements reconcile.Reconciler.
func (g *generator[T]) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	set, ok := g.sets.Get(req.NamespacedName)
	if !ok || set.GetDeletionTimestamp() != nil {
		return reconcile.Result{}, nil // the garbage collector deletes what it owns
	}
	spec, err := affinity.Generated(set.GetAnnotations())
	if err != nil {
		g.tell(set, err.Error())
		return reconcile.Result{}, nil
	}
	switch err := g.keep(ctx, set, spec); {
	case apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err): // the event of what others wrote comes by
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		g.tell(set, err.Error())
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("the PersistentPodState that %s %s asks for: %w", g.kind.Kind, req.NamespacedName, err)
	}
	return reconcile.Result{}, nil
}

// tell says to the owner of a workload why there is no object as the annotations ask for.
func (g *generator[T]) tell(set T, why string) {
	g.recorder.Eventf(set, nil, corev1.EventTypeWarning, "NoPersistentPodState", "Generate", "%s", why)
}

// keep makes the object as the annotations say, or takes it away when spec is nil.
func (g *generator[T]) keep(ctx context.Context, set T, spec *v1beta1.PersistentPodStateSpec) error {
	is, exists := g.states.Get(client.ObjectKeyFromObject(set))
	mine := exists && metav1.IsControlledBy(is, set)
	switch {
	case spec == nil && mine && is.DeletionTimestamp == nil:
		return g.client.Delete(ctx, is.DeepCopy(), client.Preconditions{UID: &is.UID})
	case spec == nil:
		return nil
	case !exists:
		apiVersion, kind := g.kind.ToAPIVersionAndKind()
		spec.TargetReference = v1beta1.TargetReference{APIVersion: apiVersion, Kind: kind, Name: set.GetName()}
		return g.client.Create(ctx, &v1beta1.PersistentPodState{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: set.GetNamespace(), Name: set.GetName(), OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(set, g.kind)},
			},
			Spec: *spec,
		})
	case is.DeletionTimestamp != nil:
		return nil // the next one is made when it is gone
	case !mine:
		// That of an earlier workload of the name is about to be deleted with it.
		if ref := metav1.GetControllerOfNoCopy(is); ref == nil || ref.Kind != g.kind.Kind || ref.Name != set.GetName() {
			g.tell(set, fmt.Sprintf("PersistentPodState %s does not belong to the %s: it is left as it is, and the annotations do nothing", is.Name, g.kind.Kind))
		}
		return nil
	}
	spec.TargetReference = is.Spec.TargetReference // which cannot change, and may name another version
	if equality.Semantic.DeepEqual(&is.Spec, spec) {
		return nil
	}
	want := is.DeepCopy()
	want.Spec = *spec
	return g.client.Patch(ctx, want, client.MergeFromWithOptions(is, client.MergeFromWithOptimisticLock{}))
}
