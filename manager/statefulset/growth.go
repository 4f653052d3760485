package statefulset

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// onlyGrowth is the rule for claim templates that reach claims which exist.
const onlyGrowth = "with volumeClaimUpdateStrategy OnPodRollingUpdate claims can only grow; for other changes, which reach new claims alone, set its type to OnDelete"

// classReader knows the StorageClasses.
type classReader struct{ cache client.Reader }

// validateGrowth checks that what changed in claim templates can be done to the claims that exist: they can grow where
// their StorageClass lets them, and nothing else.
func (r classReader) validateGrowth(ctx context.Context, old, claims []corev1.PersistentVolumeClaim, path *field.Path) (field.ErrorList, error) {
	var errs field.ErrorList
	before := map[string]*corev1.PersistentVolumeClaim{}
	for i := range old {
		before[old[i].Name] = &old[i]
	}
	for i := range claims {
		claim, path := &claims[i], path.Index(i)
		was := before[claim.Name]
		delete(before, claim.Name)
		if was == nil {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("the claim template %q is new, and %s", claim.Name, onlyGrowth)))
			continue
		}
		if equality.Semantic.DeepEqual(was, claim) {
			continue
		}
		if !sameButStorage(was, claim) {
			errs = append(errs, field.Forbidden(path, fmt.Sprintf("more than resources.requests[storage] of %q changed, and %s", claim.Name, onlyGrowth)))
			continue
		}
		more, err := r.validateStorage(ctx, was, claim, path.Child("spec", "resources", "requests").Key(string(corev1.ResourceStorage)))
		if err != nil {
			return nil, err
		}
		errs = append(errs, more...)
	}
	var gone []string
	for name := range before {
		gone = append(gone, name)
	}
	slices.Sort(gone)
	for _, name := range gone {
		errs = append(errs, field.Forbidden(path, fmt.Sprintf("the claim template %q is gone, and %s", name, onlyGrowth)))
	}
	return errs, nil
}

// validateStorage checks that a claim can get the storage that its template asks for now.
func (r classReader) validateStorage(ctx context.Context, was, claim *corev1.PersistentVolumeClaim, path *field.Path) (field.ErrorList, error) {
	is, before := claim.Spec.Resources.Requests[corev1.ResourceStorage], was.Spec.Resources.Requests[corev1.ResourceStorage]
	switch is.Cmp(before) {
	case 0:
		return nil, nil
	case -1:
		return field.ErrorList{field.Invalid(path, is.String(), fmt.Sprintf("must not be less than %s, which it was: volumes cannot shrink, and %s", before.String(), onlyGrowth))}, nil
	}
	problem, err := r.cannotExpand(ctx, claim.Spec.StorageClassName)
	if err != nil || problem == "" {
		return nil, err
	}
	return field.ErrorList{field.Forbidden(path, fmt.Sprintf("cannot grow from %s to %s: %s", before.String(), is.String(), problem))}, nil
}

// cannotExpand says why volumes of a StorageClass cannot grow; empty, when they can.
func (r classReader) cannotExpand(ctx context.Context, name *string) (string, error) {
	if name != nil && *name == "" {
		return "its volumes have no StorageClass, which could make them grow", nil
	}
	class := &storagev1.StorageClass{}
	if name != nil {
		err := r.cache.Get(ctx, client.ObjectKey{Name: *name}, class)
		if apierrors.IsNotFound(err) {
			return fmt.Sprintf("there is no StorageClass %q", *name), nil
		}
		if err != nil {
			return "", fmt.Errorf("reading StorageClass %s: %w", *name, err)
		}
	} else {
		var err error
		if class, err = r.defaultClass(ctx); err != nil {
			return "", err
		}
		if class == nil {
			return "it names no StorageClass, and none is the default of the cluster", nil
		}
	}
	if !ptr.Deref(class.AllowVolumeExpansion, false) {
		return fmt.Sprintf("StorageClass %q does not allow it; allowVolumeExpansion must be true", class.Name), nil
	}
	return "", nil
}

// defaultClass is the StorageClass of claims that name none: of several defaults the newest, as the API server chooses.
func (r classReader) defaultClass(ctx context.Context) (*storagev1.StorageClass, error) {
	classes := &storagev1.StorageClassList{}
	if err := r.cache.List(ctx, classes); err != nil {
		return nil, fmt.Errorf("looking for the default StorageClass: %w", err)
	}
	var found *storagev1.StorageClass
	for i := range classes.Items {
		class := &classes.Items[i]
		if class.Annotations["storageclass.kubernetes.io/is-default-class"] == "true" && (found == nil || newer(class, found)) {
			found = class
		}
	}
	return found, nil
}

func newer(a, b *storagev1.StorageClass) bool {
	if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
		return b.CreationTimestamp.Before(&a.CreationTimestamp)
	}
	return strings.Compare(a.Name, b.Name) < 0
}

// sameButStorage says whether two claim templates differ in nothing but the storage that they ask for. What the API server
// fills in makes no difference.
func sameButStorage(a, b *corev1.PersistentVolumeClaim) bool {
	plain := func(claim *corev1.PersistentVolumeClaim) *corev1.PersistentVolumeClaim {
		claim = claim.DeepCopy()
		delete(claim.Spec.Resources.Requests, corev1.ResourceStorage)
		claim.Status = corev1.PersistentVolumeClaimStatus{}
		if claim.Spec.VolumeMode == nil {
			claim.Spec.VolumeMode = ptr.To(corev1.PersistentVolumeFilesystem)
		}
		return claim
	}
	return equality.Semantic.DeepEqual(plain(a), plain(b))
}
