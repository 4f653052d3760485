package admit

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/plan/workload"
)

// templateTimeout bounds how long a user waits for the API server's opinion; it is well under the webhook's own
// timeout, so that a slow answer lets the object pass and does not refuse it.
const templateTimeout = 3 * time.Second

// Templates lets the API server itself validate a pod template, by creating a core/v1 PodTemplate in the namespace
// as a dry run. The rules of pods are then those of the cluster's own version, gates included, and no copy of them.
type Templates struct {
	Client client.Writer
}

// Check returns what the API server finds invalid in spec.template of a workload. Any other failure (no permission, a
// quota, a webhook that refuses dry runs, a timeout) says nothing about the template and lets it pass.
func (c Templates) Check(ctx context.Context, namespace string, template *corev1.PodTemplateSpec, spec *field.Path) field.ErrorList {
	return c.check(ctx, namespace, template, func(field string) *field.Path { return spec.Child(templateField(field)) })
}

// CheckWithClaims is Check for a workload whose containers mount spec.volumeClaimTemplates by their names, too.
func (c Templates) CheckWithClaims(
	ctx context.Context, namespace string, template *corev1.PodTemplateSpec, claims []corev1.PersistentVolumeClaim, spec *field.Path,
) field.ErrorList {
	template = template.DeepCopy()
	for i := range claims {
		workload.Mount(&template.Spec, claims[i].Name, claims[i].Name)
	}
	errs := c.Check(ctx, namespace, template, spec)
	for _, err := range errs {
		if err.Type == field.ErrorTypeNotFound && mountName.MatchString(err.Field) {
			err.Detail += fmt.Sprintf(" is neither in %s nor in %s, so no container can mount it", spec.Child("template", "spec", "volumes"), spec.Child("volumeClaimTemplates"))
		}
	}
	return errs
}

// mountName matches the field with the name of the volume that a container mounts.
var mountName = regexp.MustCompile(`\.(volumeMounts|volumeDevices)\[\d+\]\.name$`)

// CheckPod is Check for a pod whose fields stand in the object under a path.
func (c Templates) CheckPod(ctx context.Context, namespace string, pod *corev1.PodSpec, path *field.Path) field.ErrorList {
	template := &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "kruise-check"}}, Spec: *pod.DeepCopy()}
	return c.check(ctx, namespace, template, func(field string) *field.Path { return path.Child(strings.TrimPrefix(field, "template.spec.")) })
}

// check creates the template, dry, and names what is wrong with it by the fields of the object that it stands in.
func (c Templates) check(ctx context.Context, namespace string, template *corev1.PodTemplateSpec, name func(string) *field.Path) field.ErrorList {
	ctx, cancel := context.WithTimeout(ctx, templateTimeout)
	defer cancel()
	err := c.Client.Create(ctx, &corev1.PodTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "kruise-check-"},
		Template:   *template,
	}, client.DryRunAll)
	if err == nil {
		return nil
	}
	if !apierrors.IsInvalid(err) {
		log.FromContext(ctx).Info("The API server gave no opinion on the pod template; it is accepted unchecked", "reason", err.Error())
		return nil
	}
	return causes(err, name)
}

// causes turns the causes of an Invalid error about a PodTemplate into errors about the fields of the object that the template
// stands in.
func causes(err error, name func(string) *field.Path) field.ErrorList {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return field.ErrorList{&field.Error{Type: field.ErrorTypeInvalid, Field: name("template").String(), BadValue: field.OmitValueType{}, Detail: err.Error()}}
	}
	var errs field.ErrorList
	for _, cause := range status.Status().Details.Causes {
		kind := field.ErrorType(cause.Type)
		errs = append(errs, &field.Error{
			Type:  kind,
			Field: name(cause.Field).String(),
			// The message holds the bad value already, behind the words for the type that every error begins with.
			BadValue: field.OmitValueType{},
			Detail:   strings.TrimPrefix(strings.TrimPrefix(cause.Message, kind.String()), ": "),
		})
	}
	return errs
}

// templateField names a field as it stands in the object. The API server leaves "metadata" out of the path to the labels
// and annotations of a template.
func templateField(path string) string {
	for _, child := range []string{"labels", "annotations"} {
		if rest, ok := strings.CutPrefix(path, "template."+child); ok {
			return "template.metadata." + child + rest
		}
	}
	return path
}
