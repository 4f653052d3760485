package cloneset

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/admit"
	"kruise.io/kruise/plan/inplace"
)

// The paths at which the webhooks are served; they carry no version, since one handler sees every version as v1beta1.
const (
	mutatePath   = "/mutate-apps-kruise-io-cloneset"
	validatePath = "/validate-apps-kruise-io-cloneset"
)

// +kubebuilder:webhook:path=/mutate-apps-kruise-io-cloneset,mutating=true,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=clonesets,verbs=create;update,versions=v1beta1,name=mcloneset.kb.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-apps-kruise-io-cloneset,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=clonesets,verbs=create;update,versions=v1beta1,name=vcloneset.kb.io,admissionReviewVersions=v1
// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create
// +kubebuilder:rbac:groups="",resources=pods,verbs=get;list;watch

// SetupWebhook serves the admission of CloneSets on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{
		Handler: admission.HandlerFunc(setDefaults),
	})
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.CloneSet{}).
		WithValidator(&validator{
			pods:      podReader{cache: mgr.GetClient(), live: mgr.GetAPIReader()},
			templates: admit.Templates{Client: mgr.GetClient()},
			inPlace:   o.InPlace,
			shortHash: o.ShortHash,
		}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhooks of CloneSet: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: the template and the claim templates,
// which are opaque to them, and what depends on other objects.
type validator struct {
	pods      podReader
	templates admit.Templates
	inPlace   inplace.Options
	shortHash bool
}

var _ admission.Validator[*v1beta1.CloneSet] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, set *v1beta1.CloneSet) (admission.Warnings, error) {
	return nil, v.validate(ctx, &v1beta1.CloneSet{}, set)
}

// ValidateUpdate implements admission.Validator. An update that leaves the spec alone always passes, and so does one
// of an object that is being deleted: a finalizer can be taken off even an object that was valid under older rules only.
func (v *validator) ValidateUpdate(ctx context.Context, old, set *v1beta1.CloneSet) (admission.Warnings, error) {
	if set.DeletionTimestamp != nil || equality.Semantic.DeepEqual(old.Spec, set.Spec) {
		return nil, nil
	}
	return nil, v.validate(ctx, old, set)
}

// ValidateDelete implements admission.Validator.
func (v *validator) ValidateDelete(context.Context, *v1beta1.CloneSet) (admission.Warnings, error) {
	return nil, nil
}

// validate checks what changed from old to set.
func (v *validator) validate(ctx context.Context, old, set *v1beta1.CloneSet) error {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	if old.Name == "" && !v.shortHash {
		errs = admit.RevisionLabel(set.Name, ", or the feature gate CloneSetShortHash of kruise-manager on")
	}
	errs = append(errs, admit.Selector(kindCloneSet, set.Spec.Selector, &set.Spec.Template, spec)...)
	if rolling := set.Spec.UpdateStrategy.RollingUpdate; rolling != nil {
		errs = append(errs, admit.Priorities(rolling.PriorityStrategy, spec.Child("updateStrategy", "rollingUpdate", "priorityStrategy"))...)
	}
	claimsChanged := !equality.Semantic.DeepEqual(old.Spec.VolumeClaimTemplates, set.Spec.VolumeClaimTemplates)
	if claimsChanged {
		errs = append(errs, admit.Claims(set.Spec.VolumeClaimTemplates, spec.Child("volumeClaimTemplates"))...)
	}
	templateChanged := !equality.Semantic.DeepEqual(old.Spec.Template, set.Spec.Template)
	if templateChanged {
		errs = append(errs, admit.LastingPods(kindCloneSet, &set.Spec.Template, spec.Child("template"))...)
	}
	if len(errs) == 0 && (templateChanged || claimsChanged) {
		errs = v.templates.CheckWithClaims(ctx, set.Namespace, &set.Spec.Template, set.Spec.VolumeClaimTemplates, spec)
	}
	if templateChanged && old.Name != "" {
		errs = append(errs, v.validateInPlace(old, set, spec.Child("template"))...)
	}
	podErrs, err := v.pods.validate(ctx, old, set, spec.Child("scaleStrategy", "podsToDelete"))
	if err != nil {
		return fmt.Errorf("checking podsToDelete of CloneSet %s/%s: %w", set.Namespace, set.Name, err)
	}
	if errs = append(errs, podErrs...); len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindCloneSet).GroupKind(), set.Name, errs)
	}
	return nil
}

// validateInPlace checks that a changed template can reach the pods, where they may only be changed in place.
func (v *validator) validateInPlace(old, set *v1beta1.CloneSet, path *field.Path) field.ErrorList {
	strategy := set.Spec.UpdateStrategy
	if strategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType || strategy.RollingUpdate == nil ||
		strategy.RollingUpdate.PodUpdatePolicy != v1beta1.InPlaceOnlyPodUpdatePolicyType {
		return nil
	}
	return admit.InPlaceOnly(&old.Spec.Template, &set.Spec.Template, v.inPlace, path)
}

// podReader knows the pods that podsToDelete may name.
type podReader struct {
	cache client.Reader
	live  client.Reader
}

// validate checks the names that are new in podsToDelete: each must be a pod of this CloneSet that is not on its way
// out already. Names that were there before are left alone: their pods may be gone by now, and the controller
// takes them off.
func (r podReader) validate(ctx context.Context, old, set *v1beta1.CloneSet, path *field.Path) (field.ErrorList, error) {
	known := map[string]bool{}
	for _, name := range old.Spec.ScaleStrategy.PodsToDelete {
		known[name] = true
	}
	var errs field.ErrorList
	for i, name := range set.Spec.ScaleStrategy.PodsToDelete {
		if known[name] {
			continue
		}
		known[name] = true
		problem, err := r.problem(ctx, set, name)
		if err != nil {
			return nil, err
		}
		if problem != "" {
			errs = append(errs, field.Invalid(path.Index(i), name, problem))
		}
	}
	return errs, nil
}

// problem says why a pod cannot be named in podsToDelete; empty, when it can.
func (r podReader) problem(ctx context.Context, set *v1beta1.CloneSet, name string) (string, error) {
	pod := &corev1.Pod{}
	key := client.ObjectKey{Namespace: set.Namespace, Name: name}
	err := r.cache.Get(ctx, key, pod)
	if apierrors.IsNotFound(err) {
		// The pod may be so new that the cache has not seen it.
		err = r.live.Get(ctx, key, pod)
	}
	switch {
	case apierrors.IsNotFound(err):
		return "there is no such pod in the namespace of the CloneSet", nil
	case err != nil:
		return "", fmt.Errorf("reading pod %s: %w", key, err)
	case set.UID == "" || !metav1.IsControlledBy(pod, set):
		return "the pod does not belong to this CloneSet", nil
	case pod.DeletionTimestamp != nil:
		return "the pod is being deleted already", nil
	}
	return "", nil
}
