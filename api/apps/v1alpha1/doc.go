// Package v1alpha1 holds the older served version of the apps.kruise.io kinds, which most manifests in the world use.
// What is the same in both versions is taken from v1beta1, the storage version, and not told twice.
//
// It promises the wire contract of OpenKruise v1alpha1. It holds no behaviour; the conversion between the versions
// lives beside the controller of each kind.
//
// +kubebuilder:object:generate=true
// +groupName=apps.kruise.io
package v1alpha1
