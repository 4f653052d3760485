package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// PersistentPodStateSpec is what to remember of the pods of a workload, and where to send them back to.
//
// +kubebuilder:validation:XValidation:rule="has(self.requiredPersistentTopology) || has(self.preferredPersistentTopology) && size(self.preferredPersistentTopology) > 0",message="requiredPersistentTopology or preferredPersistentTopology must be set: without either no pod is sent back anywhere"
type PersistentPodStateSpec struct {
	// targetRef is the workload: a StatefulSet of apps or apps.kruise.io in the same namespace. Required; immutable. A
	// workload has at most one PersistentPodState.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="targetRef is immutable: what is remembered is of this workload; create another PersistentPodState instead"
	TargetReference v1beta1.TargetReference `json:"targetRef"`
	// persistentPodAnnotations are the annotations of pods to remember. They stand in the status for others to read, and are
	// not written on new pods. Default: none.
	// +listType=atomic
	// +optional
	PersistentPodAnnotations []v1beta1.PersistentPodAnnotation `json:"persistentPodAnnotations,omitempty"`
	// requiredPersistentTopology is the topology in which a pod must run again, by the labels of its node: it waits where no
	// node of it takes the pod. Default: none.
	// +optional
	RequiredPersistentTopology *NodeTopologyTerm `json:"requiredPersistentTopology,omitempty"`
	// preferredPersistentTopology are topologies in which a pod should run again. Default: none.
	// +listType=atomic
	// +optional
	PreferredPersistentTopology []PreferredTopologyTerm `json:"preferredPersistentTopology,omitempty"`
	// persistentPodStateRetentionPolicy says when a pod is forgotten: once it was scaled in (WhenScaled), or with the workload
	// (WhenDeleted). Default: WhenScaled, which an empty value is, too.
	// +kubebuilder:validation:Enum="";WhenScaled;WhenDeleted
	// +optional
	PersistentPodStateRetentionPolicy v1beta1.PersistentPodStateRetentionPolicyType `json:"persistentPodStateRetentionPolicy,omitempty"`
}

// PreferredTopologyTerm is a topology in which a pod should run again.
type PreferredTopologyTerm struct {
	// weight is how much it counts beside others, from 0 to 100. Required; 0 is not at all.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// preference is the topology. Required.
	Preference NodeTopologyTerm `json:"preference"`
}

// NodeTopologyTerm is the topology in which a pod ran, by labels of its node.
type NodeTopologyTerm struct {
	// nodeTopologyKeys are the keys of the labels, such as kubernetes.io/hostname. Required; at least one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	// +listType=atomic
	NodeTopologyKeys []string `json:"nodeTopologyKeys"`
}

// PersistentPodState remembers where the pods of a workload run, and sends a pod that is created anew back there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
type PersistentPodState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec PersistentPodStateSpec `json:"spec"`
	// status is what is remembered.
	// +optional
	Status v1beta1.PersistentPodStateStatus `json:"status,omitempty,omitzero"`
}

// PersistentPodStateList is a list of PersistentPodStates.
//
// +kubebuilder:object:root=true
type PersistentPodStateList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the PersistentPodStates.
	Items []PersistentPodState `json:"items"`
}
