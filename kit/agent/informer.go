package agent

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"kruise.io/kruise/kit/seen"
	"kruise.io/kruise/kit/store"
	"kruise.io/kruise/kit/turn"
)

// Cache is what is known of the objects of a kind. A store is one. What it returns must not be changed.
type Cache[T turn.Object] interface {
	seen.Cache
	// Get finds an object by its name.
	Get(key types.NamespacedName) (T, bool)
	// InNamespace lists the objects of a namespace, in no order.
	InNamespace(namespace string) ([]T, error)
}

// Selection says which objects of a kind a program needs to know, and what of them.
type Selection[T turn.Object] struct {
	// Label and Field select them; nil selects all.
	Label labels.Selector
	Field fields.Selector
	// Trim returns what is kept of an object, which it may change; nil keeps all. Managed fields are never kept.
	Trim func(T) T
}

// Informer knows the objects of a kind that were selected.
type Informer[T turn.Object] struct {
	*store.Store[T]
	informer cache.SharedIndexInformer
}

// Watch adds an informer to what a runner runs.
func Watch[T turn.Object](ctx context.Context, r *Runner, kind T, only Selection[T]) (*Informer[T], error) {
	at, err := r.API.endpoint(ctx, kind)
	if err != nil {
		return nil, err
	}
	lists := cache.NewFilteredListWatchFromClient(at.rest, at.resource, metav1.NamespaceAll, func(o *metav1.ListOptions) {
		if only.Label != nil {
			o.LabelSelector = only.Label.String()
		}
		if only.Field != nil {
			o.FieldSelector = only.Field.String()
		}
	})
	informer := cache.NewSharedIndexInformer(lists, kind, 0, store.Indexers())
	err = informer.SetTransform(func(obj any) (any, error) {
		if o, err := meta.Accessor(obj); err == nil {
			o.SetManagedFields(nil)
		}
		if t, ok := obj.(T); ok && only.Trim != nil {
			return only.Trim(t), nil
		}
		return obj, nil
	})
	if err != nil {
		return nil, fmt.Errorf("watch %T: %w", kind, err)
	}
	r.informers = append(r.informers, informer)
	return &Informer[T]{store.Over[T](informer.GetIndexer()), informer}, nil
}

// HasSynced says whether all objects have been seen.
func (i *Informer[T]) HasSynced() bool { return i.informer.HasSynced() }

// Handle has a function called for each change of an object, with what it was and is: the zero value is none.
func (i *Informer[T]) Handle(changed func(before, after T)) error {
	var none T
	_, err := i.informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) {
			if t, ok := obj.(T); ok {
				changed(none, t)
			}
		},
		UpdateFunc: func(before, after any) {
			b, ok := before.(T)
			a, also := after.(T)
			if ok && also {
				changed(b, a)
			}
		},
		DeleteFunc: func(obj any) {
			if lost, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = lost.Obj
			}
			if t, ok := obj.(T); ok {
				changed(t, none)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch %T: %w", none, err)
	}
	return nil
}

// Turn is the API of the turns of a kind: it reads from a cache and writes to the API server.
type Turn[T turn.Object] struct {
	Kind  string
	Cache Cache[T]
	API   API
}

// Get implements turn.API.
func (t Turn[T]) Get(_ context.Context, key types.NamespacedName) (T, error) {
	obj, ok := t.Cache.Get(key)
	if !ok {
		return obj, apierrors.NewNotFound(schema.GroupResource{Resource: t.Kind}, key.String())
	}
	return obj, nil
}

// PatchStatus implements turn.API.
func (t Turn[T]) PatchStatus(ctx context.Context, obj T, body []byte) error {
	return t.API.PatchStatus(ctx, obj, types.MergePatchType, body)
}
