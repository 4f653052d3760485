package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"kruise.io/kruise/kit/turn"
)

// API reads and writes objects at the API server itself.
type API interface {
	// Get reads an object.
	Get(ctx context.Context, key types.NamespacedName, obj turn.Object) error
	// PatchStatus sends a patch to the status of an object, and leaves in the object what the API server made of it.
	PatchStatus(ctx context.Context, obj turn.Object, kind types.PatchType, body []byte) error
}

// Client talks to the API server about the kinds of a scheme. It is safe for concurrent use; make it with NewClient.
type Client struct {
	scheme *runtime.Scheme
	config *rest.Config
	http   *http.Client

	mu    sync.Mutex
	known map[schema.GroupVersionKind]*endpoint
}

// endpoint is where the objects of a kind are.
type endpoint struct {
	rest       rest.Interface
	resource   string
	namespaced bool
}

// NewClient makes a client.
func NewClient(config *rest.Config, scheme *runtime.Scheme) (*Client, error) {
	connections, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the API server: %w", err)
	}
	return &Client{scheme: scheme, config: config, http: connections, known: map[schema.GroupVersionKind]*endpoint{}}, nil
}

// Kind is the kind of an object.
func (c *Client) Kind(obj runtime.Object) (schema.GroupVersionKind, error) {
	kinds, _, err := c.scheme.ObjectKinds(obj)
	if err != nil {
		return schema.GroupVersionKind{}, fmt.Errorf("find the kind of %T: %w", obj, err)
	}
	return kinds[0], nil
}

// Serves says whether the API server serves the kind of an object.
func (c *Client) Serves(ctx context.Context, obj turn.Object) (bool, error) {
	_, err := c.endpoint(ctx, obj)
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	return err == nil, err
}

// Get implements API.
func (c *Client) Get(ctx context.Context, key types.NamespacedName, obj turn.Object) error {
	at, err := c.endpoint(ctx, obj)
	if err != nil {
		return err
	}
	return at.rest.Get().NamespaceIfScoped(key.Namespace, at.namespaced).Resource(at.resource).Name(key.Name).Do(ctx).Into(obj)
}

// PatchStatus implements API.
func (c *Client) PatchStatus(ctx context.Context, obj turn.Object, kind types.PatchType, body []byte) error {
	return c.patch(ctx, obj, kind, body, "status")
}

func (c *Client) patch(ctx context.Context, obj turn.Object, kind types.PatchType, body []byte, part ...string) error {
	at, err := c.endpoint(ctx, obj)
	if err != nil {
		return err
	}
	return at.rest.Patch(kind).NamespaceIfScoped(obj.GetNamespace(), at.namespaced).Resource(at.resource).Name(obj.GetName()).
		SubResource(part...).Body(body).Do(ctx).Into(obj)
}

func (c *Client) create(ctx context.Context, obj turn.Object) error {
	at, err := c.endpoint(ctx, obj)
	if err != nil {
		return err
	}
	return at.rest.Post().NamespaceIfScoped(obj.GetNamespace(), at.namespaced).Resource(at.resource).Body(obj).Do(ctx).Into(obj)
}

// endpoint finds out where the objects of a kind are, once: neither the resource nor the scope of a kind that is served can
// change. The error of a kind that is not served says NotFound.
func (c *Client) endpoint(ctx context.Context, obj turn.Object) (*endpoint, error) {
	kind, err := c.Kind(obj)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if known := c.known[kind]; known != nil {
		return known, nil
	}
	found, err := c.discover(ctx, kind, obj)
	if err != nil {
		return nil, fmt.Errorf("ask the API server for the resource of %s: %w", kind, err)
	}
	c.known[kind] = found
	return found, nil
}

func (c *Client) discover(ctx context.Context, kind schema.GroupVersionKind, obj runtime.Object) (*endpoint, error) {
	config, version := rest.CopyConfig(c.config), kind.GroupVersion()
	config.GroupVersion, config.APIPath = &version, "/apis"
	if version.Group == "" {
		config.APIPath = "/api"
	}
	config.NegotiatedSerializer = serializer.NewCodecFactory(c.scheme).WithoutConversion()
	if _, binary := obj.(interface{ Unmarshal(data []byte) error }); binary { // as kinds of Kubernetes are, and no others
		config.ContentType, config.AcceptContentTypes = runtime.ContentTypeProtobuf, runtime.ContentTypeProtobuf+","+runtime.ContentTypeJSON
	}
	client, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, err
	}
	text, err := client.Get().SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
	if err != nil {
		return nil, err
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, err
	}
	for i := range list.APIResources {
		if r := &list.APIResources[i]; r.Kind == kind.Kind && !strings.Contains(r.Name, "/") {
			return &endpoint{rest: client, resource: r.Name, namespaced: r.Namespaced}, nil
		}
	}
	return nil, apierrors.NewNotFound(schema.GroupResource{Group: kind.Group, Resource: kind.Kind}, version.String())
}
