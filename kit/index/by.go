package index

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/store"
)

// Index finds objects by values that are read off them.
type Index[T client.Object] = store.Index[T]

// With is For, and adds more indexes.
func With[T client.Object](ctx context.Context, informers cache.Informers, kind T, more ...Index[T]) (*Store[T], error) {
	store, err := For(ctx, informers, kind)
	if err != nil {
		return nil, err
	}
	for _, i := range more {
		if _, exists := store.Indexer().GetIndexers()[i.Name]; exists {
			continue
		}
		if err := store.Indexer().AddIndexers(toolscache.Indexers{i.Name: i.Func()}); err != nil {
			return nil, fmt.Errorf("index %T by %s: %w", kind, i.Name, err)
		}
	}
	return store, nil
}
