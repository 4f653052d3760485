package disruption

import (
	"fmt"
	"strconv"

	"kruise.io/kruise/api/policy/v1beta1"
)

// OwnedBy is the CEL expression that holds for a pod, object, that may be one of the workload that a budget names.
func OwnedBy(b *v1beta1.PodUnavailableBudget) string { return ownedBy("object", b) }

// WasOwnedBy is OwnedBy for the pod before a change, oldObject.
func WasOwnedBy(b *v1beta1.PodUnavailableBudget) string { return ownedBy("oldObject", b) }

func ownedBy(object string, b *v1beta1.PodUnavailableBudget) string {
	target, _ := Target(b)
	test := fmt.Sprintf("o.kind == %s && o.name == %s", strconv.Quote(target.Kind), strconv.Quote(target.Name))
	if target.Group == "apps" && target.Kind == "Deployment" {
		test = fmt.Sprintf(`o.kind == "ReplicaSet" && o.name.startsWith(%s)`, strconv.Quote(target.Name+"-"))
	}
	return fmt.Sprintf("has(%[1]s.metadata.ownerReferences) && %[1]s.metadata.ownerReferences.exists(o, %[2]s)", object, test)
}

// RemembersAny is the CEL expression that holds for a pod, oldObject, that was tied to a budget.
func RemembersAny() string {
	return fmt.Sprintf("has(oldObject.metadata.annotations) && (%q in oldObject.metadata.annotations || %q in oldObject.metadata.annotations)",
		v1beta1.PodRelatedPubKey, v1beta1.PodRelatedPubKeyOld)
}
