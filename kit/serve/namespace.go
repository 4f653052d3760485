package serve

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// limit has a cache list and watch one namespace alone, as with DefaultNamespaces, whose informers have no index, though. Of
// kinds that are in no namespace, such as nodes, it sees every object.
func limit(options *cache.Options, config *rest.Config, scheme *runtime.Scheme, namespace string) error {
	options.DefaultFieldSelector = fields.OneTermEqualSelector("metadata.namespace", namespace)
	asking, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("asking the API server which kinds are in no namespace: %w", err)
	}
	_, lists, err := asking.ServerGroupsAndResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) { // a group whose server is away is none of ours
		return fmt.Errorf("asking the API server which kinds are in no namespace: %w", err)
	}
	options.ByObject = map[client.Object]cache.ByObject{}
	for _, list := range lists {
		version, err := schema.ParseGroupVersion(list.GroupVersion)
		if err != nil {
			return fmt.Errorf("reading the API server's list of kinds: %w", err)
		}
		for _, resource := range list.APIResources {
			kind := version.WithKind(resource.Kind)
			if resource.Namespaced || strings.Contains(resource.Name, "/") || !scheme.Recognizes(kind) {
				continue
			}
			object, err := scheme.New(kind)
			if err != nil {
				return fmt.Errorf("making an empty %s: %w", kind.Kind, err)
			}
			if empty, ok := object.(client.Object); ok {
				options.ByObject[empty] = cache.ByObject{Field: fields.Everything()}
			}
		}
	}
	return nil
}
