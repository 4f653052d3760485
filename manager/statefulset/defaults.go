package statefulset

import (
	"context"
	"encoding/json"

	"gomodules.xyz/jsonpatch/v2"
	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/manager/admit"
)

// The fields of the spec that are filled in or kept.
const (
	fieldRetention    = "persistentVolumeClaimRetentionPolicy"
	fieldClaimUpdates = "volumeClaimUpdateStrategy"
)

// newerFields are the fields of the spec that clients of v1alpha1 may not know: they came with v1beta1, or with us.
func newerFields() []string {
	const inPlace = "updateStrategy.rollingUpdate.inPlaceUpdateStrategy."
	return []string{
		"lifecycle", "minReadySeconds", "ordinals", fieldRetention, "reserveOrdinals", "scaleStrategy", fieldClaimUpdates,
		inPlace + "imagePreDownloadMinUpdatedReadyPods", inPlace + "imagePreDownloadParallelism", inPlace + "imagePreDownloadTimeoutSeconds",
	}
}

// request is an object as far as its defaults go. Everything in it is optional, and of the wrong shape perhaps.
type request struct {
	Spec map[string]json.RawMessage `json:"spec"`
}

// setDefaults fills in what the schema cannot, because it depends on other fields or on feature gates, and keeps what a
// client of v1alpha1 did not know. It adds empty objects, and the API server fills those from the schema, so that every
// default value stands in one place.
//
// It is a handler and not a typed defaulter, because the patch of a typed one says everything in which the Go types
// write an object otherwise than the user did ("resources": {}, quantities in another unit). A template is never
// touched: it stays as its user wrote it.
func (o Options) setDefaults(_ context.Context, req admission.Request) admission.Response {
	var set request
	if err := json.Unmarshal(req.Object.Raw, &set); err != nil || set.Spec == nil {
		return admission.Allowed("") // the schema, which is asked next, says what is wrong in words that name the field
	}
	patches, warnings := admit.KeepNewer(&req, v1alpha1.GroupVersion, newerFields())
	kept := map[string]bool{}
	for _, p := range patches {
		kept[p.Path] = true
	}
	fill := func(field string, on bool) {
		path := "/spec/" + field
		if _, set := set.Spec[field]; on && !set && !kept[path] {
			patches = append(patches, jsonpatch.NewOperation("add", path, map[string]any{}))
		}
	}
	fill(fieldRetention, o.AutoDeleteClaims)
	fill(fieldClaimUpdates, o.ResizeClaims)
	if lacksRollingUpdate(set.Spec["updateStrategy"]) {
		patches = append(patches, jsonpatch.NewOperation("add", "/spec/updateStrategy/rollingUpdate", map[string]any{}))
	}
	if len(patches) == 0 {
		return admission.Allowed("")
	}
	return admission.Patched("", patches...).WithWarnings(warnings...)
}

func lacksRollingUpdate(raw json.RawMessage) bool {
	var strategy struct {
		Type          appsv1.StatefulSetUpdateStrategyType `json:"type"`
		RollingUpdate *json.RawMessage                     `json:"rollingUpdate"`
	}
	err := json.Unmarshal(raw, &strategy)
	return err == nil && strategy.Type == appsv1.RollingUpdateStatefulSetStrategyType && strategy.RollingUpdate == nil
}
