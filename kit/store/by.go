package store

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
)

// Index finds objects by values that are read off them.
type Index[T metav1.Object] struct {
	// Name tells it from other indexes of the kind; whoever uses the same name means the same index.
	Name string
	// Values reads the values off an object.
	Values func(T) []string
}

// Func is the index as an indexer takes it.
func (i Index[T]) Func() cache.IndexFunc {
	return func(obj any) ([]string, error) {
		t, ok := obj.(T)
		if !ok {
			return nil, fmt.Errorf("index by %s: got a %T", i.Name, obj)
		}
		return i.Values(t), nil
	}
}

// By lists the objects off which an index reads a value, in no order.
func (s *Store[T]) By(index Index[T], value string) ([]T, error) {
	found, err := s.indexer.ByIndex(index.Name, value)
	if err != nil {
		return nil, fmt.Errorf("list by %s: %w", index.Name, err)
	}
	return typed[T](found), nil
}
