package kinds

import (
	"regexp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"kruise.io/kruise/api/apps/v1beta1"
)

// Change is what a user thinks of changing in the spec of a workload. What is nil or empty stays.
type Change struct {
	// Images are entries of the form container=image.
	Images []string
	// Replicas is the number of pods.
	Replicas *int32
	// Partition, MaxUnavailable and MaxSurge are integers or percentages.
	Partition, MaxUnavailable, MaxSurge string
	// Policy is how one pod is updated.
	Policy string
	// Paused pauses or resumes.
	Paused *bool
}

// rolls says whether the rolling update is changed.
func (c *Change) rolls() bool {
	return c.Partition != "" || c.MaxUnavailable != "" || c.MaxSurge != "" || c.Policy != "" || c.Paused != nil
}

const onDelete = "pods are not updated by it: partition, maxUnavailable, maxSurge, podUpdatePolicy and paused have no effect"

// common changes the number of pods and the images.
func (c *Change) common(replicas **int32, pod *corev1.PodSpec, spec *field.Path) field.ErrorList {
	var errs field.ErrorList
	if c.Replicas != nil {
		if *c.Replicas < 0 {
			errs = append(errs, field.Invalid(spec.Child("replicas"), *c.Replicas, "must not be negative"))
		}
		*replicas = c.Replicas
	}
	return append(errs, c.images(pod, spec)...)
}

// images changes the images of the template.
func (c *Change) images(pod *corev1.PodSpec, spec *field.Path) field.ErrorList {
	var all []*corev1.Container
	for _, list := range [][]corev1.Container{pod.Containers, pod.InitContainers} {
		for i := range list {
			all = append(all, &list[i])
		}
	}
	return c.imagesOf(all, spec.Child("template", "spec"))
}

// imagesOf changes the images of containers.
func (c *Change) imagesOf(containers []*corev1.Container, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	for _, text := range c.Images {
		errs = append(errs, setImage(containers, text, path.Child("containers"))...)
	}
	return errs
}

func setImage(containers []*corev1.Container, text string, path *field.Path) field.ErrorList {
	name, image, ok := strings.Cut(text, "=")
	if !ok || name == "" || image == "" {
		return field.ErrorList{field.Invalid(path, text, "--set-image takes CONTAINER=IMAGE")}
	}
	var names []string
	for _, c := range containers {
		if c.Name == name {
			c.Image = image
			return nil
		}
		names = append(names, c.Name)
	}
	return field.ErrorList{field.NotSupported(path.Key(name), name, names)}
}

// setCount sets a field that is an integer or a percentage, which may have a fraction or not.
func setCount(into **intstr.IntOrString, text string, fractions bool, path *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	if !isCount(text, fractions) {
		return field.ErrorList{field.Invalid(path, text, `must be an integer of 0 or more, or a percentage from "0%" to "100%"`)}
	}
	value := intstr.Parse(text)
	*into = &value
	return nil
}

// setNumber sets a field that is an integer.
func setNumber(into **int32, text string, path *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	value, err := strconv.ParseInt(text, 10, 32)
	if err != nil || value < 0 {
		return field.ErrorList{field.Invalid(path, text, "must be an integer of 0 or more")}
	}
	*into = new(int32(value))
	return nil
}

// setChoice sets a field that has one of a few values.
func setChoice[T ~string](into *T, text string, known []T, path *field.Path) field.ErrorList {
	if text == "" {
		return nil
	}
	if *into = T(text); !slices.Contains(known, *into) {
		return field.ErrorList{field.NotSupported(path, *into, known)}
	}
	return nil
}

func podUpdatePolicies() []v1beta1.PodUpdatePolicyType {
	return []v1beta1.PodUpdatePolicyType{
		v1beta1.RecreatePodUpdatePolicyType, v1beta1.InPlaceIfPossiblePodUpdatePolicyType, v1beta1.InPlaceOnlyPodUpdatePolicyType,
	}
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
