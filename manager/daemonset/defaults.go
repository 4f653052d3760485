package daemonset

import (
	"context"
	"encoding/json"

	"gomodules.xyz/jsonpatch/v2"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
)

// setDefaults fills in what the schema cannot, because it depends on other fields: rollingUpdate where the type is
// RollingUpdate, and there maxUnavailable and maxSurge, of which one is above 0. What else is missing in rollingUpdate, the API
// server fills from the schema.
//
// It is a handler and not a typed defaulter, because the patch of a typed one says everything in which the Go types
// write an object otherwise than the user did ("resources": {}, quantities in another unit). A template is never
// touched: it stays as its user wrote it.
func setDefaults(_ context.Context, req admission.Request) admission.Response {
	var set struct {
		Spec struct {
			UpdateStrategy struct {
				Type          v1beta1.DaemonSetUpdateStrategyType `json:"type"`
				RollingUpdate *map[string]json.RawMessage         `json:"rollingUpdate"`
			} `json:"updateStrategy"`
		} `json:"spec"`
	}
	if err := json.Unmarshal(req.Object.Raw, &set); err != nil {
		return admission.Allowed("") // the schema, which is asked next, says what is wrong in words that name the field
	}
	strategy := set.Spec.UpdateStrategy
	if strategy.Type != v1beta1.RollingUpdateDaemonSetStrategyType {
		return admission.Allowed("")
	}
	const path = "/spec/updateStrategy/rollingUpdate"
	const unavailable, surge = "maxUnavailable", "maxSurge"
	if strategy.RollingUpdate == nil {
		return admission.Patched("", jsonpatch.NewOperation("add", path, map[string]any{unavailable: 1, surge: 0}))
	}
	rolling := *strategy.RollingUpdate
	var patches []jsonpatch.Operation
	if _, given := rolling[unavailable]; !given {
		n := 0
		if isZero(rolling[surge]) {
			n = 1
		}
		patches = append(patches, jsonpatch.NewOperation("add", path+"/"+unavailable, n))
	}
	if _, given := rolling[surge]; !given {
		patches = append(patches, jsonpatch.NewOperation("add", path+"/"+surge, 0))
	}
	if len(patches) == 0 {
		return admission.Allowed("")
	}
	return admission.Patched("", patches...)
}

// isZero says whether a count is missing or 0.
func isZero(count json.RawMessage) bool {
	switch string(count) {
	case "", "null", "0", `"0%"`:
		return true
	}
	return false
}
