package sidecarset

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/index"
	"kruise.io/kruise/manager/admit"
	"kruise.io/kruise/plan/sidecar"
)

// The paths at which the webhooks are served; they carry no version, since one handler sees every version as v1beta1.
const (
	mutatePath   = "/mutate-apps-kruise-io-sidecarset"
	validatePath = "/validate-apps-kruise-io-sidecarset"
)

// +kubebuilder:webhook:path=/mutate-apps-kruise-io-sidecarset,mutating=true,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=sidecarsets,verbs=create;update,versions=v1beta1,name=msidecarset.kb.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-apps-kruise-io-sidecarset,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=sidecarsets,verbs=create;update,versions=v1beta1,name=vsidecarset.kb.io,admissionReviewVersions=v1
// +kubebuilder:rbac:groups=apps.kruise.io,resources=sidecarsets,verbs=get;list;watch
// +kubebuilder:rbac:groups=apps,resources=controllerrevisions,verbs=list
// +kubebuilder:rbac:groups="",resources=podtemplates,verbs=create
// +kubebuilder:rbac:groups="",namespace=kruise-system,resources=configmaps,resourceNames=kruise-configuration,verbs=get

// SetupWebhook serves the admission of SidecarSets on the manager's webhook server.
func (o Options) SetupWebhook(mgr ctrl.Manager) error {
	mgr.GetWebhookServer().Register(mutatePath, &admission.Webhook{Handler: &defaulting{clock: clock.RealClock{}}})
	err := ctrl.NewWebhookManagedBy(mgr, &v1beta1.SidecarSet{}).
		WithValidator(&validator{Options: o, cache: mgr.GetCache(), live: mgr.GetAPIReader(), templates: admit.Templates{Client: mgr.GetClient()}}).
		WithValidatorCustomPath(validatePath).
		Complete()
	if err == nil {
		// So that the first set that is written does not wait until all are read.
		err = mgr.Add(manager.RunnableFunc(func(ctx context.Context) error {
			_, err := mgr.GetCache().GetInformer(ctx, &v1beta1.SidecarSet{})
			return err
		}))
	}
	if err != nil {
		return fmt.Errorf("registering the webhooks of SidecarSet: %w", err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: containers and volumes, which are opaque to them,
// the operators of selectors, and what contradicts other objects.
type validator struct {
	Options

	// cache reads SidecarSets, live what must not be stale.
	cache     cache.Cache
	live      client.Reader
	templates admit.Templates
}

var _ admission.Validator[*v1beta1.SidecarSet] = &validator{}

// ValidateCreate implements admission.Validator.
func (v *validator) ValidateCreate(ctx context.Context, set *v1beta1.SidecarSet) (admission.Warnings, error) {
	return nil, v.validate(ctx, nil, set)
}

// ValidateUpdate implements admission.Validator. An update that leaves alone what is checked always passes, and so does one of
// an object that is being deleted: a finalizer can be taken off even an object that was valid under older rules only.
func (v *validator) ValidateUpdate(ctx context.Context, old, set *v1beta1.SidecarSet) (admission.Warnings, error) {
	same := equality.Semantic.DeepEqual(old.Spec, set.Spec)
	for _, key := range checkedAnnotations {
		same = same && old.Annotations[key] == set.Annotations[key]
	}
	if set.DeletionTimestamp != nil || same {
		return nil, nil
	}
	return nil, v.validate(ctx, old, set)
}

// ValidateDelete implements admission.Validator.
func (v *validator) ValidateDelete(context.Context, *v1beta1.SidecarSet) (admission.Warnings, error) {
	return nil, nil
}

// validate checks what changed from old, which is nil for a new set, to set.
func (v *validator) validate(ctx context.Context, old, set *v1beta1.SidecarSet) error {
	errs := checkSelectors(set)
	errs = append(errs, checkContainers(set)...)
	errs = append(errs, checkAnnotations(set)...)
	errs = append(errs, checkPatches(set)...)
	if old != nil {
		errs = append(errs, checkChange(old, set)...)
	}
	if len(errs) == 0 {
		errs = append(v.checkSidecars(ctx, old, set), v.checkAllowed(ctx, old, set)...)
	}
	if len(errs) == 0 {
		errs = append(v.checkOthers(ctx, set), v.checkPinned(ctx, old, set)...)
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(kindSidecarSet).GroupKind(), set.Name, errs)
	}
	return nil
}

// checkSidecars asks the API server what it thinks of a pod with these sidecars, whenever they change.
func (v *validator) checkSidecars(ctx context.Context, old, set *v1beta1.SidecarSet) field.ErrorList {
	if old != nil && equality.Semantic.DeepEqual(sidecarPod(old), sidecarPod(set)) {
		return nil
	}
	return v.templates.CheckPod(ctx, v.Namespace, sidecarPod(set), field.NewPath("spec"))
}

// sidecarPod is a pod that consists of a set's sidecars.
func sidecarPod(set *v1beta1.SidecarSet) *corev1.PodSpec {
	pod := &corev1.PodSpec{Volumes: set.Spec.Volumes, ImagePullSecrets: set.Spec.ImagePullSecrets}
	for i := range set.Spec.Containers {
		pod.Containers = append(pod.Containers, set.Spec.Containers[i].Container)
	}
	for i := range set.Spec.InitContainers {
		pod.InitContainers = append(pod.InitContainers, set.Spec.InitContainers[i].Container)
	}
	if len(pod.Containers) == 0 { // a pod needs one
		pod.Containers = []corev1.Container{{Name: "the-pods-own", Image: "any"}}
	}
	return pod
}

// checkAllowed checks that the annotations that a set writes on pods are among those that the cluster allows.
func (v *validator) checkAllowed(ctx context.Context, old, set *v1beta1.SidecarSet) field.ErrorList {
	if v.AnyAnnotation || len(set.Spec.PatchPodMetadata) == 0 || old != nil && equality.Semantic.DeepEqual(old.Spec.PatchPodMetadata, set.Spec.PatchPodMetadata) {
		return nil
	}
	path := field.NewPath("spec", "patchPodMetadata")
	configuration := &corev1.ConfigMap{}
	if err := v.live.Get(ctx, client.ObjectKey{Namespace: v.Namespace, Name: v1beta1.ConfigurationName}, configuration); err != nil && !apierrors.IsNotFound(err) {
		return field.ErrorList{field.InternalError(path, fmt.Errorf("reading ConfigMap %s/%s: %w", v.Namespace, v1beta1.ConfigurationName, err))}
	}
	const key = v1beta1.SidecarSetPatchPodMetadataWhiteListKey
	list, err := sidecar.ParseWhiteList(configuration.Data[key])
	if err != nil {
		return field.ErrorList{field.InternalError(path, fmt.Errorf("reading %s of ConfigMap %s/%s: %w", key, v.Namespace, v1beta1.ConfigurationName, err))}
	}
	var errs field.ErrorList
	for i, p := range set.Spec.PatchPodMetadata {
		for _, name := range sortedKeys(p.Annotations) {
			if !list.Allows(set, name) {
				errs = append(errs, field.Forbidden(path.Index(i).Child("annotations").Key(name), fmt.Sprintf(
					"no rule of %s in ConfigMap %s/%s allows this set to write it; add one, or switch the feature gate SidecarSetPatchPodMetadataDefaultsAllowed on", key, v.Namespace, v1beta1.ConfigurationName)))
			}
		}
	}
	return errs
}

// checkOthers checks a set against the others that there are.
func (v *validator) checkOthers(ctx context.Context, set *v1beta1.SidecarSet) field.ErrorList {
	others, err := index.For(ctx, v.cache, &v1beta1.SidecarSet{})
	if err == nil && !v.cache.WaitForCacheSync(ctx) {
		err = ctx.Err()
	}
	if err != nil {
		return field.ErrorList{field.InternalError(field.NewPath("spec"), fmt.Errorf("listing SidecarSets, to see whether they contradict this one: %w", err))}
	}
	return append(v.checkCanary(ctx, set), sidecar.Conflicts(set, others.All())...)
}
