package persistentpodstate

import (
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/affinity"
)

const validatePath = "/validate-apps-kruise-io-persistentpodstate"

// SetupWebhook serves the admission of PersistentPodStates on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.PersistentPodState{}).
		WithValidator(&validator{states: mgr.GetClient(), others: o.Others, reserved: o.Reserved}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhook of PersistentPodState: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: a second object for a workload. Its target never
// changes, so only new objects are looked at.
type validator struct {
	states client.Reader
	// others are the kinds of workloads that may be named besides StatefulSets.
	others affinity.Kinds
	// reserved are the namespaces in which pods do not return.
	reserved []string
}

var _ admission.Validator[*v1beta1.PersistentPodState] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, state *v1beta1.PersistentPodState) (admission.Warnings, error) {
	path := field.NewPath("spec", "targetRef")
	target, ok := affinity.Of(state)
	if !ok || !v.others.Knows(target.GroupKind) {
		return nil, refused(state, field.Invalid(path, state.Spec.TargetReference.APIVersion+" "+state.Spec.TargetReference.Kind,
			"must be a StatefulSet of apps/v1 or apps.kruise.io/v1beta1, or of a kind that the cluster's administrator lists: pods of other kinds do not come back under their names"))
	}
	all := &v1beta1.PersistentPodStateList{}
	if err := v.states.List(ctx, all, client.InNamespace(state.Namespace), client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("looking for other PersistentPodStates of %s %s/%s: %w", target.Kind, state.Namespace, target.Name, err)
	}
	for i := range all.Items {
		other := &all.Items[i]
		if of, ok := affinity.Of(other); ok && of == target && other.Name != state.Name && other.DeletionTimestamp == nil {
			return nil, refused(state, field.Forbidden(path, fmt.Sprintf(
				"PersistentPodState %s is about %s %s of %s already; change or delete that one", other.Name, target.Kind, target.Name, target.Group)))
		}
	}
	if slices.Contains(v.reserved, state.Namespace) {
		return admission.Warnings{fmt.Sprintf("pods in namespace %s do not return to where they ran: new pods there are sent to no webhook", state.Namespace)}, nil
	}
	return nil, nil
}

// ValidateUpdate implements admission.Validator.
func (v *validator) ValidateUpdate(context.Context, *v1beta1.PersistentPodState, *v1beta1.PersistentPodState) (admission.Warnings, error) {
	return nil, nil
}

// ValidateDelete implements admission.Validator.
func (v *validator) ValidateDelete(context.Context, *v1beta1.PersistentPodState) (admission.Warnings, error) {
	return nil, nil
}

func refused(state *v1beta1.PersistentPodState, problem *field.Error) error {
	return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindState).GroupKind(), state.Name, field.ErrorList{problem})
}
