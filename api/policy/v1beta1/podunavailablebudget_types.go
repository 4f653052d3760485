package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PubOperation is a sort of request that takes a pod out of service.
//
// +kubebuilder:validation:Enum=DELETE;UPDATE;EVICT;RESIZE
type PubOperation string

// The operations.
const (
	// PubDeleteOperation is the deletion of a pod.
	PubDeleteOperation PubOperation = "DELETE"
	// PubUpdateOperation is a change of a pod's spec, or a label that marks it as unavailable.
	PubUpdateOperation PubOperation = "UPDATE"
	// PubEvictOperation is the eviction of a pod.
	PubEvictOperation PubOperation = "EVICT"
	// PubResizeOperation is a change of a running pod's cpu and memory that restarts no container.
	PubResizeOperation PubOperation = "RESIZE"
)

// PodUnavailableBudgetSpec is what a user wants to stay available.
//
// +kubebuilder:validation:XValidation:rule="has(self.selector) != has(self.targetRef)",message="exactly one of selector and targetRef must be set"
// +kubebuilder:validation:XValidation:rule="has(self.selector) == has(oldSelf.selector)",message="selector and targetRef are immutable: pods remember their budget; create another PodUnavailableBudget instead"
// +kubebuilder:validation:XValidation:rule="has(self.maxUnavailable) != has(self.minAvailable)",message="exactly one of maxUnavailable and minAvailable must be set"
type PodUnavailableBudgetSpec struct {
	// selector selects the pods, in the namespace of the object. Default: unset; exactly one of selector and targetRef is set.
	// Immutable, not empty.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: pods remember their budget; create another PodUnavailableBudget instead"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// targetRef is the workload whose pods are meant, in the namespace of the object. Default: unset; exactly one of selector and
	// targetRef is set. Immutable.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="targetRef is immutable: pods remember their budget; create another PodUnavailableBudget instead"
	// +optional
	TargetReference *TargetReference `json:"targetRef,omitempty"`
	// maxUnavailable is how many pods may be unavailable. An integer, or a percentage of the total rounded up. Default: unset;
	// exactly one of maxUnavailable and minAvailable is set.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxUnavailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// minAvailable is how many pods must stay available. An integer, or a percentage of the total rounded up. Default: unset;
	// exactly one of maxUnavailable and minAvailable is set.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="minAvailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MinAvailable *intstr.IntOrString `json:"minAvailable,omitempty"`
	// protectOperations are the operations that spend the budget: DELETE, UPDATE, EVICT, RESIZE; others are let through. Default:
	// the annotation kruise.io/pub-protect-operations, or else DELETE, UPDATE and EVICT. Where the gate
	// InPlacePodVerticalScaling is off, UPDATE stands for RESIZE, too. No duplicates.
	// +kubebuilder:validation:MaxItems=4
	// +listType=set
	// +optional
	ProtectOperations []PubOperation `json:"protectOperations,omitempty"`
	// protectTotalReplicas is the total that percentages and maxUnavailable count from, at least 1. Default: the annotation
	// pub.kruise.io/protect-total-replicas, or else the replicas of the workloads of the pods.
	// +kubebuilder:validation:Minimum=1
	// +optional
	ProtectTotalReplicas *int32 `json:"protectTotalReplicas,omitempty"`
	// ignoredPodSelector selects pods that the budget does not count and does not protect. Default: unset, none. Not empty.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="ignoredPodSelector must not be empty: it would match every pod"
	// +optional
	IgnoredPodSelector *metav1.LabelSelector `json:"ignoredPodSelector,omitempty"`
}

// TargetReference names a workload.
type TargetReference struct {
	// apiVersion is the API version of the workload, such as apps/v1. Required; the version may be any that is served.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9][a-z0-9.-]*/)?v[0-9][a-z0-9]*$`
	APIVersion string `json:"apiVersion"`
	// kind is the kind of the workload. Required, not empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind"`
	// name is the name of the workload. Required, not empty.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// PodUnavailableBudgetStatus is what was last counted, and who was permitted to go since.
type PodUnavailableBudgetStatus struct {
	// observedGeneration is the generation of the spec that the rest of the status is about. While it is older than the object,
	// no pod may go.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// disruptedPods are pods whose deletion or eviction was permitted and has not been seen yet, with the time of the permission.
	// An entry lasts 20 seconds at most.
	// +optional
	DisruptedPods map[string]metav1.Time `json:"disruptedPods,omitempty"`
	// unavailablePods are pods whose change was permitted and has not been seen yet, with the time of the permission. An entry
	// lasts 10 seconds at most.
	// +optional
	UnavailablePods map[string]metav1.Time `json:"unavailablePods,omitempty"`
	// unavailableAllowed is how many more pods may become unavailable now.
	// +kubebuilder:default=0
	UnavailableAllowed int32 `json:"unavailableAllowed"`
	// currentAvailable is the number of pods that are available and were not permitted to go.
	// +kubebuilder:default=0
	CurrentAvailable int32 `json:"currentAvailable"`
	// desiredAvailable is the number of pods that must stay available. While it is 0, every pod may go.
	// +kubebuilder:default=0
	DesiredAvailable int32 `json:"desiredAvailable"`
	// totalReplicas is the number of pods that there should be.
	// +kubebuilder:default=0
	TotalReplicas int32 `json:"totalReplicas"`
}

// PodUnavailableBudget keeps enough pods available: deletions, evictions and changes of pods are refused while too few are.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pub
// +kubebuilder:printcolumn:name="Allowed",type="integer",JSONPath=".status.unavailableAllowed",description="The number of pods that may become unavailable now."
// +kubebuilder:printcolumn:name="Current",type="integer",JSONPath=".status.currentAvailable",description="The number of available pods."
// +kubebuilder:printcolumn:name="Desired",type="integer",JSONPath=".status.desiredAvailable",description="The number of pods that must stay available."
// +kubebuilder:printcolumn:name="Total",type="integer",JSONPath=".status.totalReplicas",description="The number of pods that there should be."
// +kubebuilder:printcolumn:name="Age",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
type PodUnavailableBudget struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec PodUnavailableBudgetSpec `json:"spec"`
	// status is what was last seen.
	// +optional
	Status PodUnavailableBudgetStatus `json:"status,omitempty,omitzero"`
}

// PodUnavailableBudgetList is a list of PodUnavailableBudgets.
//
// +kubebuilder:object:root=true
type PodUnavailableBudgetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the PodUnavailableBudgets.
	Items []PodUnavailableBudget `json:"items"`
}

// Annotations of PodUnavailableBudgets.
const (
	// PubProtectOperationsKey is the v1alpha1 form of protectOperations: a list with commas between the operations.
	PubProtectOperationsKey = "kruise.io/pub-protect-operations"
	// PubProtectTotalReplicasKey is the v1alpha1 form of protectTotalReplicas.
	PubProtectTotalReplicasKey = "pub.kruise.io/protect-total-replicas"
)

// Annotations of pods.
const (
	// PodRelatedPubKey names the PodUnavailableBudget of a pod.
	PodRelatedPubKey = "pub.kruise.io/related-pub"
	// PodRelatedPubKeyOld is the older name of PodRelatedPubKey; it is still read and written.
	PodRelatedPubKeyOld = "kruise.io/related-pub"
	// PodNoProtectKey exempts a pod from its budget where it says true.
	PodNoProtectKey = "pub.kruise.io/no-protect"
)
