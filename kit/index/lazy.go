package index

import (
	"context"
	"fmt"
	"sync"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Lazy is a store of a kind that is seldom needed: its informer starts when it is first asked for.
type Lazy[T client.Object] struct {
	// Informers start the informer.
	Informers cache.Informers
	// Kind is an empty object of the kind.
	Kind T

	mu    sync.Mutex
	store *Store[T]
}

// Store returns the store, once its informer has seen every object. An attempt that fails is made again at the next call.
func (l *Lazy[T]) Store(ctx context.Context) (*Store[T], error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store != nil {
		return l.store, nil
	}
	store, err := For(ctx, l.Informers, l.Kind)
	if err != nil {
		return nil, err
	}
	if _, err := l.Informers.GetInformer(ctx, l.Kind, cache.BlockUntilSynced(true)); err != nil {
		return nil, fmt.Errorf("wait for the informer of %T: %w", l.Kind, err)
	}
	l.store = store
	return store, nil
}
