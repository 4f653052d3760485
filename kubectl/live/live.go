// Package live reads a workload and what belongs to it from a cluster. It promises to write nothing, and to ask no more than
// one question for each kind of object.
package live

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/kubectl/kinds"
)

// Cluster reads from a cluster.
type Cluster struct{ reader client.Reader }

// Connect makes a Cluster. It sends no request yet.
func Connect(config *rest.Config) (*Cluster, error) {
	scheme := runtime.NewScheme()
	mapper := meta.NewDefaultRESTMapper(nil)
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, appsv1.AddToScheme, v1beta1.AddToScheme, policyv1beta1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("registering kinds: %w", err)
		}
	}
	read := []schema.GroupVersionKind{
		appsv1.SchemeGroupVersion.WithKind("ControllerRevision"),
		corev1.SchemeGroupVersion.WithKind("Pod"), corev1.SchemeGroupVersion.WithKind("PersistentVolumeClaim"),
	}
	for _, kind := range read {
		mapper.Add(kind, meta.RESTScopeNamespace)
	}
	for _, kind := range append(kinds.All(), kinds.Budgets()) {
		mapper.Add(kind.GroupVersion().WithKind(kind.Name), scope(kind))
	}
	for _, kind := range []string{"Node", "Namespace"} {
		mapper.Add(corev1.SchemeGroupVersion.WithKind(kind), meta.RESTScopeRoot)
	}
	reader, err := client.New(config, client.Options{Scheme: scheme, Mapper: mapper})
	if err != nil {
		return nil, err
	}
	return &Cluster{reader: reader}, nil
}

func scope(kind *kinds.Kind) meta.RESTScope {
	if kind.Cluster {
		return meta.RESTScopeRoot
	}
	return meta.RESTScopeNamespace
}

// Read reads a workload of a kind and what belongs to it.
func (c *Cluster) Read(ctx context.Context, kind *kinds.Kind, namespace, name string) (kinds.Workload, kinds.Owned, error) {
	found, none := kind.New(), kinds.Owned{}
	if kind.Cluster {
		namespace = ""
	}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found.Object()); err != nil {
		return nil, none, err
	}
	selector, err := metav1.LabelSelectorAsSelector(found.Selector())
	if err != nil {
		return nil, none, fmt.Errorf("%s %s/%s: spec.selector: %w", kind.Name, namespace, name, err)
	}
	of := []client.ListOption{client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}}
	if kind.Cluster {
		owned, err := c.guests(ctx, found, of)
		return found, owned, err
	}
	var pods corev1.PodList
	var claims corev1.PersistentVolumeClaimList
	var revisions appsv1.ControllerRevisionList
	if err := c.reader.List(ctx, &revisions, of...); err != nil {
		return nil, none, err
	}
	// A workload owns pods that it selects no more until its controller lets them go, pods of others may have the names that it
	// needs, and a selector may ask for more than the labels that claims have.
	for _, list := range []client.ObjectList{&pods, &claims} {
		if err := c.reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
			return nil, none, err
		}
	}
	owned, err := c.nodes(ctx, found.Nodes())
	if err != nil {
		return nil, none, err
	}
	owned.Sort(found.Object(), pointers(pods.Items), pointers(claims.Items))
	for _, r := range pointers(revisions.Items) {
		if metav1.IsControlledBy(r, found.Object()) {
			owned.Revisions = append(owned.Revisions, r)
		}
	}
	owned.Revision = func(name string) *appsv1.ControllerRevision {
		for i := range revisions.Items {
			if revisions.Items[i].Name == name {
				return &revisions.Items[i]
			}
		}
		return nil
	}
	return found, owned, nil
}

// nodes reads the nodes as far as they are needed.
func (c *Cluster) nodes(ctx context.Context, need kinds.Need) (owned kinds.Owned, err error) {
	if need == kinds.Needless {
		return owned, nil
	}
	var nodes corev1.NodeList
	if err = c.reader.List(ctx, &nodes); need == kinds.Useful && apierrors.IsForbidden(err) {
		owned.NodesForbidden, err = true, nil
	}
	owned.Nodes = pointers(nodes.Items)
	return owned, err
}

// guests reads the pods that a workload of the whole cluster selects, the namespaces that they are in, and its revisions.
func (c *Cluster) guests(ctx context.Context, found kinds.Workload, of []client.ListOption) (kinds.Owned, error) {
	var pods corev1.PodList
	var namespaces corev1.NamespaceList
	var revisions appsv1.ControllerRevisionList
	err := c.reader.List(ctx, &pods, of...)
	if err == nil {
		err = c.reader.List(ctx, &namespaces)
	}
	if err == nil {
		err = c.reader.List(ctx, &revisions, client.MatchingLabels{v1beta1.SidecarSetNameKey: found.Object().GetName()})
	}
	if err != nil {
		return kinds.Owned{}, err
	}
	labels := map[string]map[string]string{}
	for i := range namespaces.Items {
		labels[namespaces.Items[i].Name] = namespaces.Items[i].Labels
	}
	owned := kinds.Owned{NamespaceLabels: func(name string) map[string]string { return labels[name] }}
	owned.Sort(found.Object(), pointers(pods.Items), nil)
	for _, r := range pointers(revisions.Items) {
		if metav1.IsControlledBy(r, found.Object()) {
			owned.Revisions = append(owned.Revisions, r)
		}
	}
	return owned, nil
}

// Budgets reads the budgets that may be about the pods of a kind's objects in a namespace. Where the cluster does not know budgets,
// there are none.
func (c *Cluster) Budgets(ctx context.Context, kind *kinds.Kind, namespace string) ([]*policyv1beta1.PodUnavailableBudget, error) {
	if kind.Cluster {
		namespace = ""
	}
	var list policyv1beta1.PodUnavailableBudgetList
	if err := c.reader.List(ctx, &list, client.InNamespace(namespace)); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return pointers(list.Items), nil
}

// Budget reads a budget, and the pods of its namespace.
func (c *Cluster) Budget(ctx context.Context, namespace, name string) (*policyv1beta1.PodUnavailableBudget, []*corev1.Pod, error) {
	b := &policyv1beta1.PodUnavailableBudget{}
	if err := c.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, b); err != nil {
		return nil, nil, err
	}
	var pods corev1.PodList
	if err := c.reader.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return nil, nil, err
	}
	return b, pointers(pods.Items), nil
}

func pointers[T any](items []T) []*T {
	var out []*T
	for i := range items {
		out = append(out, &items[i])
	}
	return out
}

// Names are the names of the workloads of a kind in a namespace that begin with a prefix, in order.
func (c *Cluster) Names(ctx context.Context, kind *kinds.Kind, namespace, prefix string) ([]string, error) {
	list := kind.NewList()
	if kind.Cluster {
		namespace = ""
	}
	if err := c.reader.List(ctx, list, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var names []string
	err := meta.EachListItem(list, func(item runtime.Object) error {
		object, err := meta.Accessor(item)
		if err == nil && strings.HasPrefix(object.GetName(), prefix) {
			names = append(names, object.GetName())
		}
		return err
	})
	slices.Sort(names)
	return names, err
}
