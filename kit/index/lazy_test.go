package index

import (
	"context"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// informers has one informer, which has seen every object once listed is closed.
type informers struct {
	cache.Informers
	informer toolscache.SharedIndexInformer
	listed   chan struct{}
}

func (i *informers) GetInformer(ctx context.Context, _ client.Object, opts ...cache.InformerGetOption) (cache.Informer, error) {
	var o cache.InformerGetOptions
	for _, opt := range opts {
		opt(&o)
	}
	if o.BlockUntilSynced == nil || *o.BlockUntilSynced {
		select {
		case <-i.listed:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return i.informer, nil
}

func TestAKindThatCannotBeListedHoldsNobodyUpForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		i := &informers{informer: toolscache.NewSharedIndexInformer(nil, &corev1.Node{}, 0, toolscache.Indexers{}), listed: make(chan struct{})}
		nodes := &Lazy[*corev1.Node]{Informers: i, Kind: &corev1.Node{}}
		failed := make(chan error)
		const callers = 3
		for range callers {
			go func() {
				_, err := nodes.Store(t.Context())
				failed <- err
			}()
		}
		for range callers { // side by side: on the clock of the test they give up at the same time
			if err := <-failed; err == nil {
				t.Error("a store was returned that knows no objects yet")
			}
		}
		close(i.listed)
		if store, err := nodes.Store(t.Context()); err != nil || store == nil {
			t.Errorf("once the kind is listed: %v", err)
		}
	})
}
