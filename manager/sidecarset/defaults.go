package sidecarset

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/utils/clock"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/sidecar"
)

// defaulting fills in what the schema cannot: where containers stand, which is another place for init containers; the hashes
// of the sidecars; and since when the set selects other pods than before.
//
// It is a handler and not a typed defaulter, because the patch of a typed one says everything in which the Go types
// write an object otherwise than the user did ("resources": {}, quantities in another unit).
type defaulting struct{ clock clock.PassiveClock }

// Handle implements admission.Handler.
func (d *defaulting) Handle(_ context.Context, req admission.Request) admission.Response {
	set := &v1beta1.SidecarSet{}
	if err := json.Unmarshal(req.Object.Raw, set); err != nil {
		return admission.Allowed("") // the schema, which is asked next, says what is wrong in words that name the field
	}
	var old *v1beta1.SidecarSet
	if req.Operation == admissionv1.Update {
		old = &v1beta1.SidecarSet{}
		if err := json.Unmarshal(req.OldObject.Raw, old); err != nil {
			return admission.Errored(http.StatusBadRequest, fmt.Errorf("reading the SidecarSet as it was: %w", err))
		}
	}
	var patches []jsonpatch.Operation
	for list, place := range map[string]v1beta1.PodInjectPolicyType{"containers": v1beta1.BeforeAppContainerType, "initContainers": v1beta1.AfterAppContainerType} {
		containers := set.Spec.Containers
		if list == "initContainers" {
			containers = set.Spec.InitContainers
		}
		for i := range containers {
			if containers[i].PodInjectPolicy == "" {
				patches = append(patches, jsonpatch.NewOperation("add", fmt.Sprintf("/spec/%s/%d/podInjectPolicy", list, i), place))
			}
		}
	}
	had := maps.Clone(set.Annotations)
	if err := sidecar.Stamp(set, old); err != nil {
		return admission.Errored(http.StatusBadRequest, err)
	}
	sidecar.StampSince(set, old, metav1.NewTime(d.clock.Now()))
	patches = append(patches, annotated(had, set.Annotations)...)
	slices.SortFunc(patches, func(a, b jsonpatch.Operation) int { return strings.Compare(a.Path, b.Path) })
	if len(patches) == 0 {
		return admission.Allowed("")
	}
	return admission.Patched("", patches...)
}

// annotated are the operations that make annotations what they are wanted to be; none is taken away.
func annotated(had, want map[string]string) []jsonpatch.Operation {
	if had == nil {
		return []jsonpatch.Operation{jsonpatch.NewOperation("add", "/metadata/annotations", want)}
	}
	var out []jsonpatch.Operation
	for key, value := range want {
		if is, ok := had[key]; !ok || is != value {
			out = append(out, jsonpatch.NewOperation("add", "/metadata/annotations/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(key), value))
		}
	}
	return out
}
