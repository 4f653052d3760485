// Package v1alpha1 holds the older served version of the policy.kruise.io kinds, which most manifests in the world use.
// What is the same in both versions is taken from v1beta1, the storage version, and not told twice.
//
// It promises the wire contract of OpenKruise v1alpha1. It holds no behaviour.
//
// +kubebuilder:object:generate=true
// +groupName=policy.kruise.io
package v1alpha1
