package disruption

import (
	"fmt"

	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/podwebhook"
)

// OwnerOf is what controls the pods of the workload that a budget names.
func OwnerOf(b *v1beta1.PodUnavailableBudget) podwebhook.Owner {
	target, _ := Target(b)
	if target.Group == "apps" && target.Kind == "Deployment" {
		return podwebhook.Owner{GroupKind: schema.GroupKind{Group: target.Group, Kind: "ReplicaSet"}, Name: target.Name + "-", Begins: true}
	}
	return podwebhook.Owner{GroupKind: schema.GroupKind{Group: target.Group, Kind: target.Kind}, Name: target.Name}
}

// RemembersAny is the CEL expression that holds for a pod, oldObject, that was tied to a budget.
func RemembersAny() string {
	return fmt.Sprintf("has(oldObject.metadata.annotations) && (%q in oldObject.metadata.annotations || %q in oldObject.metadata.annotations)",
		v1beta1.PodRelatedPubKey, v1beta1.PodRelatedPubKeyOld)
}
