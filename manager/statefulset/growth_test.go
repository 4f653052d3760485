package statefulset

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
)

func storageClass(name string, expands *bool, isDefault string, age int) *storagev1.StorageClass {
	return &storagev1.StorageClass{
		ObjectMeta: metav1.ObjectMeta{
			Name: name, CreationTimestamp: metav1.NewTime(time.Unix(int64(1000-age), 0)),
			Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": isDefault},
		},
		Provisioner: "example.com/disk", AllowVolumeExpansion: expands,
	}
}

func claimTemplate(name, storage string, class *string) corev1.PersistentVolumeClaim {
	claim := corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: name}}
	claim.Spec.StorageClassName = class
	claim.Spec.AccessModes = []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce}
	claim.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(storage)}
	return claim
}

func TestClaimsCanOnlyGrowAndOnlyWhereTheirClassLetsThem(t *testing.T) {
	const more = "; for other changes, which reach new claims alone, set its type to OnDelete"
	block := claimTemplate("data", "2Gi", ptr.To("fast"))
	block.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeBlock)
	filesystem := claimTemplate("data", "1Gi", ptr.To("fast"))
	filesystem.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
	old := []corev1.PersistentVolumeClaim{claimTemplate("data", "1Gi", ptr.To("fast"))}
	with := func(claims ...corev1.PersistentVolumeClaim) []corev1.PersistentVolumeClaim { return claims }
	for name, tc := range map[string]struct {
		old, claims []corev1.PersistentVolumeClaim
		want        string
	}{
		"nothing changes":               {old, old, ""},
		"it grows":                      {old, with(claimTemplate("data", "2Gi", ptr.To("fast"))), ""},
		"the same in other words":       {old, with(claimTemplate("data", "1024Mi", ptr.To("fast"))), ""},
		"a default that is spelled out": {old, with(filesystem), ""},
		"it shrinks": {old, with(claimTemplate("data", "512Mi", ptr.To("fast"))),
			`templates[0].spec.resources.requests[storage]: Invalid value: "512Mi": must not be less than 1Gi, which it was: volumes cannot shrink, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"another class": {old, with(claimTemplate("data", "2Gi", ptr.To("slow"))),
			`templates[0]: Forbidden: more than resources.requests[storage] of "data" changed, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"another mode": {old, with(block),
			`templates[0]: Forbidden: more than resources.requests[storage] of "data" changed, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"a new one": {old, with(old[0], claimTemplate("logs", "1Gi", nil)),
			`templates[1]: Forbidden: the claim template "logs" is new, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"one of two": {with(claimTemplate("logs", "1Gi", nil), old[0]), old,
			`templates: Forbidden: the claim template "logs" is gone, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"one less": {old, nil,
			`templates: Forbidden: the claim template "data" is gone, and with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow` + more},
		"a class that cannot expand": {with(claimTemplate("data", "1Gi", ptr.To("fixed"))), with(claimTemplate("data", "2Gi", ptr.To("fixed"))),
			`templates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: StorageClass "fixed" does not allow it; allowVolumeExpansion must be true`},
		"a class that does not say": {with(claimTemplate("data", "1Gi", ptr.To("silent"))), with(claimTemplate("data", "2Gi", ptr.To("silent"))),
			`templates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: StorageClass "silent" does not allow it; allowVolumeExpansion must be true`},
		"a class that is not there": {with(claimTemplate("data", "1Gi", ptr.To("none"))), with(claimTemplate("data", "2Gi", ptr.To("none"))),
			`templates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: there is no StorageClass "none"`},
		"volumes that somebody made by hand": {with(claimTemplate("data", "1Gi", ptr.To(""))), with(claimTemplate("data", "2Gi", ptr.To(""))),
			`templates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: its volumes have no StorageClass, which could make them grow`},
		"the newest default class counts": {with(claimTemplate("data", "1Gi", nil)), with(claimTemplate("data", "2Gi", nil)),
			`templates[0].spec.resources.requests[storage]: Forbidden: cannot grow from 1Gi to 2Gi: StorageClass "fixed" does not allow it; allowVolumeExpansion must be true`},
	} {
		t.Run(name, func(t *testing.T) {
			classes := classReader{fake.NewClientBuilder().WithObjects(
				storageClass("fast", ptr.To(true), "true", 9), storageClass("fixed", ptr.To(false), "true", 1), storageClass("silent", nil, "false", 0)).Build()}
			errs, err := classes.validateGrowth(t.Context(), tc.old, tc.claims, field.NewPath("templates"))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(errs) > 0 {
				got = errs.ToAggregate().Error()
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
}

func TestWithoutADefaultClassNothingThatNamesNoneCanGrow(t *testing.T) {
	classes := classReader{fake.NewClientBuilder().WithObjects(storageClass("fast", ptr.To(true), "false", 0)).Build()}
	problem, err := classes.cannotExpand(t.Context(), nil)
	if err != nil || problem == "" {
		t.Errorf("got %q and the error %v", problem, err)
	}
}
