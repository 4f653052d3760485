package persistentpodstate

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
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
	pods     *index.Store[*corev1.Pod]
}

func newTargets(ctx context.Context, informers cache.Informers, advanced bool, options workload.Options) (t targets, err error) {
	t.options = options
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

// of is what there is of a workload; nil when it is gone, or going.
func (t targets) of(namespace string, target affinity.Target) (*affinity.Workload, error) {
	set := t.find(types.NamespacedName{Namespace: namespace, Name: target.Name}, target.Group)
	if set == nil || set.DeletionTimestamp != nil {
		return nil, nil
	}
	w := &affinity.Workload{Name: set.Name}
	options := t.options
	options.StartOrdinal = options.StartOrdinal || target.Group == appsv1.GroupName // Kubernetes has no gate for it any more
	var err error
	if w.Ordinals, err = workload.Ordinals(set, options); err != nil {
		return nil, fmt.Errorf("reading StatefulSet %s/%s: %w", namespace, target.Name, err)
	}
	w.Pods, err = t.pods.OwnedBy(set.UID)
	return w, err
}

// find reads a StatefulSet of either group, of which the native one has but some of the fields.
func (t targets) find(key types.NamespacedName, group string) *v1beta1.StatefulSet {
	if group == v1beta1.GroupName {
		if t.advanced == nil {
			return nil
		}
		set, _ := t.advanced.Get(key)
		return set
	}
	native, ok := t.native.Get(key)
	if !ok {
		return nil
	}
	set := &v1beta1.StatefulSet{ObjectMeta: native.ObjectMeta, Spec: v1beta1.StatefulSetSpec{Replicas: native.Spec.Replicas}}
	if native.Spec.Ordinals != nil {
		set.Spec.Ordinals = &v1beta1.StatefulSetOrdinals{Start: native.Spec.Ordinals.Start}
	}
	return set
}

// targetOf is a StatefulSet as it is referred to.
func targetOf(set client.Object) affinity.Target {
	target := affinity.Target{Name: set.GetName()}
	target.Kind, target.Group = "StatefulSet", appsv1.GroupName
	if _, advanced := set.(*v1beta1.StatefulSet); advanced {
		target.Group = v1beta1.GroupName
	}
	return target
}

// byTarget finds objects by the workload that they are about.
func byTarget() index.Index[*v1beta1.PersistentPodState] {
	return index.Index[*v1beta1.PersistentPodState]{Name: affinity.ByTarget, Values: affinity.Keys}
}
