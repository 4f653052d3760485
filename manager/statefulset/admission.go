package statefulset

import (
	"context"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/admit"
)

// The paths at which the webhooks are served; they carry no version, since one handler sees every version as v1beta1.
const (
	mutatePath   = "/mutate-apps-kruise-io-statefulset"
	validatePath = "/validate-apps-kruise-io-statefulset"
)

// +kubebuilder:webhook:path=/mutate-apps-kruise-io-statefulset,mutating=true,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=statefulsets,verbs=create;update,versions=v1beta1,name=mstatefulset.kb.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-apps-kruise-io-statefulset,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=statefulsets,verbs=create;update,versions=v1beta1,name=vstatefulset.kb.io,admissionReviewVersions=v1
// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create
// +kubebuilder:rbac:groups=storage.k8s.io,resources=storageclasses,verbs=get;list;watch

// SetupWebhook serves the admission of StatefulSets on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{Handler: admission.HandlerFunc(o.setDefaults)})
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.StatefulSet{}).
		WithValidator(&validator{
			options:   o,
			templates: admit.Templates{Client: mgr.GetClient()},
			classes:   classReader{cache: mgr.GetClient()},
		}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhooks of StatefulSet: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: the template and the claim templates,
// which are opaque to them, and what depends on other objects.
type validator struct {
	options   Options
	templates admit.Templates
	classes   classReader
}

var _ admission.Validator[*v1beta1.StatefulSet] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, set *v1beta1.StatefulSet) (admission.Warnings, error) {
	return v.warnings(set), v.validate(ctx, &v1beta1.StatefulSet{}, set)
}

// ValidateUpdate implements admission.Validator. An update that leaves the spec alone always passes, and so does one
// of an object that is being deleted: a finalizer can be taken off even an object that was valid under older rules only.
func (v *validator) ValidateUpdate(ctx context.Context, old, set *v1beta1.StatefulSet) (admission.Warnings, error) {
	if set.DeletionTimestamp != nil || equality.Semantic.DeepEqual(old.Spec, set.Spec) {
		return nil, nil
	}
	return v.warnings(set), v.validate(ctx, old, set)
}

// ValidateDelete implements admission.Validator.
func (v *validator) ValidateDelete(context.Context, *v1beta1.StatefulSet) (admission.Warnings, error) {
	return nil, nil
}

// warnings name the fields that do nothing, because the feature gate that they need is off.
func (v *validator) warnings(set *v1beta1.StatefulSet) admission.Warnings {
	var out admission.Warnings
	warn := func(on, asked bool, field, gate string) {
		if asked && !on {
			out = append(out, fmt.Sprintf("%s does nothing: the feature gate %s of kruise-manager is off", field, gate))
		}
	}
	spec := &set.Spec
	warn(v.options.StartOrdinal, spec.Ordinals != nil && spec.Ordinals.Start != 0, "spec.ordinals.start", startGate)
	warn(v.options.ResizeClaims, spec.VolumeClaimUpdateStrategy.Type == v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType,
		"spec.volumeClaimUpdateStrategy.type OnPodRollingUpdate", "StatefulSetAutoResizePVCGate")
	const deletes = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	policy := spec.PersistentVolumeClaimRetentionPolicy
	warn(v.options.AutoDeleteClaims, policy != nil && (policy.WhenDeleted == deletes || policy.WhenScaled == deletes),
		"spec.persistentVolumeClaimRetentionPolicy", "StatefulSetAutoDeletePVC")
	return out
}

// validate checks what changed from old to set.
func (v *validator) validate(ctx context.Context, old, set *v1beta1.StatefulSet) error {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if old.Name == "" {
		errs = append(validateName(set.Name), v.validateStart(set.Spec.Ordinals, spec.Child("ordinals", "start"))...)
	}
	errs = append(errs, admit.Selector(kindStatefulSet, set.Spec.Selector, &set.Spec.Template, spec)...)
	rolling := rollingOf(set)
	if rolling.UnorderedUpdate != nil {
		errs = append(errs, admit.Priorities(rolling.UnorderedUpdate.PriorityStrategy, spec.Child("updateStrategy", "rollingUpdate", "unorderedUpdate", "priorityStrategy"))...)
	}
	claimsChanged := !equality.Semantic.DeepEqual(old.Spec.VolumeClaimTemplates, set.Spec.VolumeClaimTemplates)
	if claimsChanged {
		errs = append(errs, admit.Claims(set.Spec.VolumeClaimTemplates, spec.Child("volumeClaimTemplates"))...)
	}
	errs = append(errs, validateGate(set, rolling.PodUpdatePolicy, spec.Child("template", "spec", "readinessGates"))...)
	templateChanged := !equality.Semantic.DeepEqual(old.Spec.Template, set.Spec.Template)
	if templateChanged {
		errs = append(errs, admit.LastingPods(kindStatefulSet, &set.Spec.Template, spec.Child("template"))...)
	}
	if len(errs) == 0 && (templateChanged || claimsChanged) {
		errs = v.templates.CheckWithClaims(ctx, set.Namespace, &set.Spec.Template, set.Spec.VolumeClaimTemplates, spec)
	}
	if templateChanged && old.Name != "" && rolling.PodUpdatePolicy == v1beta1.InPlaceOnlyPodUpdatePolicyType {
		errs = append(errs, admit.InPlaceOnly(&old.Spec.Template, &set.Spec.Template, v.options.InPlace, spec.Child("template"))...)
	}
	if old.Name != "" && v.options.ResizeClaims && set.Spec.VolumeClaimUpdateStrategy.Type == v1beta1.OnPodRollingUpdateVolumeClaimUpdateStrategyType {
		growth, err := v.classes.validateGrowth(ctx, old.Spec.VolumeClaimTemplates, set.Spec.VolumeClaimTemplates, spec.Child("volumeClaimTemplates"))
		if err != nil {
			return fmt.Errorf("checking the claim templates of StatefulSet %s/%s: %w", set.Namespace, set.Name, err)
		}
		errs = append(errs, growth...)
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindStatefulSet).GroupKind(), set.Name, errs)
	}
	return nil
}

// rollingOf are the parameters of a rolling update; those of a set that does none say nothing.
func rollingOf(set *v1beta1.StatefulSet) v1beta1.RollingUpdateStatefulSetStrategy {
	if r := set.Spec.UpdateStrategy.RollingUpdate; r != nil && set.Spec.UpdateStrategy.Type != appsv1.OnDeleteStatefulSetStrategyType {
		return *r
	}
	return v1beta1.RollingUpdateStatefulSetStrategy{}
}

// startGate is the feature gate without which all sets are numbered from 0 on.
const startGate = "StatefulSetStartOrdinal"

// validateName checks that pods and revisions can be named after a set. The name of a pod, which ends with an ordinal, is its
// host name.
func validateName(name string) field.ErrorList {
	errs := admit.RevisionLabel(name, "")
	if problems := validation.IsDNS1123Label(name); len(errs) == 0 && len(problems) > 0 {
		errs = append(errs, field.Invalid(field.NewPath("metadata", "name"), name, problems[0]+": it begins the host names of pods"))
	}
	return errs
}

// validateStart checks that a new set is numbered as it asks. One that exists is left as it is: its pods have their ordinals.
func (v *validator) validateStart(ordinals *v1beta1.StatefulSetOrdinals, path *field.Path) field.ErrorList {
	if v.options.StartOrdinal || ordinals == nil || ordinals.Start == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(path, ordinals.Start, "needs the feature gate "+startGate+" of kruise-manager, which is off: "+
		"pods would have ordinals from 0 on, and those that a native set left under others would be deleted; open the gate, or remove the field")}
}

// validateGate checks that pods which may be changed in place can be taken out of service meanwhile.
func validateGate(set *v1beta1.StatefulSet, policy v1beta1.PodUpdatePolicyType, path *field.Path) field.ErrorList {
	gates := set.Spec.Template.Spec.ReadinessGates
	if policy == "" || policy == v1beta1.RecreatePodUpdatePolicyType || slices.Contains(gates, corev1.PodReadinessGate{ConditionType: v1beta1.InPlaceUpdateReady}) {
		return nil
	}
	return field.ErrorList{field.Invalid(path, gates, fmt.Sprintf(
		"must contain conditionType %s with podUpdatePolicy %s: without it pods would serve while their containers are changed", v1beta1.InPlaceUpdateReady, policy))}
}
