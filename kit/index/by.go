package index

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Index finds objects by values that are read off them.
type Index[T client.Object] struct {
	// Name tells it from other indexes of the kind; whoever uses the same name means the same index.
	Name string
	// Values reads the values off an object.
	Values func(T) []string
}

// Func is the index as an indexer takes it.
func (i Index[T]) Func() toolscache.IndexFunc {
	return func(obj any) ([]string, error) {
		t, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("index by %s: got a %T", i.Name, obj)
		}
		return i.Values(t), nil
	}
}

// With is For, and adds more indexes.
func With[T client.Object](ctx context.Context, informers cache.Informers, kind T, more ...Index[T]) (*Store[T], error) {
	store, err := For(ctx, informers, kind)
	if err != nil {
		return nil, err
	}
	for _, i := range more {
		if _, exists := store.indexer.GetIndexers()[i.Name]; exists {
			continue
		}
		if err := store.indexer.AddIndexers(toolscache.Indexers{i.Name: i.Func()}); err != nil {
			return nil, fmt.Errorf("index %T by %s: %w", kind, i.Name, err)
		}
	}
	return store, nil
}

// By lists the objects off which an index reads a value, in no order.
func (s *Store[T]) By(index Index[T], value string) ([]T, error) {
	found, err := s.indexer.ByIndex(index.Name, value)
	if err != nil {
		return nil, fmt.Errorf("list by %s: %w", index.Name, err)
	}
	return typed[T](found), nil
}
