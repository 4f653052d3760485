package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodePodProbeSpec is what the agent of a node probes.
type NodePodProbeSpec struct {
	// podProbes are the pods to probe. Default: none.
	// +optional
	PodProbes []PodProbe `json:"podProbes,omitempty"`
}

// PodProbe is one pod and its probes.
type PodProbe struct {
	// name is the name of the pod. Required.
	Name string `json:"name"`
	// namespace is the namespace of the pod. Required.
	Namespace string `json:"namespace"`
	// uid is the UID of the pod: another pod of this name is not meant. Required.
	UID string `json:"uid"`
	// IP is the address at which the pod is probed.
	IP string `json:"IP"`
	// probes are the probes of the pod.
	// +optional
	Probes []ContainerProbe `json:"probes,omitempty"`
}

// ContainerProbe is one probe of a container.
type ContainerProbe struct {
	// name is <PodProbeMarker>#<probe>. Required, unique for a pod.
	Name string `json:"name"`
	// containerName is the container to probe. Required.
	ContainerName string `json:"containerName"`
	// probe says how and when to probe; ports are numbers. Required.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Probe ContainerProbeSpec `json:"probe"`
}

// NodePodProbeStatus is what the agent of a node found.
type NodePodProbeStatus struct {
	// podProbeStatuses are the pods that were probed. Default: none.
	// +optional
	PodProbeStatuses []PodProbeStatus `json:"podProbeStatuses,omitempty"`
}

// PodProbeStatus is what was found of one pod.
type PodProbeStatus struct {
	// namespace is the namespace of the pod. Required.
	Namespace string `json:"namespace"`
	// name is the name of the pod. Required.
	Name string `json:"name"`
	// uid is the UID of the pod. Required.
	UID string `json:"uid"`
	// probeStates are the results, one for each probe that has any.
	// +optional
	ProbeStates []ContainerProbeState `json:"probeStates,omitempty"`
}

// ContainerProbeState is what one probe found.
type ContainerProbeState struct {
	// name is <PodProbeMarker>#<probe>. Required.
	Name string `json:"name"`
	// state is Succeeded, Failed or Unknown. Required.
	State ProbeState `json:"state"`
	// lastProbeTime is when the container was last probed, as of the last time that anything else changed.
	// +optional
	LastProbeTime metav1.Time `json:"lastProbeTime,omitempty,omitzero"`
	// lastTransitionTime is when the state last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty,omitzero"`
	// message is what the probe said, at most 1024 bytes of it.
	// +optional
	Message string `json:"message,omitempty"`
}

// NodePodProbe hands the probes of all pods of a node to the agent of the node, which has its name, and brings back what
// was found. It is internal: users write PodProbeMarkers.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
type NodePodProbe struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	// +optional
	Spec NodePodProbeSpec `json:"spec,omitempty,omitzero"`
	// status is what was last found.
	// +optional
	Status NodePodProbeStatus `json:"status,omitempty,omitzero"`
}

// NodePodProbeList is a list of NodePodProbes.
//
// +kubebuilder:object:root=true
type NodePodProbeList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the NodePodProbes.
	Items []NodePodProbe `json:"items"`
}
