package cloneset

import (
	"context"
	"net/http"

	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
)

// defaulter fills in what the schema cannot: rollingUpdate, when the type is RollingUpdate. It adds an empty object,
// and the API server fills that one from the schema, so that every default value stands in one place.
//
// It is a handler and not a typed defaulter, because the patch of a typed one says everything in which the Go types
// write an object otherwise than the user did ("resources": {}, quantities in another unit). A template is never
// touched: it stays as its user wrote it.
type defaulter struct {
	decoder admission.Decoder
}

// Handle implements admission.Handler.
func (d *defaulter) Handle(_ context.Context, req admission.Request) admission.Response {
	set := &v1beta1.CloneSet{}
	if err := d.decoder.Decode(req, set); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	strategy := set.Spec.UpdateStrategy
	if strategy.Type != v1beta1.RollingUpdateCloneSetUpdateStrategyType || strategy.RollingUpdate != nil {
		return admission.Allowed("")
	}
	return admission.Patched("", jsonpatch.NewOperation("add", "/spec/updateStrategy/rollingUpdate", map[string]any{}))
}
