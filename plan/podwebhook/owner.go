package podwebhook

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Owner is what controls pods, whatever the version of its kind.
type Owner struct {
	schema.GroupKind
	// Name is its name.
	Name string
	// Hash is a label of the pod whose value ends the owner's name, behind a dash; neither is part of Name then. Empty: Name is
	// the whole name.
	Hash string
}

// references are the owners of a pod.
func references(o Operation) string { return metadata(o) + ".ownerReferences" }

// is lists what an owner's reference, o, must be besides its name.
func (w Owner) is(o Operation) []string {
	group := "o.apiVersion.startsWith(" + strconv.Quote(w.Group+"/") + ")"
	if w.Group == "" {
		group = `!o.apiVersion.contains("/")`
	}
	out := []string{"has(o.controller) && o.controller", "o.kind == " + strconv.Quote(w.Kind), group}
	if w.Hash != "" {
		out = append(out, fmt.Sprintf(`o.name.endsWith("-" + %s)`, label(o, w.Hash)))
	}
	return out
}

// named is the name in an owner's reference, o.
func (w Owner) named(o Operation) string {
	if w.Hash == "" {
		return "o.name"
	}
	return fmt.Sprintf("o.name.substring(0, size(o.name) - size(%s) - 1)", label(o, w.Hash))
}
