package daemonset

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/admit"
)

// The paths at which the webhooks are served; they carry no version, since one handler sees every version as v1beta1.
const (
	mutatePath   = "/mutate-apps-kruise-io-daemonset"
	validatePath = "/validate-apps-kruise-io-daemonset"
)

// +kubebuilder:webhook:path=/mutate-apps-kruise-io-daemonset,mutating=true,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=daemonsets,verbs=create;update,versions=v1beta1,name=mdaemonset.kb.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-apps-kruise-io-daemonset,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=daemonsets,verbs=create;update,versions=v1beta1,name=vdaemonset.kb.io,admissionReviewVersions=v1
// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create

// SetupWebhook serves the admission of DaemonSets on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{Handler: admission.HandlerFunc(setDefaults)})
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.DaemonSet{}).
		WithValidator(&validator{templates: admit.Templates{Client: mgr.GetClient()}}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhooks of DaemonSet: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: the template, which is opaque to them, and the
// operators of selectors.
type validator struct{ templates admit.Templates }

var _ admission.Validator[*v1beta1.DaemonSet] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, set *v1beta1.DaemonSet) (admission.Warnings, error) {
	return nil, v.validate(ctx, &v1beta1.DaemonSet{}, set)
}

// ValidateUpdate implements admission.Validator. An update that leaves the spec alone always passes, and so does one
// of an object that is being deleted: a finalizer can be taken off even an object that was valid under older rules only.
func (v *validator) ValidateUpdate(ctx context.Context, old, set *v1beta1.DaemonSet) (admission.Warnings, error) {
	if set.DeletionTimestamp != nil || equality.Semantic.DeepEqual(old.Spec, set.Spec) {
		return nil, nil
	}
	return nil, v.validate(ctx, old, set)
}

// ValidateDelete implements admission.Validator.
func (v *validator) ValidateDelete(context.Context, *v1beta1.DaemonSet) (admission.Warnings, error) {
	return nil, nil
}

// validate checks what changed from old to set.
func (v *validator) validate(ctx context.Context, old, set *v1beta1.DaemonSet) error {
	spec := field.NewPath("spec")
	errs := admit.Selector(kindDaemonSet, set.Spec.Selector, &set.Spec.Template, spec)
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil && rolling.Selector != nil {
		errs = append(errs, metav1validation.ValidateLabelSelector(rolling.Selector, metav1validation.LabelSelectorValidationOptions{},
			spec.Child("updateStrategy", "rollingUpdate", "selector"))...)
	}
	if !equality.Semantic.DeepEqual(old.Spec.Template, set.Spec.Template) {
		errs = append(errs, admit.LastingPods(kindDaemonSet, &set.Spec.Template, spec.Child("template"))...)
		if len(errs) == 0 {
			errs = v.templates.Check(ctx, set.Namespace, &set.Spec.Template, spec)
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindDaemonSet).GroupKind(), set.Name, errs)
	}
	return nil
}
