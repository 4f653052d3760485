// Package store reads objects straight from an informer's store, by owner, by namespace and by name, whatever runs the informer.
//
// What it returns is the cache's own memory: no copies are made, so listing ten thousand pods costs a slice of pointers.
// Nothing that is returned may be changed.
package store

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// byController is the name of the index from a controller's UID to the objects that it owns, and from a namespace to those
// in it that nobody owns.
const byController = "kruise/controller-uid"

// Store reads the cached objects of one kind.
type Store[T metav1.Object] struct{ indexer cache.Indexer }

// Over makes a store over an indexer that has the indexes of Indexers.
func Over[T metav1.Object](indexer cache.Indexer) *Store[T] { return &Store[T]{indexer} }

// Indexer is what the store reads from.
func (s *Store[T]) Indexer() cache.Indexer { return s.indexer }

// Indexers are the indexes that a store needs; every informer of controller-runtime has the one by namespace.
func Indexers() cache.Indexers {
	return cache.Indexers{byController: controllerUID, cache.NamespaceIndex: cache.MetaNamespaceIndexFunc}
}

func controllerUID(obj any) ([]string, error) {
	o, ok := obj.(metav1.Object)
	if !ok {
		return nil, fmt.Errorf("index by controller: %T has no metadata", obj)
	}
	if ref := metav1.GetControllerOfNoCopy(o); ref != nil {
		return []string{string(ref.UID)}, nil
	}
	return []string{nobodyIn(o.GetNamespace())}, nil
}

// nobodyIn stands in the index for the controller of the objects of a namespace that have none. No UID looks like it.
func nobodyIn(namespace string) string { return "/" + namespace }

// OwnedBy lists the objects whose controller has the UID, in no order.
func (s *Store[T]) OwnedBy(owner types.UID) ([]T, error) { return s.list(string(owner)) }

// Orphans lists the objects of a namespace that have no controller, in no order.
func (s *Store[T]) Orphans(namespace string) ([]T, error) { return s.list(nobodyIn(namespace)) }

func (s *Store[T]) list(controller string) ([]T, error) {
	found, err := s.indexer.ByIndex(byController, controller)
	if err != nil {
		return nil, fmt.Errorf("list by controller: %w", err)
	}
	return typed[T](found), nil
}

// All lists all objects, in no order.
func (s *Store[T]) All() []T { return typed[T](s.indexer.List()) }

// InNamespace lists the objects of a namespace, in no order.
func (s *Store[T]) InNamespace(namespace string) ([]T, error) {
	found, err := s.indexer.ByIndex(cache.NamespaceIndex, namespace)
	if err != nil {
		return nil, fmt.Errorf("list by namespace: %w", err)
	}
	return typed[T](found), nil
}

func typed[T metav1.Object](found []any) []T {
	out := make([]T, 0, len(found))
	for _, obj := range found {
		if t, ok := obj.(T); ok {
			out = append(out, t)
		}
	}
	return out
}

// Get finds an object by its name.
func (s *Store[T]) Get(key types.NamespacedName) (T, bool) {
	var none T
	obj, exists, err := s.indexer.GetByKey(cache.ObjectName(key).String())
	if err != nil || !exists {
		return none, false
	}
	t, ok := obj.(T)
	return t, ok
}

// Version is the resource version up to which the store has seen every change.
func (s *Store[T]) Version() string { return s.indexer.LastStoreSyncResourceVersion() }

// Lives says whether the store holds an object of this name and UID that is not being deleted.
func (s *Store[T]) Lives(key types.NamespacedName, uid types.UID) bool {
	obj, ok := s.Get(key)
	return ok && obj.GetUID() == uid && obj.GetDeletionTimestamp() == nil
}

// Key is the name by which a store knows an object.
func Key(obj metav1.Object) types.NamespacedName {
	return cache.MetaObjectToName(obj).AsNamespacedName()
}
