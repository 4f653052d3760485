package podunavailablebudget

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/policy/v1alpha1"
	"kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/manager/admit"
	"kruise.io/kruise/plan/disruption"
)

// The paths at which the webhooks are served.
const (
	mutatePath   = "/mutate-policy-kruise-io-podunavailablebudget"
	validatePath = "/validate-policy-kruise-io-podunavailablebudget"
)

// newerFields are the fields of the spec that clients of v1alpha1 may not know: they came with v1beta1.
func newerFields() []string {
	return []string{"ignoredPodSelector", "protectOperations", "protectTotalReplicas"}
}

// SetupWebhook serves the admission of budgets on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{Handler: admission.HandlerFunc(keepNewer)})
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.PodUnavailableBudget{}).
		WithValidator(&validator{on: o.on(), others: mgr.GetClient(), reserved: o.Reserved}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhooks of PodUnavailableBudget: %w", err)
	}
	return nil
}

func keepNewer(_ context.Context, req admission.Request) admission.Response {
	patches, warnings := admit.KeepNewer(&req, v1alpha1.GroupVersion, newerFields())
	if len(patches) == 0 {
		return admission.Allowed("")
	}
	return admission.Patched("", patches...).WithWarnings(warnings...)
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: selectors, annotations, and what other budgets are
// about.
type validator struct {
	// on is false where no gate lets budgets protect anything.
	on     bool
	others client.Reader
	// reserved are the namespaces in which budgets are asked by rollouts of ours alone.
	reserved []string
}

var _ admission.Validator[*v1beta1.PodUnavailableBudget] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, b *v1beta1.PodUnavailableBudget) (admission.Warnings, error) {
	return v.warnings(b), v.validate(ctx, b)
}

// warnings tell of what a budget does not do where it stands.
func (v *validator) warnings(b *v1beta1.PodUnavailableBudget) admission.Warnings {
	if !slices.Contains(v.reserved, b.Namespace) {
		return nil
	}
	return admission.Warnings{fmt.Sprintf("in namespace %s only rollouts of kruise ask a budget: deletions, evictions and other changes of pods are not refused there", b.Namespace)}
}

// ValidateUpdate implements admission.Validator. An update that leaves alone what is checked always passes.
func (v *validator) ValidateUpdate(ctx context.Context, old, b *v1beta1.PodUnavailableBudget) (admission.Warnings, error) {
	if b.DeletionTimestamp != nil || equality.Semantic.DeepEqual(old.Spec, b.Spec) && equality.Semantic.DeepEqual(old.Annotations, b.Annotations) {
		return nil, nil
	}
	return nil, v.validate(ctx, b)
}

// ValidateDelete implements admission.Validator.
func (*validator) ValidateDelete(context.Context, *v1beta1.PodUnavailableBudget) (admission.Warnings, error) {
	return nil, nil
}

func (v *validator) validate(ctx context.Context, b *v1beta1.PodUnavailableBudget) error {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if !v.on {
		errs = append(errs, field.Forbidden(spec, "nothing would be protected: switch on the gate PodUnavailableBudgetDeleteGate or PodUnavailableBudgetUpdateGate"))
	}
	errs = append(errs, metav1validation.ValidateLabelSelector(b.Spec.Selector, metav1validation.LabelSelectorValidationOptions{}, spec.Child("selector"))...)
	errs = append(errs, metav1validation.ValidateLabelSelector(b.Spec.IgnoredPodSelector, metav1validation.LabelSelectorValidationOptions{}, spec.Child("ignoredPodSelector"))...)
	errs = append(errs, validateAnnotations(b)...)
	if len(errs) == 0 {
		conflict, err := v.conflict(ctx, b, spec)
		if err != nil {
			return err
		}
		errs = conflict
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindBudget).GroupKind(), b.Name, errs)
	}
	return nil
}

// validateAnnotations checks the annotations that say what fields say in v1beta1. Where both are there, they say the same.
func validateAnnotations(b *v1beta1.PodUnavailableBudget) field.ErrorList {
	annotations := field.NewPath("metadata", "annotations")
	var errs field.ErrorList
	known := []v1beta1.PubOperation{v1beta1.PubDeleteOperation, v1beta1.PubUpdateOperation, v1beta1.PubEvictOperation, v1beta1.PubResizeOperation}
	operations, at := disruption.AnnotatedOperations(b), annotations.Key(v1beta1.PubProtectOperationsKey)
	for _, o := range operations {
		if !slices.Contains(known, o) {
			errs = append(errs, field.NotSupported(at, o, known))
		}
	}
	if of := b.Spec.ProtectOperations; len(of) > 0 && len(operations) > 0 && !sameOperations(of, operations) {
		errs = append(errs, field.Invalid(at, b.Annotations[v1beta1.PubProtectOperationsKey], fmt.Sprintf("must say the same as spec.protectOperations (%v), or be left out", of)))
	}
	text, given := b.Annotations[v1beta1.PubProtectTotalReplicasKey]
	if !given {
		return errs
	}
	at = annotations.Key(v1beta1.PubProtectTotalReplicasKey)
	n, err := strconv.ParseInt(text, 10, 32)
	switch field := b.Spec.ProtectTotalReplicas; {
	case err != nil || n < 1:
		errs = append(errs, invalid(at, text, "must be an integer of 1 or more"))
	case field != nil && int64(*field) != n:
		errs = append(errs, invalid(at, text, fmt.Sprintf("must say the same as spec.protectTotalReplicas (%d), or be left out", *field)))
	}
	return errs
}

func invalid(at *field.Path, value, why string) *field.Error { return field.Invalid(at, value, why) }

func sameOperations(a, b []v1beta1.PubOperation) bool {
	in := func(list []v1beta1.PubOperation) func(v1beta1.PubOperation) bool {
		return func(o v1beta1.PubOperation) bool { return !slices.Contains(list, o) }
	}
	return !slices.ContainsFunc(a, in(b)) && !slices.ContainsFunc(b, in(a))
}

// conflict looks for another budget of the namespace that is about the same pods.
func (v *validator) conflict(ctx context.Context, b *v1beta1.PodUnavailableBudget, spec *field.Path) (field.ErrorList, error) {
	var others v1beta1.PodUnavailableBudgetList
	if err := v.others.List(ctx, &others, client.InNamespace(b.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing the budgets of namespace %s: %w", b.Namespace, err)
	}
	for i := range others.Items {
		other := &others.Items[i]
		if other.Name == b.Name || other.DeletionTimestamp != nil {
			continue
		}
		switch why := disruption.Conflict(b, other); {
		case why == "":
		case b.Spec.TargetReference != nil:
			return field.ErrorList{field.Forbidden(spec.Child("targetRef"), why)}, nil
		default:
			return field.ErrorList{field.Forbidden(spec.Child("selector"), why)}, nil
		}
	}
	return nil, nil
}
