// Package live reads a CloneSet and what belongs to it from a cluster. It promises to write nothing, and to ask no more than
// one question for each kind of object.
package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/workload"
)

// Cluster reads from a cluster.
type Cluster struct{ reader client.Reader }

// Connect makes a Cluster. It sends no request yet.
func Connect(config *rest.Config) (*Cluster, error) {
	scheme := runtime.NewScheme()
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, v1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	for _, kind := range []schema.GroupVersionKind{
		v1beta1.GroupVersion.WithKind("CloneSet"), appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
	} {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	return &Cluster{reader: reader}, nil
}

// CloneSet is a CloneSet with what belongs to it, as the API server has it.
type CloneSet struct {
	Set   *v1beta1.CloneSet
	Owned workload.Owned
}

// CloneSet reads a CloneSet, its pods, claims and revisions.
func (c *Cluster) CloneSet(ctx context.Context, namespace, name string) (*CloneSet, error) {
	found := &CloneSet{Set: &v1beta1.CloneSet{}}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found.Set); err != nil {
		return nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(found.Set.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("CloneSet %s/%s: spec.selector: %w", namespace, name, err)
	}
	of := []client.ListOption{client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	var revisions appsv1.ControllerRevisionList
	for _, list := range []client.ObjectList{&pods, &claims, &revisions} {
		if err := c.reader.List(ctx, list, of...); err != nil {
			return nil, err
		}
	}
	found.Owned = workload.Owned{
		Pods:      owned(found.Set, pods.Items, func(p *corev1.Pod) metav1.Object { return p }),
		Claims:    owned(found.Set, claims.Items, func(c *corev1.PersistentVolumeClaim) metav1.Object { return c }),
		Revisions: owned(found.Set, revisions.Items, func(r *appsv1.ControllerRevision) metav1.Object { return r }),
		Revision: func(name string) *appsv1.ControllerRevision {
			for i := range revisions.Items {
				if revisions.Items[i].Name == name {
					return &revisions.Items[i]
				}
			}
			return nil
		},
	}
	return found, nil
}

// owned are those of the objects whose controller a CloneSet is.
func owned[T any](set *v1beta1.CloneSet, items []T, object func(*T) metav1.Object) []*T {
	var out []*T
	for i := range items {
		if metav1.IsControlledBy(object(&items[i]), set) {
			out = append(out, &items[i])
		}
	}
	return out
}

// Names are the names of the CloneSets of a namespace that begin with a prefix, in order.
func (c *Cluster) Names(ctx context.Context, namespace, prefix string) ([]string, error) {
	var sets v1beta1.CloneSetList
	if err := c.reader.List(ctx, &sets, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	for i := range sets.Items {
		if strings.HasPrefix(sets.Items[i].Name, prefix) {
			names = append(names, sets.Items[i].Name)
		}
	}
	slices.Sort(names)
	return names, nil
}
