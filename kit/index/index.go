// Package index is kit/store for informers of controller-runtime: it reads objects straight from their stores.
//
// It promises what kit/store does, and that a kind's informer is indexed once, whoever asks.
package index

import (
	"context"
	"fmt"

	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/store"
)

// Store reads the cached objects of one kind.
type Store[T client.Object] = store.Store[T]

// For returns the store of a kind's informer, which it starts if nobody has, and indexes it by controller.
func For[T client.Object](ctx context.Context, informers cache.Informers, kind T) (*Store[T], error) {
	informer, err := informers.GetInformer(ctx, kind, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("index %T: %w", kind, err)
	}
	shared, ok := informer.(toolscache.SharedIndexInformer)
	if !ok {
		return nil, fmt.Errorf("index %T: its informer %T has no index; restricted caches of several namespaces are not supported", kind, informer)
	}
	for name, read := range store.Indexers() {
		if _, exists := shared.GetIndexer().GetIndexers()[name]; exists {
			continue
		}
		if err := shared.AddIndexers(toolscache.Indexers{name: read}); err != nil {
			return nil, fmt.Errorf("index %T by %s: %w", kind, name, err)
		}
	}
	return Over[T](shared.GetIndexer()), nil
}

// Over makes a store over an indexer that has the index of Indexers, for tests without an informer.
func Over[T client.Object](indexer toolscache.Indexer) *Store[T] { return store.Over[T](indexer) }

// Indexers are the indexes that a store needs; every informer has the one by namespace.
func Indexers() toolscache.Indexers { return store.Indexers() }
