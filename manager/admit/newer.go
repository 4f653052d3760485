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
//
// A field that stands in others is named with dots, and is kept where those are still there: who removes a field that it knows
// means all that is in it.
func KeepNewer(req *admission.Request, older schema.GroupVersion, fields []string) ([]jsonpatch.Operation, []string) {
	if req.Operation != admissionv1.Update || req.RequestKind == nil || req.RequestKind.Version != older.Version {
		return nil, nil
	}
	var patches []jsonpatch.Operation
	var names []string
	for _, field := range fields {
		path := append([]string{"spec"}, strings.Split(field, ".")...)
		if before := lost(req.OldObject.Raw, req.Object.Raw, path); before != nil {
			patches = append(patches, jsonpatch.NewOperation("add", "/"+strings.Join(path, "/"), before))
			names = append(names, strings.Join(path, "."))
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	return patches, []string{fmt.Sprintf(
		"kept as before: %s. What is written as %s may come from a client that does not know what came with v1beta1; to remove it, write v1beta1, or an empty value",
		strings.Join(names, ", "), older)}
}

// lost is the value of a field that an object had and has no longer, though it has all that the field stood in; nil for none.
func lost(old, set json.RawMessage, path []string) json.RawMessage {
	var before, after map[string]json.RawMessage
	if json.Unmarshal(old, &before) != nil || json.Unmarshal(set, &after) != nil || after == nil {
		return nil
	}
	was, had := before[path[0]]
	is, has := after[path[0]]
	switch {
	case had && has && len(path) > 1:
		return lost(was, is, path[1:])
	case had && !has && len(path) == 1:
		return was
	default:
		return nil
	}
}
