package podwebhook

import (
	"fmt"
	"strconv"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Owner is what controls pods, whatever the version of its kind.
type Owner struct {
	schema.GroupKind
	// Name is its name, or what its name begins with.
	Name string
	// Begins says that Name is what the name begins with.
	Begins bool
}

// Condition is the CEL expression that holds for a pod, object or oldObject, that the owner controls. It never fails.
func (o Owner) Condition(pod string) string {
	name, group := "o.name == "+strconv.Quote(o.Name), fmt.Sprintf("o.apiVersion.startsWith(%s)", strconv.Quote(o.Group+"/"))
	if o.Begins {
		name = fmt.Sprintf("o.name.startsWith(%s)", strconv.Quote(o.Name))
	}
	if o.Group == "" {
		group = `!o.apiVersion.contains("/")`
	}
	return fmt.Sprintf("has(%[1]s.metadata.ownerReferences) && %[1]s.metadata.ownerReferences.exists(o, has(o.controller) && o.controller && o.kind == %[2]s && %[3]s && %[4]s)",
		pod, strconv.Quote(o.Kind), name, group)
}
