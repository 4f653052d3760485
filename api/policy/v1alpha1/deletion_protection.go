package v1alpha1

// DeletionProtectionKey is the label that protects the object which carries it from being deleted, while the feature gate
// ResourcesDeletionProtection is on. Any other value than the two below protects nothing.
const DeletionProtectionKey = "policy.kruise.io/delete-protection"

const (
	// DeletionProtectionTypeAlways has every deletion refused until the label is taken off.
	DeletionProtectionTypeAlways = "Always"
	// DeletionProtectionTypeCascading has a deletion refused while others would go with the object, such as the pods of a
	// workload or what is in a namespace.
	DeletionProtectionTypeCascading = "Cascading"
)
