package pod

import (
	"context"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/plan/affinity"
	"kruise.io/kruise/plan/podwebhook"
)

// +kubebuilder:rbac:groups=apps.kruise.io,resources=persistentpodstates,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps.kruise.io;apps,resources=statefulsets,verbs=get;list;watch

// memory is what is known of pods that were there before. A nil memory knows of none.
type memory struct {
	states *index.Store[*v1beta1.PersistentPodState]
	native *index.Store[*appsv1.StatefulSet]
	// advanced is nil where the API server does not serve the kind.
	advanced *index.Store[*v1beta1.StatefulSet]
	// kinds are the kinds of others, and others their objects.
	kinds  affinity.Kinds
	others map[schema.GroupKind]*index.Store[*unstructured.Unstructured]
}

// remember starts to watch what pods are remembered by; nil where the API server does not serve the kind.
func remember(ctx context.Context, mgr ctrl.Manager, others affinity.Kinds) (*memory, error) {
	if served, err := serve.IsServed(mgr, v1beta1.GroupVersion.WithKind("PersistentPodState")); err != nil || !served {
		return nil, err
	}
	m := &memory{kinds: others, others: map[schema.GroupKind]*index.Store[*unstructured.Unstructured]{}}
	var err error
	for _, kind := range others {
		if m.others[kind.GroupKind()], err = index.For(ctx, mgr.GetCache(), affinity.Blank(kind)); err != nil {
			return nil, err
		}
	}
	if m.states, err = index.With(ctx, mgr.GetCache(), &v1beta1.PersistentPodState{}, byTarget()); err != nil {
		return nil, err
	}
	if m.native, err = index.For(ctx, mgr.GetCache(), &appsv1.StatefulSet{}); err != nil {
		return nil, err
	}
	if served, err := serve.IsServed(mgr, v1beta1.GroupVersion.WithKind("StatefulSet")); err != nil || !served {
		return m, err
	}
	m.advanced, err = index.For(ctx, mgr.GetCache(), &v1beta1.StatefulSet{})
	return m, err
}

// byTarget finds objects by the workload that they are about.
func byTarget() index.Index[*v1beta1.PersistentPodState] {
	return index.Index[*v1beta1.PersistentPodState]{Name: affinity.ByTarget, Values: affinity.Keys}
}

// watch wakes the keeper of the webhooks when other pods are to be sent back.
func (m *memory) watch(mgr ctrl.Manager, b *builder.Builder) *builder.Builder {
	if m == nil {
		return b
	}
	b = b.WatchesRawSource(source.Kind(mgr.GetCache(), &v1beta1.PersistentPodState{}, wakes[*v1beta1.PersistentPodState](), asksAnew[*v1beta1.PersistentPodState]())).
		WatchesRawSource(source.Kind(mgr.GetCache(), &appsv1.StatefulSet{}, wakes[*appsv1.StatefulSet](), comesOrGoes[*appsv1.StatefulSet]()))
	for _, kind := range m.kinds {
		b = b.WatchesRawSource(source.Kind(mgr.GetCache(), affinity.Blank(kind), wakes[*unstructured.Unstructured](), asksAnew[*unstructured.Unstructured]()))
	}
	if m.advanced != nil {
		b = b.WatchesRawSource(source.Kind(mgr.GetCache(), &v1beta1.StatefulSet{}, wakes[*v1beta1.StatefulSet](), comesOrGoes[*v1beta1.StatefulSet]()))
	}
	return b
}

// comesOrGoes lets through that an object is there or not: what is asked of a StatefulSet, its selector, never changes.
func comesOrGoes[T any]() predicate.TypedPredicate[T] {
	return predicate.TypedFuncs[T]{UpdateFunc: func(event.TypedUpdateEvent[T]) bool { return false }}
}

// of is the object by which a pod is remembered: of several for its workload, the oldest.
func (m *memory) of(pod *corev1.Pod) (*v1beta1.PersistentPodState, error) {
	if m == nil {
		return nil, nil
	}
	owner, ok := affinity.Owner(pod)
	if !ok || !m.kinds.Knows(owner.GroupKind) {
		return nil, nil
	}
	states, err := m.states.By(byTarget(), owner.Key(pod.Namespace))
	if err != nil {
		return nil, err
	}
	var oldest *v1beta1.PersistentPodState
	for _, s := range states {
		if s.DeletionTimestamp == nil && (oldest == nil || older(s, oldest)) {
			oldest = s
		}
	}
	return oldest, nil
}

func older(a, b *v1beta1.PersistentPodState) bool {
	if a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return a.Name < b.Name
	}
	return a.CreationTimestamp.Before(&b.CreationTimestamp)
}

// selector is that of a workload, where it is there. One of another kind need not have any.
func (m *memory) selector(namespace string, target affinity.Target) (selector *metav1.LabelSelector, there bool) {
	key := types.NamespacedName{Namespace: namespace, Name: target.Name}
	if others, ok := m.others[target.GroupKind]; ok {
		other, there := others.Get(key)
		if !there {
			return nil, false
		}
		if set, err := affinity.Like(other); err == nil { // all pods that it controls are asked about, if it cannot be read
			selector = set.Spec.Selector
		}
		return selector, true
	}
	if target.Group == appsv1.GroupName {
		if set, ok := m.native.Get(key); ok {
			return set.Spec.Selector, true
		}
		return nil, false
	}
	if m.advanced == nil {
		return nil, false
	}
	if set, ok := m.advanced.Get(key); ok {
		return set.Spec.Selector, true
	}
	return nil, false
}

func asksForReturn(w *world) ([]podwebhook.Demand, error) {
	if w.memory == nil {
		return nil, nil
	}
	var out []podwebhook.Demand
	for _, s := range w.memory.states.All() {
		target, ok := affinity.Of(s)
		if !ok || !w.memory.kinds.Knows(target.GroupKind) || s.DeletionTimestamp != nil {
			continue
		}
		selector, there := w.memory.selector(s.Namespace, target)
		if !there {
			continue
		}
		d := podwebhook.Demand{Namespace: s.Namespace, Pods: selector, Owner: &podwebhook.Owner{GroupKind: target.GroupKind, Name: target.Name}}
		if s.Spec.RequiredPersistentTopology == nil { // what is only preferred is not worth waiting for
			d.Policy = admissionregistrationv1.Ignore
		}
		out = append(out, d)
	}
	return out, nil
}

func sendBack(pod *corev1.Pod, f *facts) field.ErrorList {
	if f.state != nil {
		affinity.Inject(pod, f.state)
	}
	return nil
}
