package podprobemarker

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1alpha1"
)

const validatePath = "/validate-apps-kruise-io-podprobemarker"

// SetupWebhook serves the admission of PodProbeMarkers on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	err := ctrl.NewWebhookManagedBy(mgr, &v1alpha1.PodProbeMarker{}).
		WithValidator(validator{off: o.Off}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhook of PodProbeMarker: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: names that no pod can have, and markers that
// nobody would work on.
type validator struct{ off bool }

var _ admission.Validator[*v1alpha1.PodProbeMarker] = validator{}

// ValidateCreate implements admission.Validator.
func (v validator) ValidateCreate(_ context.Context, marker *v1alpha1.PodProbeMarker) (admission.Warnings, error) {
	if v.off {
		return nil, apierrors.NewForbidden(v1alpha1.GroupVersion.WithResource("podprobemarkers").GroupResource(), marker.Name, errors.New(
			"no pods are probed: the feature gates KruiseDaemon and PodProbeMarkerGate of kruise-manager must be on"))
	}
	return nil, validate(marker)
}

// ValidateUpdate implements admission.Validator. An update that leaves the spec alone always passes.
func (validator) ValidateUpdate(_ context.Context, old, marker *v1alpha1.PodProbeMarker) (admission.Warnings, error) {
	if marker.DeletionTimestamp != nil || equality.Semantic.DeepEqual(old.Spec, marker.Spec) {
		return nil, nil
	}
	return nil, validate(marker)
}

// ValidateDelete implements admission.Validator.
func (validator) ValidateDelete(context.Context, *v1alpha1.PodProbeMarker) (admission.Warnings, error) {
	return nil, nil
}

func validate(marker *v1alpha1.PodProbeMarker) error {
	spec := field.NewPath("spec")
	errs := metav1validation.ValidateLabelSelector(marker.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, spec.Child("selector"))
	for i := range marker.Spec.Probes {
		errs = append(errs, validateProbe(&marker.Spec.Probes[i], spec.Child("probes").Index(i))...)
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1alpha1.GroupVersion.WithKind("PodProbeMarker").GroupKind(), marker.Name, errs)
	}
	return nil
}

func validateProbe(p *v1alpha1.PodContainerProbe, path *field.Path) field.ErrorList {
	var errs field.ErrorList
	if p.PodConditionType != "" {
		errs = append(errs, metav1validation.ValidateLabelName(p.PodConditionType, path.Child("podConditionType"))...)
	}
	for i, policy := range p.MarkerPolicy {
		at := path.Child("markerPolicy").Index(i)
		errs = append(errs, metav1validation.ValidateLabels(policy.Labels, at.Child("labels"))...)
		errs = append(errs, apivalidation.ValidateAnnotations(policy.Annotations, at.Child("annotations"))...)
	}
	if p.Probe.HTTPGet != nil {
		at := path.Child("probe", "httpGet")
		errs = append(errs, validatePort(p.Probe.HTTPGet.Port, at.Child("port"))...)
		for i, header := range p.Probe.HTTPGet.HTTPHeaders {
			for _, problem := range validation.IsHTTPHeaderName(header.Name) {
				errs = append(errs, field.Invalid(at.Child("httpHeaders").Index(i).Child("name"), header.Name, problem))
			}
		}
	}
	if p.Probe.TCPSocket != nil {
		errs = append(errs, validatePort(p.Probe.TCPSocket.Port, path.Child("probe", "tcpSocket", "port"))...)
	}
	return errs
}

func validatePort(port intstr.IntOrString, path *field.Path) field.ErrorList {
	if port.Type == intstr.Int {
		return nil // the CRD says which
	}
	var errs field.ErrorList
	for _, problem := range validation.IsValidPortName(port.StrVal) {
		errs = append(errs, field.Invalid(path, port.StrVal, problem))
	}
	return errs
}
