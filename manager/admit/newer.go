package admit

import (
	"encoding/json"
	"fmt"
	"strings"

	"gomodules.xyz/jsonpatch/v2"
	admissionv1 "k8s.io/api/admission/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"
)

// KeepNewer keeps fields of the spec that came after a version when an object is written as that version without them: most
// of its clients read and write objects with types that lack these fields, and do not mean to remove anything. Nothing in a
// request tells them from one that does, who can write the newer version, or an empty value. The writer is told in a warning.
func KeepNewer(req *admission.Request, older schema.GroupVersion, fields []string) ([]jsonpatch.Operation, []string) {
	if req.Operation != admissionv1.Update || req.RequestKind == nil || req.RequestKind.Version != older.Version {
		return nil, nil
	}
	var old, set struct {
		Spec map[string]json.RawMessage `json:"spec"`
	}
	if json.Unmarshal(req.OldObject.Raw, &old) != nil || json.Unmarshal(req.Object.Raw, &set) != nil || set.Spec == nil {
		return nil, nil
	}
	var patches []jsonpatch.Operation
	var names []string
	for _, field := range fields {
		before, had := old.Spec[field]
		if _, has := set.Spec[field]; had && !has {
			patches = append(patches, jsonpatch.NewOperation("add", "/spec/"+field, before))
			names = append(names, "spec."+field)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	return patches, []string{fmt.Sprintf(
		"kept as before: %s. What is written as %s may come from a client that does not know what came with v1beta1; to remove it, write v1beta1, or an empty value",
		strings.Join(names, ", "), older)}
}
