// Package v1beta1 holds the storage version of the apps.kruise.io kinds: the objects that users write, the labels,
// annotations and conditions through which the product speaks on pods, and the text of every rule that one object can
// keep by itself (CEL and schema markers, enforced by the API server without any webhook).
//
// It promises the wire contract of OpenKruise: field names, defaults and meanings are kept, so that existing manifests
// and clients work unchanged. It holds no behaviour.
//
// +kubebuilder:object:generate=true
// +groupName=apps.kruise.io
package v1beta1
