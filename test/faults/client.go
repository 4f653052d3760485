package faults

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// apiClient is the client of the process under test. It reads from caches and writes to the server. What the product does
// not use is not modelled, and says so by a nil interface.
type apiClient struct {
	client.Client
	process *process
}

// request is one call of the API server.
type request struct {
	verb, kind, name, sub string
	// run carries the call out, and hands its result over where the answer arrives.
	run  func(answered bool) error
	err  error
	turn chan struct{}
}

func (r *request) String() string {
	text := r.verb + " " + r.kind + " " + r.name
	if r.sub != "" {
		text += " " + r.sub
	}
	return text
}

func (r *request) writes() bool { return r.verb != "get" }

// Get implements client.Reader, from the cache.
func (c apiClient) Get(_ context.Context, at client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	kind := kindOf(obj)
	found, exists, err := c.process.mirrors[kind].informer.GetIndexer().GetByKey(toolscache.ObjectName(at).String())
	if err != nil {
		return err
	}
	if !exists {
		return apierrors.NewNotFound(resourceOf(kind), at.Name)
	}
	stored, ok := found.(client.Object)
	if !ok {
		return fmt.Errorf("the cache holds %T", found)
	}
	if kind == c.process.machine.kind.name {
		c.process.set = stored
	}
	return fill(obj, stored)
}

// Create implements client.Writer.
func (c apiClient) Create(ctx context.Context, obj client.Object, _ ...client.CreateOption) error {
	return c.process.call(ctx, &request{verb: "create", kind: kindOf(obj), name: obj.GetName(), run: func(answered bool) error {
		stored, err := c.process.machine.create(obj)
		if err == nil && answered {
			err = fill(obj, stored)
		}
		return err
	}})
}

// Delete implements client.Writer.
func (c apiClient) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	o := client.DeleteOptions{}
	o.ApplyOptions(opts)
	var p *client.Preconditions
	if o.Preconditions != nil {
		p = &client.Preconditions{UID: o.Preconditions.UID, ResourceVersion: o.Preconditions.ResourceVersion}
	}
	return c.process.call(ctx, &request{verb: "delete", kind: kindOf(obj), name: obj.GetName(), run: func(bool) error {
		return c.process.machine.remove(kindOf(obj), obj.GetName(), p)
	}})
}

// Patch implements client.Writer.
func (c apiClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return c.patch(ctx, "", obj, patch)
}

func (c apiClient) patch(ctx context.Context, sub string, obj client.Object, patch client.Patch) error {
	body, err := patch.Data(obj)
	if err != nil {
		return err
	}
	return c.process.call(ctx, &request{verb: "patch", kind: kindOf(obj), name: obj.GetName(), sub: sub, run: func(answered bool) error {
		stored, err := c.process.machine.patch(kindOf(obj), obj.GetName(), sub, patch, body)
		if err == nil && answered {
			err = fill(obj, stored)
		}
		return err
	}})
}

// Status implements client.Client.
func (c apiClient) Status() client.SubResourceWriter { return c.SubResource("status") }

// SubResource implements client.Client.
func (c apiClient) SubResource(name string) client.SubResourceClient {
	return subClient{client: c, name: name}
}

// Scheme implements client.Client.
func (c apiClient) Scheme() *runtime.Scheme { return c.process.machine.scheme }

type subClient struct {
	client.SubResourceClient
	client apiClient
	name   string
}

// Patch implements client.SubResourceWriter.
func (s subClient) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.client.patch(ctx, s.name, obj, patch)
}

// live reads from the server itself.
type live struct{ apiClient }

// Get implements client.Reader.
func (l live) Get(ctx context.Context, at client.ObjectKey, obj client.Object, _ ...client.GetOption) error {
	kind := kindOf(obj)
	return l.process.call(ctx, &request{verb: "get", kind: kind, name: at.Name, run: func(bool) error {
		stored := l.process.machine.tables[kind].objects[at.Name]
		if stored == nil {
			return apierrors.NewNotFound(resourceOf(kind), at.Name)
		}
		return fill(obj, stored)
	}})
}

// fill gives an object the content of one that is stored.
func fill(obj, stored client.Object) error {
	if meta, ok := obj.(*metav1.PartialObjectMetadata); ok {
		meta.ObjectMeta = metav1.ObjectMeta{
			Name: stored.GetName(), Namespace: stored.GetNamespace(), UID: stored.GetUID(), ResourceVersion: stored.GetResourceVersion(),
			Generation: stored.GetGeneration(), Labels: stored.GetLabels(), Annotations: stored.GetAnnotations(),
			OwnerReferences: stored.GetOwnerReferences(), DeletionTimestamp: stored.GetDeletionTimestamp(), Finalizers: stored.GetFinalizers(),
		}
		return nil
	}
	fresh, err := copyOf(stored)
	if err != nil {
		return err
	}
	to, from := reflect.ValueOf(obj), reflect.ValueOf(fresh)
	if to.Type() != from.Type() {
		return fmt.Errorf("fill %T with %T", obj, stored)
	}
	to.Elem().Set(from.Elem())
	return nil
}

var errCrashed = errors.New("the process died")
