package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Labels and the finalizer of a ContainerRecreateRequest.
const (
	// ContainerRecreateRequestPodUIDKey is the label with the UID of the pod. Set at admission; immutable.
	ContainerRecreateRequestPodUIDKey = "crr.apps.kruise.io/pod-uid"
	// ContainerRecreateRequestNodeNameKey is the label with the name of the pod's node. Set at admission; immutable.
	ContainerRecreateRequestNodeNameKey = "crr.apps.kruise.io/node-name"
	// ContainerRecreateRequestActiveKey is the label that is "true" until a request is completed and tidied up after.
	ContainerRecreateRequestActiveKey = "crr.apps.kruise.io/active"
	// ContainerRecreateRequestUnreadyAcquiredKey is the finalizer of a request that holds its pod out of service.
	ContainerRecreateRequestUnreadyAcquiredKey = "crr.apps.kruise.io/unready-acquired"
	// VirtualKubeletKey is the label, with the value VirtualKubeletValue, of nodes that are none, and of requests for them.
	VirtualKubeletKey   = "type"
	VirtualKubeletValue = "virtual-kubelet"
)

// ContainerRecreateRequestFailurePolicyType says what follows when a container cannot be recreated.
type ContainerRecreateRequestFailurePolicyType string

// The policies.
const (
	// ContainerRecreateRequestFailurePolicyFail ends the request at the first container that fails.
	ContainerRecreateRequestFailurePolicyFail ContainerRecreateRequestFailurePolicyType = "Fail"
	// ContainerRecreateRequestFailurePolicyIgnore goes on with the other containers.
	ContainerRecreateRequestFailurePolicyIgnore ContainerRecreateRequestFailurePolicyType = "Ignore"
)

// ContainerRecreateRequestPhase is how far a request, or one of its containers, is.
type ContainerRecreateRequestPhase string

// The phases. A request is never Succeeded or Failed: it is Completed, and its containers say how it went.
const (
	ContainerRecreateRequestPending    ContainerRecreateRequestPhase = "Pending"
	ContainerRecreateRequestRecreating ContainerRecreateRequestPhase = "Recreating"
	ContainerRecreateRequestSucceeded  ContainerRecreateRequestPhase = "Succeeded"
	ContainerRecreateRequestFailed     ContainerRecreateRequestPhase = "Failed"
	ContainerRecreateRequestCompleted  ContainerRecreateRequestPhase = "Completed"
)

// ContainerRecreateRequestPreRecreateGrace is the condition that is True once the pod is held out of service, from when
// unreadyGracePeriodSeconds counts.
const ContainerRecreateRequestPreRecreateGrace = "PreRecreateGrace"

// ContainerRecreateRequestSpec is which containers to recreate, and how. It is immutable.
type ContainerRecreateRequestSpec struct {
	// podName is the name of the pod, in the namespace of the request. Required; not empty. The pod must be on a node and
	// neither ended nor be on its way out.
	// +kubebuilder:validation:MinLength=1
	PodName string `json:"podName"`
	// containers are the containers to recreate, in this order. Required; at least one, each once.
	// +kubebuilder:validation:MinItems=1
	// +listType=map
	// +listMapKey=name
	Containers []ContainerRecreateRequestContainer `json:"containers"`
	// strategy says how. Default: {}.
	// +optional
	Strategy *ContainerRecreateRequestStrategy `json:"strategy,omitempty"`
	// activeDeadlineSeconds limits how long the request may take from its creation, in seconds: what is not recreated by
	// then has failed. Default: unset, no limit; at least 3.
	// +kubebuilder:validation:Minimum=3
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// ttlSecondsAfterFinished is how long the request is kept once it is completed, in seconds. Default: unset, for good; not
	// negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// ContainerRecreateRequestContainer is one container to recreate. All but its name is filled in at admission, from the pod.
type ContainerRecreateRequestContainer struct {
	// name is the name of a container of the pod, or of an init container that is restarted always. Required.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// preStop is the container's preStop hook. Filled in at admission; nobody else may set it.
	// +optional
	PreStop *ContainerPreStop `json:"preStop,omitempty"`
	// ports are the container's ports, where the preStop hook may name one. Filled in at admission; nobody else may set
	// them.
	// +optional
	Ports []corev1.ContainerPort `json:"ports,omitempty"`
	// restartPolicy says when kubelet starts the container again. Filled in at admission; nobody else may set it. Default:
	// Always, in requests that were admitted by others.
	// +kubebuilder:validation:Enum=Always;OnFailure;Never
	// +optional
	RestartPolicy corev1.ContainerRestartPolicy `json:"restartPolicy,omitempty"`
	// statusContext is the container that ran when the request was made. Filled in at admission; nobody else may set it.
	// +optional
	StatusContext *ContainerRecreateRequestContainerContext `json:"statusContext,omitempty"`
}

// ContainerPreStop is the preStop hook of a container. One of the fields is set.
type ContainerPreStop struct {
	// exec runs a command in the container.
	// +optional
	Exec *corev1.ExecAction `json:"exec,omitempty"`
	// httpGet asks the container over HTTP.
	// +optional
	HTTPGet *corev1.HTTPGetAction `json:"httpGet,omitempty"`
	// tcpSocket opens a connection to the container.
	// +optional
	TCPSocket *corev1.TCPSocketAction `json:"tcpSocket,omitempty"`
	// sleep waits.
	// +optional
	Sleep *corev1.SleepAction `json:"sleep,omitempty"`
}

// ContainerRecreateRequestContainerContext identifies a container that ran.
type ContainerRecreateRequestContainerContext struct {
	// containerID is the container's ID, as <runtime>://<id>. Required.
	ContainerID string `json:"containerID"`
	// restartCount is how often the container had been restarted. Required.
	RestartCount int32 `json:"restartCount"`
}

// ContainerRecreateRequestStrategy says how containers are recreated.
type ContainerRecreateRequestStrategy struct {
	// failurePolicy says what follows when a container cannot be recreated: Fail or Ignore. Default: Fail, which ends the
	// request.
	// +kubebuilder:validation:Enum=Fail;Ignore
	// +optional
	FailurePolicy ContainerRecreateRequestFailurePolicyType `json:"failurePolicy,omitempty"`
	// orderedRecreate waits until a container is recreated before the next one is stopped. Default: false, containers are
	// stopped one after the other, and come back when they can.
	// +optional
	OrderedRecreate bool `json:"orderedRecreate,omitempty"`
	// forceRecreate stops a container even if it was restarted since the request was made. Default: false.
	// +optional
	ForceRecreate bool `json:"forceRecreate,omitempty"`
	// terminationGracePeriodSeconds is how long a container may take to stop, with its preStop hook, in seconds; at least
	// 2 are left for the stop itself. Default: that of the pod, or else 30; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`
	// unreadyGracePeriodSeconds takes the pod out of service, by its readiness gate KruisePodReady, and waits so long before
	// the first container is stopped, in seconds. Without that gate it only waits. Default: unset, neither; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	UnreadyGracePeriodSeconds *int64 `json:"unreadyGracePeriodSeconds,omitempty"`
	// minStartedSeconds is how long the new container must run until it counts as recreated, in seconds. Default: 0; not
	// negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinStartedSeconds int32 `json:"minStartedSeconds,omitempty"`
}

// ContainerRecreateRequestStatus is what was last seen of a request.
type ContainerRecreateRequestStatus struct {
	// phase is Pending while another request for the same pod comes first, Recreating, or Completed.
	// +kubebuilder:validation:Enum=Pending;Recreating;Succeeded;Failed;Completed
	Phase ContainerRecreateRequestPhase `json:"phase"`
	// completionTime is when the request was completed.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// message says what the request waits for, or why it was completed before its containers were recreated.
	// +optional
	Message string `json:"message,omitempty"`
	// conditions are PreRecreateGrace.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// containerRecreateStates are the containers of the request, in its order.
	// +optional
	ContainerRecreateStates []ContainerRecreateState `json:"containerRecreateStates,omitempty"`
	// containerStatusSnapshot is what kubelet says of the containers that were restarted, for the agent of the node.
	// +listType=map
	// +listMapKey=name
	// +optional
	ContainerStatusSnapshot []ContainerStatusSnapshot `json:"containerStatusSnapshot,omitempty"`
}

// ContainerRecreateState is how far one container is.
type ContainerRecreateState struct {
	// name is the name of the container.
	Name string `json:"name"`
	// phase is Pending, Recreating, Succeeded or Failed.
	// +kubebuilder:validation:Enum=Pending;Recreating;Succeeded;Failed;Completed
	Phase ContainerRecreateRequestPhase `json:"phase"`
	// message says what the container waits for, or why it failed.
	// +optional
	Message string `json:"message,omitempty"`
	// isKilled says that the agent of the node stopped the container.
	// +optional
	IsKilled bool `json:"isKilled,omitempty"`
	// containerID is the container that is replaced, as <runtime>://<id>. It is written down before anything is done to
	// the container, so that no other is ever stopped for this request. An addition to the older form.
	// +optional
	ContainerID string `json:"containerID,omitempty"`
	// stopTime is when the agent began to stop the container; unset, where it had stopped by itself. It is written down
	// before the preStop hook runs, so that the hook never runs twice. An addition to the older form.
	// +optional
	StopTime *metav1.Time `json:"stopTime,omitempty"`
}

// ContainerStatusSnapshot is what kubelet says of a container.
type ContainerStatusSnapshot struct {
	// name is the name of the container.
	Name string `json:"name"`
	// ready says that the container is ready.
	Ready bool `json:"ready"`
	// restartCount is how often the container was restarted.
	RestartCount int32 `json:"restartCount"`
	// containerID is the container's ID, as <runtime>://<id>.
	// +optional
	ContainerID string `json:"containerID,omitempty"`
}

// ContainerRecreateRequest restarts containers of a pod, in place.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=crr
// +kubebuilder:printcolumn:name="PHASE",type="string",JSONPath=".status.phase",description="How far the request is."
// +kubebuilder:printcolumn:name="POD",type="string",JSONPath=".spec.podName",description="The name of the pod."
// +kubebuilder:printcolumn:name="NODE",type="string",JSONPath=".metadata.labels.crr\\.apps\\.kruise\\.io/node-name",description="The node of the pod."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:validation:XValidation:rule="self.spec == oldSelf.spec",message="spec is immutable: the containers may be stopped already; create another request instead"
type ContainerRecreateRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec ContainerRecreateRequestSpec `json:"spec"`
	// status is what was last seen.
	Status ContainerRecreateRequestStatus `json:"status,omitempty,omitzero"`
}

// ContainerRecreateRequestList is a list of requests.
//
// +kubebuilder:object:root=true
type ContainerRecreateRequestList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the requests.
	Items []ContainerRecreateRequest `json:"items"`
}
