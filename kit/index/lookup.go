package index

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Lookup finds the cached objects of one kind by words that follow from them, such as the node of a pod.
type Lookup[T client.Object] struct {
	store *Store[T]
	index Index[T]
}

// By indexes a kind's informer, which it starts if nobody has, by the words that follow from an object. Lookups of one name
// are one.
func By[T client.Object](ctx context.Context, informers cache.Informers, kind T, name string, words func(T) []string) (*Lookup[T], error) {
	index := Index[T]{Name: name, Values: words}
	store, err := With(ctx, informers, kind, index)
	if err != nil {
		return nil, err
	}
	return &Lookup[T]{store, index}, nil
}

// Of lists the objects that a word follows from, in no order.
func (l *Lookup[T]) Of(word string) ([]T, error) { return l.store.By(l.index, word) }
