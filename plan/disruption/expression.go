package disruption

import (
	"fmt"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/podwebhook"
)

// OwnerOf is what controls the pods of the workload that a budget names; nil where it selects pods by their labels.
func OwnerOf(b *v1beta1.PodUnavailableBudget) *podwebhook.Owner {
	target, named := Target(b)
	if !named {
		return nil
	}
	owner := &podwebhook.Owner{GroupKind: schema.GroupKind{Group: target.Group, Kind: target.Kind}, Name: target.Name}
	if target.Group == "apps" && target.Kind == "Deployment" {
		owner.Kind, owner.Hash = "ReplicaSet", appsv1.DefaultDeploymentUniqueLabelKey
	}
	return owner
}

// RemembersAny is the condition that a pod, oldObject, was tied to a budget.
func RemembersAny() admissionregistrationv1.MatchCondition {
	return admissionregistrationv1.MatchCondition{
		Name: "was-tied-to-a-budget",
		Expression: fmt.Sprintf("has(oldObject.metadata.annotations) && (%q in oldObject.metadata.annotations || %q in oldObject.metadata.annotations)",
			v1beta1.PodRelatedPubKey, v1beta1.PodRelatedPubKeyOld),
	}
}
