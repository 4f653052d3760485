package images

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/webhook/admission"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
)

// The paths at which the webhooks are served; they carry no version, since one handler sees every version as v1beta1.
const (
	validateJobPath  = "/validate-apps-kruise-io-imagepulljob"
	validateListPath = "/validate-apps-kruise-io-imagelistpulljob"
)

// +kubebuilder:webhook:path=/validate-apps-kruise-io-imagepulljob,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=imagepulljobs,verbs=create;update,versions=v1beta1,name=vimagepulljob-v1beta1.kb.io,admissionReviewVersions=v1
// +kubebuilder:webhook:path=/validate-apps-kruise-io-imagelistpulljob,mutating=false,failurePolicy=fail,matchPolicy=Equivalent,sideEffects=None,groups=apps.kruise.io,resources=imagelistpulljobs,verbs=create;update,versions=v1beta1,name=vimagelistpulljob-v1beta1.kb.io,admissionReviewVersions=v1

// SetupJobWebhook serves the admission of ImagePullJobs on the manager's webhook server.
func (o Options) SetupJobWebhook(mgr ctrl.Manager) error {
	return serve(mgr, o.Enabled, kindJob, validateJobPath, func(job *v1beta1.ImagePullJob) spec {
		return spec{[]string{job.Spec.Image}, &job.Spec.ImagePullJobTemplate}
	})
}

// SetupListWebhook serves the admission of ImageListPullJobs on the manager's webhook server.
func (o Options) SetupListWebhook(mgr ctrl.Manager) error {
	return serve(mgr, o.Enabled, kindList, validateListPath, func(list *v1beta1.ImageListPullJob) spec {
		return spec{list.Spec.Images, &list.Spec.ImagePullJobTemplate}
	})
}

// spec is what the specs of both kinds have in common.
type spec struct {
	Images   []string
	Template *v1beta1.ImagePullJobTemplate
}

func serve[T any, O object[T]](mgr ctrl.Manager, enabled bool, kind, path string, read func(O) spec) error {
	err := ctrl.NewWebhookManagedBy(mgr, O(new(T))).
		WithValidator(&validator[O]{kind: kind, enabled: enabled, read: read}).
		WithValidatorCustomPath(path).
		Complete()
	if err != nil {
		return fmt.Errorf("registering the webhook of %s: %w", kind, err)
	}
	return nil
}

// validator refuses what the schema and the CEL rules of the CRD cannot see: selectors that nothing can match, names of
// images that are too long for a registry, and jobs that nobody would work on.
type validator[O client.Object] struct {
	kind    string
	enabled bool
	read    func(O) spec
}

// ValidateCreate implements admission.Validator.
func (v *validator[O]) ValidateCreate(_ context.Context, job O) (admission.Warnings, error) {
	if !v.enabled {
		resource := v1beta1.GroupVersion.WithResource(map[string]string{kindJob: "imagepulljobs", kindList: "imagelistpulljobs"}[v.kind]).GroupResource()
		return nil, apierrors.NewForbidden(resource, job.GetName(), fmt.Errorf(
			"no images are pulled ahead: the feature gates KruiseDaemon and ImagePullJobGate of kruise-manager must be on"))
	}
	return nil, v.validate(job)
}

// ValidateUpdate implements admission.Validator. An update that leaves the spec alone always passes, and so does one of an
// object that is being deleted.
func (v *validator[O]) ValidateUpdate(_ context.Context, old, job O) (admission.Warnings, error) {
	if job.GetDeletionTimestamp() != nil || equality.Semantic.DeepEqual(v.read(old), v.read(job)) {
		return nil, nil
	}
	return nil, v.validate(job)
}

// ValidateDelete implements admission.Validator.
func (v *validator[O]) ValidateDelete(context.Context, O) (admission.Warnings, error) {
	return nil, nil
}

func (v *validator[O]) validate(job O) error {
	s, path := v.read(job), field.NewPath("spec")
	var errs field.ErrorList
	for i, image := range s.Images {
		at := path.Child("image")
		if v.kind == kindList {
			at = path.Child("images").Index(i)
		}
		if _, err := images.Parse(image); err != nil {
			errs = append(errs, field.Invalid(at, image, err.Error()))
		}
	}
	if selector := s.Template.Selector; selector != nil {
		errs = append(errs, validateSelector(&selector.LabelSelector, path.Child("selector"))...)
	}
	errs = append(errs, validateSelector(s.Template.PodSelector, path.Child("podSelector"))...)
	if len(errs) > 0 {
		return apierrors.NewInvalid(v1beta1.GroupVersion.WithKind(v.kind).GroupKind(), job.GetName(), errs)
	}
	return nil
}

func validateSelector(selector *metav1.LabelSelector, path *field.Path) field.ErrorList {
	return metav1validation.ValidateLabelSelector(selector, metav1validation.LabelSelectorValidationOptions{}, path)
}
