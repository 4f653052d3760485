// Package v1beta1 holds the storage version of the policy.kruise.io kinds: types, rules, and the names that clients read.
//
// It promises the wire contract of OpenKruise: JSON names, defaults and meanings stay as they are. It holds no
// behaviour. Rules that one object can keep by itself stand in its schema, so the API server refuses what breaks them.
//
// +kubebuilder:object:generate=true
// +groupName=policy.kruise.io
package v1beta1
