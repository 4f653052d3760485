package forecast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Change is what a user thinks of changing in the spec of a CloneSet. What is nil or empty stays.
type Change struct {
	// Images are entries of the form container=image.
	Images []string
	// Replicas is the number of pods.
	Replicas *int32
	// Partition, MaxUnavailable and MaxSurge are integers or percentages.
	Partition, MaxUnavailable, MaxSurge string
	// Policy is a podUpdatePolicy.
	Policy string
	// Paused pauses or resumes.
	Paused *bool
}

// Apply changes the spec of a CloneSet. The error names each field, its value and the rule that it breaks; they are the
// rules of the API.
func (c Change) Apply(set *v1beta1.CloneSet) error {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if c.Replicas != nil {
		if *c.Replicas < 0 {
			errs = append(errs, field.Invalid(spec.Child("replicas"), *c.Replicas, "must not be negative"))
		}
		set.Spec.Replicas = c.Replicas
	}
	for _, image := range c.Images {
		errs = append(errs, setImage(&set.Spec.Template.Spec, image, spec.Child("template", "spec"))...)
	}
	errs = append(errs, c.applyRolling(set, spec.Child("updateStrategy"))...)
	return errs.ToAggregate()
}

func setImage(pod *corev1.PodSpec, text string, path *field.Path) field.ErrorList {
	name, image, ok := strings.Cut(text, "=")
	if !ok || name == "" || image == "" {
		return field.ErrorList{field.Invalid(path.Child("containers"), text, "--set-image takes CONTAINER=IMAGE")}
	}
	var names []string
	for _, containers := range [][]corev1.Container{pod.Containers, pod.InitContainers} {
		for i := range containers {
			if containers[i].Name == name {
				containers[i].Image = image
				return nil
			}
			names = append(names, containers[i].Name)
		}
	}
	return field.ErrorList{field.NotSupported(path.Child("containers").Key(name), name, names)}
}

func (c Change) applyRolling(set *v1beta1.CloneSet, path *field.Path) field.ErrorList {
	strategy := &set.Spec.UpdateStrategy
	if c.Partition == "" && c.MaxUnavailable == "" && c.MaxSurge == "" && c.Policy == "" && c.Paused == nil {
		return nil
	}
	if strategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType {
		return field.ErrorList{field.Invalid(path.Child("type"), strategy.Type, "pods are not updated by it: partition, maxUnavailable, maxSurge, podUpdatePolicy and paused have no effect")}
	}
	if strategy.RollingUpdate == nil {
		strategy.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{}
	}
	rolling, path := strategy.RollingUpdate, path.Child("rollingUpdate")
	var errs field.ErrorList
	for _, number := range []struct {
		name, text string
		into       **intstr.IntOrString
		fractions  bool
	}{
		{"partition", c.Partition, &rolling.Partition, true},
		{"maxUnavailable", c.MaxUnavailable, &rolling.MaxUnavailable, false},
		{"maxSurge", c.MaxSurge, &rolling.MaxSurge, false},
	} {
		if number.text == "" {
			continue
		}
		if !isCount(number.text, number.fractions) {
			errs = append(errs, field.Invalid(path.Child(number.name), number.text, `must be an integer of 0 or more, or a percentage from "0%" to "100%"`))
			continue
		}
		value := intstr.Parse(number.text)
		*number.into = &value
	}
	if c.Policy != "" {
		known := []v1beta1.PodUpdatePolicyType{
			v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType,
		}
		rolling.PodUpdatePolicy = v1beta1.PodUpdatePolicyType(c.Policy)
		if !slices.Contains(known, rolling.PodUpdatePolicy) {
			errs = append(errs, field.NotSupported(path.Child("podUpdatePolicy"), rolling.PodUpdatePolicy, known))
		}
	}
	if c.Paused != nil {
		rolling.Paused = *c.Paused
	}
	return append(errs, together(set, path)...)
}

// together checks what several fields must keep together.
func together(set *v1beta1.CloneSet, path *field.Path) field.ErrorList {
	rolling := set.Spec.UpdateStrategy.RollingUpdate
	var errs field.ErrorList
	if isZero(rolling.MaxUnavailable) && (rolling.MaxSurge == nil || isZero(rolling.MaxSurge)) &&
		(set.Spec.Replicas == nil || *set.Spec.Replicas != 0) {
		errs = append(errs, field.Invalid(path.Child("maxUnavailable"), rolling.MaxUnavailable.String(),
			"maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"))
	}
	if rolling.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType && rolling.MaxSurge != nil && !isZero(rolling.MaxSurge) {
		errs = append(errs, field.Invalid(path.Child("maxSurge"), rolling.MaxSurge.String(),
			fmt.Sprintf("must be 0 with podUpdatePolicy %s: extra pods cannot be made in place", rolling.PodUpdatePolicy)))
	}
	return errs
}

func isZero(value *intstr.IntOrString) bool {
	return value != nil && (value.String() == "0" || value.String() == "0%")
}

// isCount says whether a text is an integer that is not negative, or a percentage of at most 100.
func isCount(text string, fractions bool) bool {
	percentage := regexp.MustCompile(`^(100|[1-9]?[0-9])%$`)
	if fractions {
		percentage = regexp.MustCompile(`^(100|[1-9]?[0-9])([.][0-9]+)?%$`)
	}
	return percentage.MatchString(text) || regexp.MustCompile(`^[0-9]{1,9}$`).MatchString(text)
}
