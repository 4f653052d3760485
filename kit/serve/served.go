package serve

import (
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
)

// ErrStartAnew is what a Runnable of a component returns where the process is to be started anew. Run then ends as if it were
// told to, and kubelet starts the container again.
var ErrStartAnew = errors.New("the process must be started anew")

// IsServed says whether the API server serves a kind.
func IsServed(mgr ctrl.Manager, kind schema.GroupVersionKind) (bool, error) {
	_, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("asking the API server for %s: %w", kind, err)
	}
	return true, nil
}
