package protection

import "k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

// Rule says how the objects of one kind are protected.
type Rule struct {
	// Group and Kind name the kind, Resource is what its objects are called in requests.
	Group, Kind, Resource string
	// Remedy says what to do about the objects that would go with one of the kind; empty where Cascading means nothing.
	Remedy string
	// counts reads off an object how many others would go with it; nil where others must be counted for that.
	counts func(object map[string]any) Children
}

// Rules is the list of all kinds that are protected. No other kind is.
func Rules() []Rule {
	const kruise = "apps.kruise.io"
	const toZero = "scale it to 0 first"
	return []Rule{
		{Kind: Namespaces, Resource: "namespaces", Remedy: "remove them first"},
		{Group: "apiextensions.k8s.io", Kind: Definitions, Resource: "customresourcedefinitions", Remedy: "remove them first"},
		{Group: "apps", Kind: "Deployment", Resource: "deployments", Remedy: toZero, counts: replicas},
		{Group: "apps", Kind: "ReplicaSet", Resource: "replicasets", Remedy: toZero, counts: replicas},
		{Group: "apps", Kind: "StatefulSet", Resource: "statefulsets", Remedy: toZero, counts: replicas},
		{Group: kruise, Kind: "CloneSet", Resource: "clonesets", Remedy: toZero, counts: replicas},
		{Group: kruise, Kind: "StatefulSet", Resource: "statefulsets", Remedy: toZero, counts: replicas},
		{Group: kruise, Kind: "UnitedDeployment", Resource: "uniteddeployments", Remedy: toZero, counts: replicas},
		{Group: kruise, Kind: "DaemonSet", Resource: "daemonsets", Remedy: "have it select no node first", counts: daemons},
		{Group: kruise, Kind: "SidecarSet", Resource: "sidecarsets", Remedy: "have it select no pod first", counts: matched},
		{Kind: "Service", Resource: "services"},
		{Group: "networking.k8s.io", Kind: "Ingress", Resource: "ingresses"},
	}
}

// The kinds whose children are other objects, which must be counted.
const (
	Namespaces  = "Namespace"
	Definitions = "CustomResourceDefinition"
)

// replicas are those that a workload is to have: 1 where it does not say.
func replicas(object map[string]any) Children {
	n, found := number(object, "spec", "replicas")
	if !found {
		n = 1
	}
	return Children{Count: n, Of: "replica"}
}

// daemons are the pods that a DaemonSet is to have, or still has: one on each node.
func daemons(object map[string]any) Children {
	wanted, _ := number(object, "status", "desiredNumberScheduled")
	current, _ := number(object, "status", "currentNumberScheduled")
	stray, _ := number(object, "status", "numberMisscheduled")
	return Children{Count: max(wanted, current+stray), Of: "pod"}
}

// matched are the pods that a SidecarSet selects.
func matched(object map[string]any) Children {
	n, _ := number(object, "status", "matchedPods")
	return Children{Count: n, Of: "pod"}
}

// number reads an integer, as a decoder of JSON left it.
func number(object map[string]any, path ...string) (int64, bool) {
	value, found, err := unstructured.NestedFieldNoCopy(object, path...)
	if err != nil || !found {
		return 0, false
	}
	switch n := value.(type) {
	case int64:
		return n, true
	case float64:
		return int64(n), true
	default:
		return 0, false
	}
}

// For finds the rule for a kind.
func For(group, kind string) (Rule, bool) {
	for _, r := range Rules() {
		if r.Group == group && r.Kind == kind {
			return r, true
		}
	}
	return Rule{}, false
}

// name is the resource as kubectl understands it beyond doubt.
func (r Rule) name() string {
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}
