package serve

import (
	"fmt"
	"net/http"
	"sync"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// mapper remembers the resource of a kind. Every event of an owned object and every write of an object's metadata asks
// for one, and controller-runtime's mapper searches all groups each time. What was found stays true: neither the resource
// nor the scope of a kind that is served can change.
type mapper struct {
	meta.RESTMapper
	known sync.Map // a *meta.RESTMapping for each schema.GroupVersionKind
}

// newMapper makes a mapper for a manager.
func newMapper(config *rest.Config, client *http.Client) (meta.RESTMapper, error) {
	dynamic, err := apiutil.NewDynamicRESTMapper(config, client)
	if err != nil {
		return nil, fmt.Errorf("asking the API server for its resources: %w", err)
	}
	return &mapper{RESTMapper: dynamic}, nil
}

// RESTMapping implements meta.RESTMapper. A question for any of several versions is passed on, since its answer depends
// on what is served.
func (m *mapper) RESTMapping(kind schema.GroupKind, versions ...string) (*meta.RESTMapping, error) {
	if len(versions) != 1 {
		return m.RESTMapper.RESTMapping(kind, versions...)
	}
	key := kind.WithVersion(versions[0])
	if found, ok := m.known.Load(key); ok {
		if mapping, ok := found.(*meta.RESTMapping); ok {
			return mapping, nil
		}
	}
	mapping, err := m.RESTMapper.RESTMapping(kind, versions...)
	if err != nil {
		return nil, err
	}
	m.known.Store(key, mapping)
	return mapping, nil
}
