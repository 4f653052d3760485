package sidecarset

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/admit"
	"kruise.io/kruise/plan/sidecar"
)

// checkedAnnotations are those of a set that say what it does.
var checkedAnnotations = []string{v1beta1.SidecarSetInjectionFailurePolicyKey, v1beta1.SidecarSetCanaryKey, v1beta1.SidecarSetBaseKey}

// checkSelectors checks what the schema does not know of selectors.
func checkSelectors(set *v1beta1.SidecarSet) field.ErrorList {
	spec := field.NewPath("spec")
	var errs field.ErrorList
	for _, s := range []struct {
		selector *metav1.LabelSelector
		path     *field.Path
	}{
		{set.Spec.Selector, spec.Child("selector")}, {set.Spec.NamespaceSelector, spec.Child("namespaceSelector")},
		{set.Spec.UpdateStrategy.Selector, spec.Child("updateStrategy", "selector")},
	} {
		errs = append(errs, metav1validation.ValidateLabelSelector(s.selector, metav1validation.LabelSelectorValidationOptions{}, s.path)...)
	}
	return append(errs, admit.Priorities(set.Spec.UpdateStrategy.PriorityStrategy, spec.Child("updateStrategy", "priorityStrategy"))...)
}

// checkContainers checks what the sidecars say that no container of a pod can.
func checkContainers(set *v1beta1.SidecarSet) field.ErrorList {
	var errs field.ErrorList
	if s := &set.Spec; len(s.Containers)+len(s.InitContainers)+len(s.Volumes)+len(s.ImagePullSecrets)+len(s.PatchPodMetadata) == 0 {
		errs = append(errs, field.Required(field.NewPath("spec"), "one of containers, initContainers, volumes, imagePullSecrets and patchPodMetadata must be set: otherwise nothing would be injected"))
	}
	seen := map[string]bool{}
	for _, list := range []struct {
		name       string
		containers []v1beta1.SidecarContainer
	}{{"containers", set.Spec.Containers}, {"initContainers", set.Spec.InitContainers}} {
		for i := range list.containers {
			c, path := &list.containers[i], field.NewPath("spec", list.name).Index(i)
			for _, name := range sidecar.NamesInPod(c) {
				switch {
				case c.Name == "": // the API server says so
				case seen[name]:
					errs = append(errs, field.Duplicate(path.Child("name"), name))
				case sidecar.IsHot(c) && len(name) > validation.DNS1123LabelMaxLength:
					errs = append(errs, field.Invalid(path.Child("name"), c.Name, fmt.Sprintf("must be at most %d characters with upgradeType HotUpgrade, since its twins have longer names", validation.DNS1123LabelMaxLength-2)))
				}
				seen[name] = true
			}
			for j, e := range c.TransferEnv {
				if from := e.SourceContainerNameFrom; from != nil && from.FieldRef != nil && !sidecar.IsMetadata(from.FieldRef.FieldPath) {
					errs = append(errs, field.Invalid(path.Child("transferEnv").Index(j).Child("sourceContainerNameFrom", "fieldRef", "fieldPath"), from.FieldRef.FieldPath,
						"must be metadata.labels['key'] or metadata.annotations['key']"))
				}
			}
			if c.ResourcesPolicy == nil {
				continue
			}
			at := path.Child("resourcesPolicy")
			if len(c.Resources.Limits)+len(c.Resources.Requests)+len(c.Resources.Claims) > 0 {
				errs = append(errs, field.Forbidden(at, "resources is set, too: one of them says what the container gets"))
			}
			errs = append(errs, sidecar.CheckResources(c.ResourcesPolicy, at)...)
		}
	}
	return errs
}

// checkAnnotations checks the annotations of a set that say what it does.
func checkAnnotations(set *v1beta1.SidecarSet) field.ErrorList {
	path := field.NewPath("metadata", "annotations")
	var errs field.ErrorList
	if policy, ok := set.Annotations[v1beta1.SidecarSetInjectionFailurePolicyKey]; ok {
		known := []admissionregistrationv1.FailurePolicyType{admissionregistrationv1.Fail, admissionregistrationv1.Ignore}
		if !slices.Contains(known, admissionregistrationv1.FailurePolicyType(policy)) {
			errs = append(errs, field.NotSupported(path.Key(v1beta1.SidecarSetInjectionFailurePolicyKey), policy, known))
		}
	}
	canary, base := set.Annotations[v1beta1.SidecarSetCanaryKey], set.Annotations[v1beta1.SidecarSetBaseKey]
	switch {
	case canary != "true":
		return errs
	case base == "":
		errs = append(errs, field.Required(path.Key(v1beta1.SidecarSetBaseKey), "a canary names the SidecarSet that it stands in for"))
	case base == set.Name:
		errs = append(errs, field.Invalid(path.Key(v1beta1.SidecarSetBaseKey), base, "a SidecarSet is not its own canary"))
	}
	if set.Spec.UpdateStrategy.Type != v1beta1.NotUpdateSidecarSetStrategyType {
		errs = append(errs, field.Invalid(field.NewPath("spec", "updateStrategy", "type"), set.Spec.UpdateStrategy.Type,
			"must be NotUpdate for a canary: it is for new pods, and running ones belong to its base"))
	}
	return errs
}

// checkPatches checks the annotations that a set writes on pods.
func checkPatches(set *v1beta1.SidecarSet) field.ErrorList {
	var errs field.ErrorList
	for i, p := range set.Spec.PatchPodMetadata {
		path := field.NewPath("spec", "patchPodMetadata").Index(i).Child("annotations")
		for _, key := range sortedKeys(p.Annotations) {
			switch {
			case len(validation.IsQualifiedName(strings.ToLower(key))) > 0:
				errs = append(errs, field.Invalid(path, key, validation.IsQualifiedName(strings.ToLower(key))[0]))
			case sidecar.IsOwnAnnotation(key):
				errs = append(errs, field.Forbidden(path.Key(key), "the manager itself writes it"))
			case p.PatchPolicy == v1beta1.SidecarSetMergePatchJSONPatchPolicy && !sidecar.IsJSONObject(p.Annotations[key]):
				errs = append(errs, field.Invalid(path.Key(key), p.Annotations[key], "must be a JSON object, to be merged with patchPolicy MergePatchJson"))
			}
		}
	}
	return errs
}

// checkChange checks what must not change.
func checkChange(old, set *v1beta1.SidecarSet) field.ErrorList {
	var errs field.ErrorList
	annotations := field.NewPath("metadata", "annotations")
	for _, key := range []string{v1beta1.SidecarSetCanaryKey, v1beta1.SidecarSetBaseKey} {
		if old.Annotations[key] != set.Annotations[key] {
			errs = append(errs, field.Forbidden(annotations.Key(key), "is immutable: pods carry the one or the other; create another SidecarSet instead"))
		}
	}
	before := map[string]*v1beta1.SidecarContainer{}
	for _, c := range sidecar.LongRunning(old) {
		before[c.Name] = c
	}
	check := func(list string, i int, c *v1beta1.SidecarContainer) {
		path := field.NewPath("spec", list).Index(i)
		was, ok := before[c.Name]
		switch {
		case !ok:
			errs = append(errs, field.Forbidden(path.Child("name"), fmt.Sprintf("a container %q cannot be added: running pods can get none; create another SidecarSet for it", c.Name)))
		case sidecar.IsHot(was) != sidecar.IsHot(c):
			errs = append(errs, field.Forbidden(path.Child("upgradeStrategy", "upgradeType"), "is immutable: running pods have either the container or its twins; create another SidecarSet instead"))
		}
	}
	for i := range set.Spec.Containers {
		check("containers", i, &set.Spec.Containers[i])
	}
	for i := range set.Spec.InitContainers {
		if c := &set.Spec.InitContainers[i]; sidecar.IsNative(c) {
			check("initContainers", i, c)
		}
	}
	return errs
}

// checkCanary checks a canary against its base, which may have been created a moment ago.
func (v *validator) checkCanary(ctx context.Context, set *v1beta1.SidecarSet) field.ErrorList {
	wanted := sidecar.Base(set)
	if wanted == "" {
		return nil
	}
	path := field.NewPath("metadata", "annotations").Key(v1beta1.SidecarSetBaseKey)
	base := &v1beta1.SidecarSet{}
	if err := v.live.Get(ctx, client.ObjectKey{Name: wanted}, base); err != nil {
		if apierrors.IsNotFound(err) {
			return field.ErrorList{field.NotFound(path, wanted)}
		}
		return field.ErrorList{field.InternalError(path, fmt.Errorf("reading SidecarSet %s: %w", wanted, err))}
	}
	if other := sidecar.Base(base); other != "" {
		return field.ErrorList{field.Invalid(path, wanted, "is itself a canary, of "+other)}
	}
	return nil
}

// checkPinned checks that a revision that is named anew exists. Afterwards it is kept for as long as it is named.
func (v *validator) checkPinned(ctx context.Context, old, set *v1beta1.SidecarSet) field.ErrorList {
	wanted := set.Spec.InjectionStrategy.Revision
	if !sidecar.IsPinned(set) || old != nil && sidecar.IsPinned(old) && sameRevision(wanted, old.Spec.InjectionStrategy.Revision) {
		return nil
	}
	path := field.NewPath("spec", "injectionStrategy", "revision")
	list := &appsv1.ControllerRevisionList{}
	if err := v.live.List(ctx, list, client.InNamespace(v.Namespace), client.MatchingLabels{v1beta1.SidecarSetNameKey: set.Name}); err != nil {
		return field.ErrorList{field.InternalError(path, fmt.Errorf("listing the revisions of the SidecarSet: %w", err))}
	}
	revisions, names := make([]*appsv1.ControllerRevision, len(list.Items)), make([]string, len(list.Items))
	for i := range list.Items {
		revisions[i], names[i] = &list.Items[i], list.Items[i].Name
	}
	if sidecar.Pinned(set, revisions) != nil {
		return nil
	}
	slices.Sort(names)
	there := "there are no revisions"
	if len(names) > 0 {
		there = "there are " + strings.Join(names, ", ")
	}
	if name := ptr.Deref(wanted.RevisionName, ""); name != "" {
		return field.ErrorList{field.Invalid(path.Child("revisionName"), name, "is no revision of this SidecarSet: "+there)}
	}
	return field.ErrorList{field.Invalid(path.Child("customVersion"), ptr.Deref(wanted.CustomVersion, ""), "is the version of no revision of this SidecarSet: "+there)}
}

func sameRevision(a, b *v1beta1.SidecarSetInjectRevision) bool {
	return ptr.Deref(a.RevisionName, "") == ptr.Deref(b.RevisionName, "") && ptr.Deref(a.CustomVersion, "") == ptr.Deref(b.CustomVersion, "")
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
