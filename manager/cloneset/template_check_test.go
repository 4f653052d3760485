package cloneset

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"kruise.io/kruise/api/apps/v1beta1"
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
		set := &v1beta1.CloneSet{}
		set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{{ObjectMeta: metav1.ObjectMeta{Name: "data"}}}
		set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "app", VolumeMounts: []corev1.VolumeMount{{Name: name, MountPath: "/data"}}}}
		errs := templateChecker{client: mountsNeedVolumes()}.check(t.Context(), set, field.NewPath("spec"))
		if valid != (len(errs) == 0) {
			t.Errorf("a mount of %s with a claim template data: got errors %v", name, errs)
		}
		if len(set.Spec.Template.Spec.Volumes) > 0 {
			t.Error("the check changed the template")
		}
	}
}
