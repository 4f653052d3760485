package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ProbeState is what a probe found.
type ProbeState string

// The states.
const (
	// ProbeSucceeded says that as many probes as successThreshold in a row succeeded.
	ProbeSucceeded ProbeState = "Succeeded"
	// ProbeFailed says that as many probes as failureThreshold in a row failed.
	ProbeFailed ProbeState = "Failed"
	// ProbeUnknown says that nothing is known: the container does not run, or it could not be probed.
	ProbeUnknown ProbeState = "Unknown"
)

// PodProbeMarkerSpec is what a user wants to know of pods.
type PodProbeMarkerSpec struct {
	// selector selects the pods, in the namespace of the object. Required, immutable, not empty.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: what was written on pods would stay there; create another PodProbeMarker instead"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// probes are the probes of each pod. Required, at least one, at most 64; their names and conditions are unique.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self.all(p, !has(p.podConditionType) || self.exists_one(q, has(q.podConditionType) && q.podConditionType == p.podConditionType))",message="podConditionType must be unique: two probes would write the same condition"
	// +listType=map
	// +listMapKey=name
	Probes []PodContainerProbe `json:"probes"`
}

// PodContainerProbe is one probe, and what is written on the pod for what it finds.
//
// +kubebuilder:validation:XValidation:rule="has(self.podConditionType) || (has(self.markerPolicy) && size(self.markerPolicy) > 0)",message="podConditionType or markerPolicy must be set: otherwise nobody would learn what the probe finds"
type PodContainerProbe struct {
	// name is the name of the probe. Required, unique, not empty, at most 63 characters, without # and none of the conditions
	// that Kubernetes or the product itself write.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!self.contains('#')",message="must not contain #, which stands between the names of the PodProbeMarker and of the probe on a node"
	// +kubebuilder:validation:XValidation:rule="!(self in ['PodScheduled', 'Initialized', 'Ready', 'ContainersReady', 'KruisePodReady', 'InPlaceUpdateReady'])",message="must not be the name of a condition that Kubernetes or Kruise writes"
	Name string `json:"name"`
	// containerName is the container to probe. Required; a pod without it is not probed.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	ContainerName string `json:"containerName"`
	// probe says how and when to probe. Required.
	Probe ContainerProbeSpec `json:"probe"`
	// markerPolicy says what is written on the pod for what the probe found; what it wrote for the other state is removed.
	// Default: nothing. At most one entry for each state.
	// +kubebuilder:validation:MaxItems=2
	// +listType=map
	// +listMapKey=state
	// +optional
	MarkerPolicy []ProbeMarkerPolicy `json:"markerPolicy,omitempty"`
	// podConditionType is a condition of the pod that is True when the probe succeeded and False when it failed. Default:
	// none is written. A qualified name, unique, and none of the conditions that Kubernetes or the product itself write.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=316
	// +kubebuilder:validation:XValidation:rule="!(self in ['PodScheduled', 'Initialized', 'Ready', 'ContainersReady', 'KruisePodReady', 'InPlaceUpdateReady'])",message="must not be a condition that Kubernetes or Kruise writes"
	// +optional
	PodConditionType string `json:"podConditionType,omitempty"`
}

// ContainerProbeSpec says how and when a container is probed, as a probe of Kubernetes does, with exactly one of exec,
// httpGet and tcpSocket. The node probes at the pod's address. Its numbers default to 1, not to those of Kubernetes.
//
// +kubebuilder:validation:XValidation:rule="[has(self.exec), has(self.httpGet), has(self.tcpSocket)].filter(x, x).size() == 1",message="exactly one of exec, httpGet and tcpSocket must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.grpc)",message="grpc is not supported; use exec, httpGet or tcpSocket"
// +kubebuilder:validation:XValidation:rule="!has(self.exec) || (has(self.exec.command) && size(self.exec.command) > 0)",message="exec.command must not be empty"
// +kubebuilder:validation:XValidation:rule="!has(self.httpGet) || !has(self.httpGet.host) || size(self.httpGet.host) == 0",message="httpGet.host must not be set: pods are probed at their own address"
// +kubebuilder:validation:XValidation:rule="!has(self.tcpSocket) || !has(self.tcpSocket.host) || size(self.tcpSocket.host) == 0",message="tcpSocket.host must not be set: pods are probed at their own address"
// +kubebuilder:validation:XValidation:rule="!has(self.httpGet) || (has(self.httpGet.path) && size(self.httpGet.path) > 0)",message="httpGet.path must be set"
// +kubebuilder:validation:XValidation:rule="!has(self.httpGet) || (has(self.httpGet.scheme) && self.httpGet.scheme in ['HTTP', 'HTTPS'])",message="httpGet.scheme must be HTTP or HTTPS"
// +kubebuilder:validation:XValidation:rule="!has(self.httpGet) || type(self.httpGet.port) == string && size(self.httpGet.port) > 0 || type(self.httpGet.port) == int && self.httpGet.port > 0 && self.httpGet.port < 65536",message="httpGet.port must be a port from 1 to 65535 or the name of a port of the container"
// +kubebuilder:validation:XValidation:rule="!has(self.tcpSocket) || type(self.tcpSocket.port) == string && size(self.tcpSocket.port) > 0 || type(self.tcpSocket.port) == int && self.tcpSocket.port > 0 && self.tcpSocket.port < 65536",message="tcpSocket.port must be a port from 1 to 65535 or the name of a port of the container"
// +kubebuilder:validation:XValidation:rule="[has(self.initialDelaySeconds) ? self.initialDelaySeconds : 0, has(self.timeoutSeconds) ? self.timeoutSeconds : 0, has(self.periodSeconds) ? self.periodSeconds : 0, has(self.successThreshold) ? self.successThreshold : 0, has(self.failureThreshold) ? self.failureThreshold : 0].all(x, x >= 0)",message="initialDelaySeconds, timeoutSeconds, periodSeconds, successThreshold and failureThreshold must not be negative"
type ContainerProbeSpec struct {
	corev1.Probe `json:",inline"`
}

// ProbeMarkerPolicy is what is written on a pod for one state.
//
// +kubebuilder:validation:XValidation:rule="(has(self.labels) && size(self.labels) > 0) || (has(self.annotations) && size(self.annotations) > 0)",message="at least one label or annotation must be set"
type ProbeMarkerPolicy struct {
	// state is what the probe found: Succeeded or Failed. Required, unique.
	// +kubebuilder:validation:Enum=Succeeded;Failed
	State ProbeState `json:"state"`
	// labels are labels of the pod. Default: none.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are annotations of the pod. Default: none.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// PodProbeMarkerStatus is what was last seen.
type PodProbeMarkerStatus struct {
	// observedGeneration is the generation of the spec that the rest of the status is about.
	ObservedGeneration int64 `json:"observedGeneration"`
	// matchedPods is the number of pods that are probed: they match, stand on a node and have been initialized.
	// +optional
	MatchedPods int64 `json:"matchedPods,omitempty"`
}

// PodProbeMarker probes containers of pods and writes what is found on the pods, as conditions, labels and annotations.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="MATCHED",type="integer",JSONPath=".status.matchedPods",description="The number of pods that are probed."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
type PodProbeMarker struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec PodProbeMarkerSpec `json:"spec"`
	// status is what was last seen.
	// +optional
	Status PodProbeMarkerStatus `json:"status,omitempty,omitzero"`
}

// PodProbeMarkerList is a list of PodProbeMarkers.
//
// +kubebuilder:object:root=true
type PodProbeMarkerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the PodProbeMarkers.
	Items []PodProbeMarker `json:"items"`
}

// Annotations of pods that a virtual kubelet probes itself, and the finalizer that other releases put on a PodProbeMarker.
const (
	// PodProbeMarkerProbesKey holds the probes of a pod, as a JSON list of ServerlessProbe.
	PodProbeMarkerProbesKey = "kruise.io/podprobe"
	// PodProbeMarkerListKey holds the names of their PodProbeMarkers, with commas between them.
	PodProbeMarkerListKey = "kruise.io/podprobemarker-list"
	// PodProbeMarkerFinalizer is taken off a PodProbeMarker that is deleted.
	PodProbeMarkerFinalizer = "kruise.io/node-pod-probe-cleanup"
)

// ServerlessProbe is a probe that a virtual kubelet is asked for.
type ServerlessProbe struct {
	// name is the name of the probe.
	Name string `json:"name"`
	// containerName is the container to probe.
	ContainerName string `json:"containerName"`
	// probe says how and when to probe.
	Probe ContainerProbeSpec `json:"probe"`
	// podConditionType is the condition that the virtual kubelet reports.
	// +optional
	PodConditionType string `json:"podConditionType,omitempty"`
	// podProbeMarkerName is the PodProbeMarker that asks for the probe.
	PodProbeMarkerName string `json:"podProbeMarkerName"`
}
