package persistentpodstate

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/plan/affinity"
	"kruise.io/kruise/plan/workload"
)

// targets are the workloads whose pods can be remembered, and their pods.
type targets struct {
	options workload.Options
	native  *index.Store[*appsv1.StatefulSet]
	// advanced is nil where the API server does not serve the kind.
	advanced *index.Store[*v1beta1.StatefulSet]
	// others are those of the kinds that the cluster's administrator lists.
	others map[schema.GroupKind]*index.Store[*unstructured.Unstructured]
	pods   *index.Store[*corev1.Pod]
}

func newTargets(ctx context.Context, informers cache.Informers, advanced bool, o Options) (t targets, err error) {
	t.options, t.others = o.Options, map[schema.GroupKind]*index.Store[*unstructured.Unstructured]{}
	for _, kind := range o.Others {
		if t.others[kind.GroupKind()], err = index.For(ctx, informers, affinity.Blank(kind)); err != nil {
			return t, err
		}
	}
	if t.native, err = index.For(ctx, informers, &appsv1.StatefulSet{}); err != nil {
		return t, err
	}
	if advanced {
		if t.advanced, err = index.For(ctx, informers, &v1beta1.StatefulSet{}); err != nil {
			return t, err
		}
	}
	t.pods, err = index.For(ctx, informers, &corev1.Pod{})
	return t, err
}

// knows says whether pods of a kind are remembered.
func (t targets) knows(kind schema.GroupKind) bool {
	_, other := t.others[kind]
	return other || affinity.Known(kind)
}

// of is what there is of a workload; nil when it is gone, or going.
func (t targets) of(namespace string, target affinity.Target) (*affinity.Workload, error) {
	set, err := t.find(types.NamespacedName{Namespace: namespace, Name: target.Name}, target.GroupKind)
	if err != nil || set == nil || set.DeletionTimestamp != nil {
		return nil, err
	}
	_, other := t.others[target.GroupKind]
	w := &affinity.Workload{Name: set.Name, AnyOrdinal: other && set.Spec.Replicas == nil}
	options := t.options
	options.StartOrdinal = options.StartOrdinal || target.Group != v1beta1.GroupName // only ours have a gate for it
	if w.Ordinals, err = workload.Ordinals(set, options); err != nil {
		return nil, fmt.Errorf("reading %s %s/%s: %w", target.Kind, namespace, target.Name, err)
	}
	w.Pods, err = t.pods.OwnedBy(set.UID)
	return w, err
}

// find reads a StatefulSet of either group, of which the native one has but some of the fields, or a workload that is like one.
// It is nil where there is none.
func (t targets) find(key types.NamespacedName, kind schema.GroupKind) (*v1beta1.StatefulSet, error) {
	if others, ok := t.others[kind]; ok {
		if other, there := others.Get(key); there {
			return affinity.Like(other)
		}
		return nil, nil
	}
	if kind.Group == v1beta1.GroupName {
		if t.advanced == nil {
			return nil, nil
		}
		set, _ := t.advanced.Get(key)
		return set, nil
	}
	native, ok := t.native.Get(key)
	if !ok {
		return nil, nil
	}
	set := &v1beta1.StatefulSet{ObjectMeta: native.ObjectMeta, Spec: v1beta1.StatefulSetSpec{Replicas: native.Spec.Replicas}}
	if native.Spec.Ordinals != nil {
		set.Spec.Ordinals = &v1beta1.StatefulSetOrdinals{Start: native.Spec.Ordinals.Start}
	}
	return set, nil
}

// targetOf is a workload as it is referred to.
func targetOf(set client.Object) affinity.Target {
	target := affinity.Target{Name: set.GetName()}
	target.Kind, target.Group = "StatefulSet", appsv1.GroupName
	switch set := set.(type) {
	case *v1beta1.StatefulSet:
		target.Group = v1beta1.GroupName
	case *unstructured.Unstructured:
		target.GroupKind = set.GroupVersionKind().GroupKind()
	}
	return target
}

// byTarget finds objects by the workload that they are about.
func byTarget() index.Index[*v1beta1.PersistentPodState] {
	return index.Index[*v1beta1.PersistentPodState]{Name: affinity.ByTarget, Values: affinity.Keys}
}
