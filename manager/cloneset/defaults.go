package cloneset

import (
	"context"
	"encoding/json"

	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
)

// setDefaults fills in what the schema cannot: rollingUpdate, when the type is RollingUpdate. It adds an empty object,
// and the API server fills that one from the schema, so that every default value stands in one place.
//
// It is a handler and not a typed defaulter, because the patch of a typed one says everything in which the Go types
// write an object otherwise than the user did ("resources": {}, quantities in another unit). A template is never
// touched: it stays as its user wrote it.
func setDefaults(_ context.Context, req admission.Request) admission.Response {
	var set struct {
		Spec struct {
			UpdateStrategy struct {
				Type          v1beta1.CloneSetUpdateStrategyType `json:"type"`
				RollingUpdate *json.RawMessage                   `json:"rollingUpdate"`
			} `json:"updateStrategy"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(req.Object.Raw, &set); err != nil {
		return admission.Allowed("") // the schema, which is asked next, says what is wrong in words that name the field
	}
	strategy := set.Spec.UpdateStrategy
	if strategy.Type != v1beta1.RollingUpdateCloneSetUpdateStrategyType || strategy.RollingUpdate != nil {
		return admission.Allowed("")
	}
	return admission.Patched("", jsonpatch.NewOperation("add", "/spec/updateStrategy/rollingUpdate", map[string]any{}))
}
