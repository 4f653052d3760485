package protection

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/metadata"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/plan/protection"
)

// +kubebuilder:rbac:groups="",resources=pods;persistentvolumeclaims,verbs=list

const (
	// page is how many objects are looked at in one go, and enough of them to end the count.
	page = 500
	// pageOfAny is the same for objects of a kind that is not known, which may be big: the API server reads them whole.
	pageOfAny = 20
)

// children counts what would go with an object. It asks the API server itself: deletions of objects with the label are rare, a
// cache may not know of a pod that was just made, and most kinds are in none.
type children struct {
	live    client.Reader
	objects metadata.Interface
}

// of counts what would go with a namespace or with a CustomResourceDefinition.
func (c children) of(ctx context.Context, o protection.Object, object *unstructured.Unstructured) ([]protection.Children, error) {
	if o.Kind == protection.Definitions {
		found, err := c.ofDefinition(ctx, object)
		return []protection.Children{found}, err
	}
	pods, err := c.pods(ctx, o.Name)
	if err != nil {
		return nil, err
	}
	claims, err := c.claims(ctx, o.Name)
	return []protection.Children{pods, claims}, err
}

// pods counts the pods of a namespace that have not ended and are not being deleted.
func (c children) pods(ctx context.Context, namespace string) (protection.Children, error) {
	pods := c.objects.Resource(corev1.SchemeGroupVersion.WithResource("pods")).Namespace(namespace)
	found, err := staying(ctx, pods, metav1.ListOptions{
		Limit: page, FieldSelector: fmt.Sprintf("status.phase!=%s,status.phase!=%s", corev1.PodSucceeded, corev1.PodFailed),
	})
	found.Of = "active pod"
	if err != nil {
		return found, fmt.Errorf("counting the pods: %w", err)
	}
	return found, nil
}

// claims counts the claims of a namespace that are bound to a volume.
func (c children) claims(ctx context.Context, namespace string) (protection.Children, error) {
	found := protection.Children{Of: "bound volume claim"}
	for list := (&corev1.PersistentVolumeClaimList{}); ; {
		if err := c.live.List(ctx, list, client.InNamespace(namespace), client.Limit(page), client.Continue(list.Continue)); err != nil {
			return found, fmt.Errorf("counting the volume claims: %w", err)
		}
		for i := range list.Items {
			if list.Items[i].Status.Phase == corev1.ClaimBound {
				found.Count++
			}
		}
		if found.More = list.Continue != ""; !found.More || found.Count >= page {
			return found, nil
		}
	}
}

// ofDefinition counts the objects of a CustomResourceDefinition that are not being deleted.
func (c children) ofDefinition(ctx context.Context, definition *unstructured.Unstructured) (protection.Children, error) {
	none := protection.Children{Of: "object"}
	resource, err := servedResource(definition)
	if err != nil {
		return none, err
	}
	found, err := staying(ctx, c.objects.Resource(resource), metav1.ListOptions{Limit: pageOfAny})
	found.Of = none.Of
	switch {
	case apierrors.IsNotFound(err): // it never came to be served, so nobody made any
		return none, nil
	case apierrors.IsForbidden(err):
		return none, fmt.Errorf("kruise-manager may not list %s: name the group in deletionProtection.groups of the Helm chart: %w", resource.GroupResource(), err)
	case err != nil:
		return none, fmt.Errorf("counting the %s: %w", resource.GroupResource(), err)
	}
	return found, nil
}

// servedResource is the resource of a CustomResourceDefinition in a version that is served; the stored one, if it is, for which
// nothing needs to be converted.
func servedResource(definition *unstructured.Unstructured) (schema.GroupVersionResource, error) {
	group, _, _ := unstructured.NestedString(definition.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	versions, _, err := unstructured.NestedSlice(definition.Object, "spec", "versions")
	resource := schema.GroupVersionResource{Group: group, Resource: plural}
	for _, version := range versions {
		v, ok := version.(map[string]any)
		if !ok || v["served"] != true || resource.Version != "" && v["storage"] != true {
			continue
		}
		resource.Version, _, err = unstructured.NestedString(v, "name")
	}
	if err != nil || resource.Version == "" {
		return resource, fmt.Errorf("no version of %s is served", resource.GroupResource())
	}
	return resource, nil
}

// staying counts objects that are not being deleted, until there are as many as one page holds.
func staying(ctx context.Context, objects metadata.ResourceInterface, options metav1.ListOptions) (found protection.Children, err error) {
	for {
		list, err := objects.List(ctx, options)
		if err != nil {
			return found, err
		}
		for i := range list.Items {
			if list.Items[i].DeletionTimestamp == nil {
				found.Count++
			}
		}
		options.Continue = list.Continue
		if found.More = list.Continue != ""; !found.More || found.Count >= options.Limit {
			return found, nil
		}
	}
}
