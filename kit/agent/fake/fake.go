// Package fake stands in for the API server and the caches of an agent in tests.
//
// It promises that a cache shows every write at once, and that what the API server does is what the fake client of
// controller-runtime does.
package fake

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/turn"
)

// API is an agent's API over a client.
type API struct{ Client client.Client }

// Get implements agent.API.
func (a API) Get(ctx context.Context, key types.NamespacedName, obj turn.Object) error {
	return a.Client.Get(ctx, key, obj)
}

// PatchStatus implements agent.API.
func (a API) PatchStatus(ctx context.Context, obj turn.Object, kind types.PatchType, body []byte) error {
	return a.Client.Status().Patch(ctx, obj, client.RawPatch(kind, body))
}

// Cache is an agent's cache that is never behind a client.
type Cache[T turn.Object] struct {
	Context context.Context //nolint:containedctx // a cache answers without one
	Client  client.Client
	// New makes an empty object, List an empty list.
	New  func() T
	List func() client.ObjectList
}

// Version implements seen.Cache.
func (Cache[T]) Version() string { return "999999999" }

// Lives implements seen.Cache.
func (Cache[T]) Lives(types.NamespacedName, types.UID) bool { return false }

// Get implements agent.Cache.
func (c Cache[T]) Get(key types.NamespacedName) (T, bool) {
	obj := c.New()
	return obj, c.Client.Get(context.WithoutCancel(c.Context), key, obj) == nil
}

// InNamespace implements agent.Cache.
func (c Cache[T]) InNamespace(namespace string) ([]T, error) {
	list := c.List()
	if err := c.Client.List(context.WithoutCancel(c.Context), list, client.InNamespace(namespace)); err != nil {
		return nil, fmt.Errorf("list %T: %w", list, err)
	}
	found, err := meta.ExtractList(list)
	if err != nil {
		return nil, fmt.Errorf("list %T: %w", list, err)
	}
	var out []T
	for _, obj := range found {
		if t, ok := obj.(T); ok {
			out = append(out, t)
		}
	}
	return out, nil
}
