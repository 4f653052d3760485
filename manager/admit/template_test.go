package admit

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

// mountsNeedVolumes is an API server that knows one rule: what a container mounts is a volume of its pod.
func mountsNeedVolumes() client.Client {
	return fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
		Create: func(_ context.Context, _ client.WithWatch, object client.Object, _ ...client.CreateOption) error {
			spec := object.(*corev1.PodTemplate).Template.Spec
			for _, mount := range spec.Containers[0].VolumeMounts {
				if !slices.ContainsFunc(spec.Volumes, func(v corev1.Volume) bool { return v.Name == mount.Name }) {
					path := field.NewPath("template", "spec", "containers").Index(0).Child("volumeMounts").Index(0).Child("name")
					return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("PodTemplate").GroupKind(), "",
						field.ErrorList{field.NotFound(path, mount.Name)})
				}
			}
			return nil
		},
	}).Build()
}

func TestAContainerMayMountAClaimTemplateAndNothingThatIsNoVolume(t *testing.T) {
	for name, valid := range map[string]bool{"data": true, "other": false} {
		claims := []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		template := &corev1.PodTemplateSpec{}
		template.Spec.Containers = []corev1.Container{{Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: name, MountPath: "/data"}}}}
		errs := Templates{mountsNeedVolumes()}.CheckWithClaims(t.Context(), "shop", template, claims, field.NewPath("spec"))
		if valid != (len(errs) == 0) {
			t.Errorf("a mount of %s with a claim template data: got errors %v", name, errs)
		}
		const why = `spec.template.spec.containers[0].volumeMounts[0].name: Not found: "other" is neither in spec.template.spec.volumes nor in spec.volumeClaimTemplates, so no container can mount it`
		if !valid && (len(errs) != 1 || errs[0].Error() != why) {
			t.Errorf("got %v, want %s", errs, why)
		}
		if len(template.Spec.Volumes) > 0 {
			t.Error("the check changed the template")
		}
	}
}

func TestOnlyWhatTheAPIServerCallsInvalidIsHeldAgainstATemplate(t *testing.T) {
	templates := schema.GroupResource{Resource: "podtemplates"}
	for name, answer := range map[string]error{
		"no permission":     apierrors.NewForbidden(templates, "", errors.New("not allowed")),
		"a quota":           apierrors.NewForbidden(templates, "", errors.New("exceeded quota")),
		"a timeout":         context.DeadlineExceeded,
		"a broken webhook":  apierrors.NewInternalError(errors.New("failed calling webhook")),
		"too many requests": apierrors.NewTooManyRequests("later", 1),
	} {
		t.Run(name, func(t *testing.T) {
			server := fake.NewClientBuilder().WithInterceptorFuncs(interceptor.Funcs{
				Create: func(context.Context, client.WithWatch, client.Object, ...client.CreateOption) error { return answer },
			}).Build()
			if errs := (Templates{server}).Check(t.Context(), "shop", &corev1.PodTemplateSpec{}, field.NewPath("spec")); len(errs) != 0 {
				t.Errorf("the template is refused: %v", errs)
			}
		})
	}
}
