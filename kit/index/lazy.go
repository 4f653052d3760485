package index

import (
	"context"
	"fmt"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// syncTimeout bounds how long one call waits for an informer to have seen every object, so that a kind that cannot be listed
// does not hold up for good whoever asks for it.
const syncTimeout = 10 * time.Second

// Lazy is a store of a kind that is seldom needed: its informer starts when it is first asked for.
type Lazy[T client.Object] struct {
	// Informers start the informer.
	Informers cache.Informers
	// Kind is an empty object of the kind.
	Kind T

	mu     sync.Mutex
	store  *Store[T]
	synced bool
}

// Store returns the store, once its informer has seen every object. It waits for that for ten seconds at most and fails then,
// as it does when the informer cannot be started; the next call tries again. Others may call it meanwhile.
func (l *Lazy[T]) Store(ctx context.Context) (*Store[T], error) {
	store, synced, err := l.start(ctx)
	if err != nil || synced {
		return store, err
	}
	ctx, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	if _, err := l.Informers.GetInformer(ctx, l.Kind, cache.BlockUntilSynced(true)); err != nil {
		return nil, fmt.Errorf("wait for the informer of %T: %w", l.Kind, err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.synced = true
	return store, nil
}

// start starts the informer if nobody has, and says whether it has seen every object.
func (l *Lazy[T]) start(ctx context.Context) (*Store[T], bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	if l.store == nil {
		l.store, err = For(ctx, l.Informers, l.Kind)
	}
	return l.store, l.synced, err
}
