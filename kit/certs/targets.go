package certs

import (
	"context"
	"fmt"
	"net/http"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// target is an object that calls the webhooks.
type target struct {
	kind   string
	object client.Object
	// bundles returns where the object, once read, holds the CAs that it trusts.
	bundles func() []*[]byte
	// patch makes the patch from what was read.
	patch func(base client.Object) client.Patch
}

func (t target) String() string { return t.kind + " " + t.object.GetName() }

// targets makes a fresh, empty object for each target.
func (k *Keeper) targets() []target {
	var targets []target
	for _, name := range k.opts.Mutating {
		c := &admissionregistrationv1.MutatingWebhookConfiguration{}
		c.Name = name
		targets = append(targets, target{kind: "MutatingWebhookConfiguration", object: c, patch: strategic, bundles: func() (all []*[]byte) {
			for i := range c.Webhooks {
				all = append(all, &c.Webhooks[i].ClientConfig.CABundle)
			}
			return all
		}})
	}
	for _, name := range k.opts.Validating {
		c := &admissionregistrationv1.ValidatingWebhookConfiguration{}
		c.Name = name
		targets = append(targets, target{kind: "ValidatingWebhookConfiguration", object: c, patch: strategic, bundles: func() (all []*[]byte) {
			for i := range c.Webhooks {
				all = append(all, &c.Webhooks[i].ClientConfig.CABundle)
			}
			return all
		}})
	}
	for _, name := range k.opts.CRDs {
		c := &apiextensionsv1.CustomResourceDefinition{}
		c.Name = name
		targets = append(targets, target{kind: "CustomResourceDefinition", object: c, patch: merge, bundles: func() []*[]byte {
			conversion := c.Spec.Conversion
			if conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
				return nil
			}
			return []*[]byte{&conversion.Webhook.ClientConfig.CABundle}
		}})
	}
	return targets
}

// Lists of webhooks are merged by name only by a strategic patch, which custom resource definitions do not know. Both
// kinds of patch carry the CAs alone, and the version that was read.
func strategic(base client.Object) client.Patch {
	return client.StrategicMergeFrom(base, client.MergeFromWithOptimisticLock{})
}

func merge(base client.Object) client.Patch {
	return client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{})
}

// watch makes every change of the Secret and the targets wake the Keeper. Each object is watched by its name alone, and only
// its metadata is kept: the schemas of CustomResourceDefinitions are large, and what is to be read is read when it is needed.
func (k *Keeper) watch(ctx context.Context) error {
	httpClient, err := rest.HTTPClientFor(k.config)
	if err != nil {
		return fmt.Errorf("certs: making an HTTP client: %w", err)
	}
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name = k.opts.Secret.Namespace, k.opts.Secret.Name
	objects := []client.Object{secret}
	for _, t := range k.targets() {
		objects = append(objects, t.object)
	}
	for _, object := range objects {
		kind, err := k.client.GroupVersionKindFor(object)
		if err != nil {
			return fmt.Errorf("certs: watching %T %s: %w", object, object.GetName(), err)
		}
		if err := k.watchOne(ctx, httpClient, kind, client.ObjectKeyFromObject(object)); err != nil {
			return fmt.Errorf("certs: watching %s %s: %w", kind.Kind, object.GetName(), err)
		}
	}
	return nil
}

func (k *Keeper) watchOne(ctx context.Context, httpClient *http.Client, kind schema.GroupVersionKind, name client.ObjectKey) error {
	object := &metav1.PartialObjectMetadata{}
	object.SetGroupVersionKind(kind)
	only := cache.ByObject{Field: fields.OneTermEqualSelector("metadata.name", name.Name)}
	if name.Namespace != "" {
		only.Namespaces = map[string]cache.Config{name.Namespace: {}}
	}
	one, err := cache.New(k.config, cache.Options{
		HTTPClient: httpClient, Mapper: k.client.RESTMapper(), Scheme: k.client.Scheme(), DefaultTransform: cache.TransformStripManagedFields(),
		ByObject: map[client.Object]cache.ByObject{object: only},
	})
	if err != nil {
		return err
	}
	informer, err := one.GetInformer(ctx, object, cache.BlockUntilSynced(false))
	if err != nil {
		return err
	}
	if _, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { k.wake() },
		UpdateFunc: func(any, any) { k.wake() },
		DeleteFunc: func(any) { k.wake() },
	}); err != nil {
		return err
	}
	go func() {
		if err := one.Start(ctx); err != nil {
			log.FromContext(ctx).Error(err, "A watch ended", "kind", kind.Kind, "object", name.Name)
		}
	}()
	return nil
}

func (k *Keeper) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}
