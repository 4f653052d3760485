// Package v1alpha1 holds the older served version of policy.kruise.io, and the words of that group which are in no kind.
//
// It promises the wire contract of OpenKruise v1alpha1. It holds no behaviour.
package v1alpha1
