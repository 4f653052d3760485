package index

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Lookup finds the cached objects of one kind by words that follow from them, such as the node of a pod.
type Lookup[T client.Object] struct {
	indexer toolscache.Indexer
	name    string
}

// By indexes a kind's informer, which it starts if nobody has, by the words that follow from an object. Lookups of one name
// are one.
func By[T client.Object](ctx context.Context, informers cache.Informers, kind T, name string, words func(T) []string) (*Lookup[T], error) {
	store, err := For(ctx, informers, kind)
	if err != nil {
		return nil, err
	}
	if _, exists := store.indexer.GetIndexers()[name]; !exists {
		if err := store.indexer.AddIndexers(toolscache.Indexers{name: wordsOf(words)}); err != nil {
			return nil, fmt.Errorf("index %T by %s: %w", kind, name, err)
		}
	}
	return &Lookup[T]{store.indexer, name}, nil
}

func wordsOf[T client.Object](words func(T) []string) toolscache.IndexFunc {
	return func(obj any) ([]string, error) {
		t, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("index: %T is not of the kind", obj)
		}
		return words(t), nil
	}
}

// Of lists the objects that a word follows from, in no order.
func (l *Lookup[T]) Of(word string) ([]T, error) {
	found, err := l.indexer.ByIndex(l.name, word)
	if err != nil {
		return nil, fmt.Errorf("list by %s: %w", l.name, err)
	}
	return typed[T](found), nil
}
