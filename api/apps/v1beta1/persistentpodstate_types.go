package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Annotations of a StatefulSet for which a PersistentPodState of the same name is made, and kept as they say.
const (
	// AutoGeneratePersistentPodStateKey is "true" where one is wanted.
	AutoGeneratePersistentPodStateKey = "kruise.io/auto-generate-persistent-pod-state"
	// RequiredPersistentTopologyKey lists the keys of its requiredPersistentTopology, with commas between them.
	RequiredPersistentTopologyKey = "kruise.io/required-persistent-topology"
	// PreferredPersistentTopologyKey lists the keys of its preferredPersistentTopology, of weight 100, with commas between them.
	PreferredPersistentTopologyKey = "kruise.io/preferred-persistent-topology"
	// PersistentPodAnnotationsKey lists the keys of its persistentPodAnnotations, with commas between them.
	PersistentPodAnnotationsKey = "kruise.io/persistent-pod-annotations"
)

// InjectedPersistentPodStateKey is the annotation of a pod with the name of the PersistentPodState that sent it back.
const InjectedPersistentPodStateKey = "kruise.io/injected-persistent-pod-state"

// PersistentPodStateRetentionPolicyType says how long the state of a pod is kept.
type PersistentPodStateRetentionPolicyType string

// The policies.
const (
	// PersistentPodStateRetentionPolicyWhenScaled forgets a pod that was scaled in.
	PersistentPodStateRetentionPolicyWhenScaled PersistentPodStateRetentionPolicyType = "WhenScaled"
	// PersistentPodStateRetentionPolicyWhenDeleted forgets no pod before the workload is deleted.
	PersistentPodStateRetentionPolicyWhenDeleted PersistentPodStateRetentionPolicyType = "WhenDeleted"
)

// PersistentPodStateSpec is what to remember of the pods of a workload, and where to send them back to.
//
// +kubebuilder:validation:XValidation:rule="has(self.requiredPersistentTopology) || has(self.preferredPersistentTopology) && size(self.preferredPersistentTopology) > 0",message="requiredPersistentTopology or preferredPersistentTopology must be set: without either no pod is sent back anywhere"
type PersistentPodStateSpec struct {
	// targetRef is the workload: a StatefulSet of apps or apps.kruise.io in the same namespace. Required; immutable. A
	// workload has at most one PersistentPodState.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="targetRef is immutable: what is remembered is of this workload; create another PersistentPodState instead"
	TargetReference TargetReference `json:"targetRef"`
	// persistentPodAnnotations are the annotations of pods to remember. They stand in the status for others to read, and are
	// not written on new pods. Default: none.
	// +listType=atomic
	// +optional
	PersistentPodAnnotations []PersistentPodAnnotation `json:"persistentPodAnnotations,omitempty"`
	// requiredPersistentTopology is the topology in which a pod must run again, by the labels of its node: it waits where no
	// node of it takes the pod. Default: none.
	// +optional
	RequiredPersistentTopology *NodeTopologyTerm `json:"requiredPersistentTopology,omitempty"`
	// preferredPersistentTopology are topologies in which a pod should run again. Default: none.
	// +listType=atomic
	// +optional
	PreferredPersistentTopology []PreferredTopologyTerm `json:"preferredPersistentTopology,omitempty"`
	// persistentPodStateRetentionPolicy says when a pod is forgotten: once it was scaled in (WhenScaled), or with the workload
	// (WhenDeleted). Default: WhenScaled.
	// +kubebuilder:validation:Enum=WhenScaled;WhenDeleted
	// +optional
	PersistentPodStateRetentionPolicy PersistentPodStateRetentionPolicyType `json:"persistentPodStateRetentionPolicy,omitempty"`
}

// TargetReference names a workload in the namespace of the object.
type TargetReference struct {
	// apiVersion is the group and version of the workload, such as apps/v1. Required; not empty.
	// +kubebuilder:validation:MinLength=1
	APIVersion string `json:"apiVersion"`
	// kind is the kind of the workload. Required; not empty.
	// +kubebuilder:validation:MinLength=1
	Kind string `json:"kind"`
	// name is its name. Required; not empty.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
}

// PersistentPodAnnotation is an annotation of pods to remember.
type PersistentPodAnnotation struct {
	// key is the key of the annotation. Required.
	// +kubebuilder:validation:MaxLength=317
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	Key string `json:"key"`
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
	// keys are the keys of the labels, such as kubernetes.io/hostname. Required; at least one.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:Pattern=`^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$`
	// +listType=atomic
	NodeTopologyKeys []string `json:"keys"`
}

// PersistentPodStateStatus is what is remembered.
type PersistentPodStateStatus struct {
	// observedGeneration is the generation of the spec that the rest of the status is about.
	ObservedGeneration int64 `json:"observedGeneration"`
	// podStates are what is remembered of pods, by their names.
	// +optional
	PodStates map[string]PodState `json:"podStates,omitempty"`
}

// PodState is what is remembered of a pod, as it was when it was last ready.
type PodState struct {
	// nodeName is the node that it ran on.
	// +optional
	NodeName string `json:"nodeName,omitempty"`
	// nodeTopologyLabels are the labels of the node that the spec names.
	// +optional
	NodeTopologyLabels map[string]string `json:"nodeTopologyLabels,omitempty"`
	// annotations are the annotations of the pod that the spec names.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PersistentPodState remembers where the pods of a workload run, and sends a pod that is created anew back there.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:storageversion
type PersistentPodState struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec PersistentPodStateSpec `json:"spec"`
	// status is what is remembered.
	// +optional
	Status PersistentPodStateStatus `json:"status,omitempty,omitzero"`
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
