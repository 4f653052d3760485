// Package admit checks what workloads of several kinds have in common, for their webhooks.
//
// It promises errors that name the field, its value and the rule, for what the schema and the CEL rules of a CRD cannot
// see: pod templates and claim templates, which are opaque to them, and selectors.
package admit

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
)

// longestName bounds the name of a workload whose pods carry the name of their revision in a label: it is longer by a hyphen
// and a hash of up to ten characters.
const longestName = validation.LabelValueMaxLength - 11

// RevisionLabel checks that the pods of a new workload can carry the names of its revisions in a label. or says what else lets
// them, behind a comma; empty, when nothing does.
func RevisionLabel(name, or string) field.ErrorList {
	if len(name) <= longestName {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), name, fmt.Sprintf(
		"must be no more than %d characters%s: the names of revisions, which pods carry in a label, are longer by up to 11", longestName, or))}
}

// Selector checks that spec.selector of a kind can be understood and selects the pods of spec.template.
func Selector(kind string, selector *metav1.LabelSelector, template *corev1.PodTemplateSpec, spec *field.Path) field.ErrorList {
	errs := metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, spec.Child("selector"))
	if len(errs) > 0 {
		return errs
	}
	parsed, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return field.ErrorList{field.Invalid(spec.Child("selector"), selector, err.Error())}
	}
	if !parsed.Matches(labels.Set(template.Labels)) {
		return field.ErrorList{field.Invalid(spec.Child("template", "metadata", "labels"), template.Labels,
			fmt.Sprintf("must match spec.selector (%s), or the %s would not own its pods", parsed, kind))}
	}
	return nil
}

// Priorities checks the selectors of the weights of a priorityStrategy, whose operators the schema does not know.
func Priorities(strategy *v1beta1.UpdatePriorityStrategy, path *field.Path) field.ErrorList {
	if strategy == nil {
		return nil
	}
	var errs field.ErrorList
	for i := range strategy.WeightPriority {
		errs = append(errs, metav1validation.ValidateLabelSelector(&strategy.WeightPriority[i].MatchSelector,
			metav1validation.LabelSelectorValidationOptions{}, path.Child("weightPriority").Index(i).Child("matchSelector"))...)
	}
	return errs
}

// LastingPods checks that the pods of a template run until their workload, of a certain kind, replaces them.
func LastingPods(kind string, template *corev1.PodTemplateSpec, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	switch template.Spec.RestartPolicy {
	case "", corev1.RestartPolicyAlways:
	default:
		errs = append(errs, field.NotSupported(path.Child("spec", "restartPolicy"), template.Spec.RestartPolicy,
			[]corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if template.Spec.ActiveDeadlineSeconds != nil {
		errs = append(errs, field.Forbidden(path.Child("spec", "activeDeadlineSeconds"), fmt.Sprintf("the pods of a %s run until they are replaced", kind)))
	}
	return errs
}

// InPlaceOnly checks that a changed template can reach pods that may only be changed in place.
func InPlaceOnly(old, template *corev1.PodTemplateSpec, options inplace.Options, path *field.Path) field.ErrorList {
	change, err := inplace.Compare(old, template, options)
	if err != nil {
		return field.ErrorList{field.InternalError(path, err)}
	}
	if change.Possible() {
		return nil
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf(
		"the update is InPlaceOnly, and this cannot be changed in place: %s; only %s can", change.Blocked, options))}
}

// Claims checks claim templates as far as pods depend on it. They are not tried out on the API server, as pod templates
// are: creating a claim, even dry, runs through quotas and defaults that are of no concern here.
func Claims(claims []corev1.PersistentVolumeClaim, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	seen := map[string]bool{}
	for i := range claims {
		claim, path := &claims[i], path.Index(i)
		name := path.Child("metadata", "name")
		switch problems := validation.IsDNS1123Label(claim.Name); {
		case claim.Name == "":
			errs = append(errs, field.Required(name, "a pod mounts the claim by this name"))
		case len(problems) > 0:
			errs = append(errs, field.Invalid(name, claim.Name, problems[0]))
		case seen[claim.Name]:
			errs = append(errs, field.Duplicate(name, claim.Name))
		}
		seen[claim.Name] = true
		if len(claim.Spec.AccessModes) == 0 {
			errs = append(errs, field.Required(path.Child("spec", "accessModes"), "at least one access mode is needed"))
		}
		storage := path.Child("spec", "resources", "requests").Key(string(corev1.ResourceStorage))
		if request, ok := claim.Spec.Resources.Requests[corev1.ResourceStorage]; !ok {
			errs = append(errs, field.Required(storage, "a claim says how much storage it wants"))
		} else if request.Sign() <= 0 {
			errs = append(errs, field.Invalid(storage, request.String(), "must be greater than zero"))
		}
	}
	return errs
}
