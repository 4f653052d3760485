package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// NodeImageSpec is which images a node is to have.
type NodeImageSpec struct {
	// images are the tasks by the name of the image, without docker.io/library and without a tag. Default: none; at most 256
	// names.
	// +kubebuilder:validation:MaxProperties=256
	// +kubebuilder:validation:XValidation:rule="self.all(name, size(name) > 0)",message="the name of an image must not be empty"
	// +optional
	Images map[string]ImageSpec `json:"images,omitempty"`
}

// ImageSpec is what a node is to do for an image.
type ImageSpec struct {
	// pullSecrets are the secrets with which the image may be pulled. Default: none.
	// +optional
	PullSecrets []ReferenceObject `json:"pullSecrets,omitempty"`
	// tags are the tags to pull, sorted. Required; no duplicates.
	// +listType=map
	// +listMapKey=tag
	Tags []ImageTagSpec `json:"tags"`
	// sandboxConfig is handed to the container runtime with each pull. Default: none.
	// +optional
	SandboxConfig *SandboxConfig `json:"sandboxConfig,omitempty"`
}

// ReferenceObject names a secret.
type ReferenceObject struct {
	// namespace is the namespace of the secret.
	// +optional
	Namespace string `json:"namespace,omitempty"`
	// name is its name.
	// +optional
	Name string `json:"name,omitempty"`
	// mode is batch when the secret is a copy that all jobs with the same source share. Default: unset.
	// +optional
	Mode string `json:"mode,omitempty"`
}

// BatchMode marks a copy of a pull secret that all jobs with the same source share.
const BatchMode = "batch"

// ImageTagSpec is a task: a tag to pull.
type ImageTagSpec struct {
	// tag is the tag, or the digest, to pull. Required; not empty.
	// +kubebuilder:validation:MinLength=1
	Tag string `json:"tag"`
	// createdAt is when this round of the task began. Default: when the manager first sees the task.
	// +optional
	CreatedAt *metav1.Time `json:"createdAt,omitempty"`
	// version counts the rounds: another version has the image pulled anew. Default: 0; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Version int64 `json:"version,omitempty"`
	// pullPolicy tunes the task. Default: {}.
	// +kubebuilder:default={}
	// +optional
	PullPolicy *ImageTagPullPolicy `json:"pullPolicy,omitempty"`
	// ownerReferences are the jobs for which the tag is pulled. A task that had owners goes with the last of them. Default:
	// none.
	// +optional
	OwnerReferences []corev1.ObjectReference `json:"ownerReferences,omitempty"`
	// imagePullPolicy says whether an image that the node has is pulled again: IfNotPresent or Always. Default: IfNotPresent.
	// +kubebuilder:validation:Enum=IfNotPresent;Always
	// +optional
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`
}

// ImageTagPullPolicy tunes a task.
type ImageTagPullPolicy struct {
	// timeoutSeconds limits one attempt, in seconds. Default: 600; not negative.
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=0
	// +optional
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// backoffLimit is how often it is tried again. Default: 3; not negative.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
	// ttlSecondsAfterFinished is how long a task that ended is kept, in seconds. Default: 300; not negative.
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=0
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
	// activeDeadlineSeconds limits all attempts together, in seconds since createdAt. Default: unset, no limit.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
}

// NodeImageStatus is what was last seen of a node's images.
type NodeImageStatus struct {
	// desired is the number of tasks.
	Desired int32 `json:"desired"`
	// succeeded is the number of tasks whose image the node has.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// failed is the number of tasks that failed.
	// +optional
	Failed int32 `json:"failed"`
	// pulling is the number of tasks that are being worked on.
	// +optional
	Pulling int32 `json:"pulling"`
	// waiting is the number of tasks that wait for their turn.
	// +optional
	Waiting int32 `json:"waiting"`
	// imageStatuses are the states of the tasks by the name of the image.
	// +optional
	ImageStatuses map[string]ImageStatus `json:"imageStatuses,omitempty"`
	// firstSyncStatus is what became of the node's first report.
	// +optional
	FirstSyncStatus *SyncStatus `json:"firstSyncStatus,omitempty"`
}

// ImageStatus is the state of the tasks of an image.
type ImageStatus struct {
	// tags are the states by tag. Required.
	Tags []ImageTagStatus `json:"tags"`
}

// ImageTagStatus is the state of a task.
type ImageTagStatus struct {
	// tag is the tag, or the digest. Required.
	Tag string `json:"tag"`
	// phase is Waiting, Pulling, Succeeded or Failed. Required.
	Phase ImagePullPhase `json:"phase"`
	// progress is how much of the image is there, from 0 to 100.
	// +optional
	Progress int32 `json:"progress,omitempty"`
	// version is the version of the task that the state belongs to.
	// +optional
	Version int64 `json:"version,omitempty"`
	// startTime is when the node began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when it was through.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// message says why a pull failed.
	// +optional
	Message string `json:"message,omitempty"`
	// imageID is the name and the digest of the image that the node has.
	// +optional
	ImageID string `json:"imageID,omitempty"`
}

// ImagePullPhase is how far a task is.
type ImagePullPhase string

// The phases.
const (
	// ImagePhaseWaiting is before the first attempt.
	ImagePhaseWaiting ImagePullPhase = "Waiting"
	// ImagePhasePulling is while the node works on it.
	ImagePhasePulling ImagePullPhase = "Pulling"
	// ImagePhaseSucceeded is when the node has the image.
	ImagePhaseSucceeded ImagePullPhase = "Succeeded"
	// ImagePhaseFailed is when no further attempt is made.
	ImagePhaseFailed ImagePullPhase = "Failed"
)

// SyncStatus is what became of a report.
type SyncStatus struct {
	// syncAt is when it was made.
	// +optional
	SyncAt metav1.Time `json:"syncAt,omitempty"`
	// status is Succeeded or Failed.
	// +optional
	Status SyncStatusPhase `json:"status,omitempty"`
	// message says why it failed.
	// +optional
	Message string `json:"message,omitempty"`
}

// SyncStatusPhase is what became of a report.
type SyncStatusPhase string

// The phases.
const (
	// SyncStatusSucceeded says that it was made.
	SyncStatusSucceeded SyncStatusPhase = "Succeeded"
	// SyncStatusFailed says that it was not.
	SyncStatusFailed SyncStatusPhase = "Failed"
)

// NodeImage is which images the node of the same name is to have, and which it has. The manager makes one for each node.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="DESIRED",type="integer",JSONPath=".status.desired",description="The number of tasks."
// +kubebuilder:printcolumn:name="PULLING",type="integer",JSONPath=".status.pulling",description="The number of tasks that are being worked on."
// +kubebuilder:printcolumn:name="SUCCEED",type="integer",JSONPath=".status.succeeded",description="The number of tasks whose image the node has."
// +kubebuilder:printcolumn:name="FAILED",type="integer",JSONPath=".status.failed",description="The number of tasks that failed."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
type NodeImage struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec NodeImageSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status NodeImageStatus `json:"status,omitempty"`
}

// NodeImageList is a list of NodeImages.
//
// +kubebuilder:object:root=true
type NodeImageList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the NodeImages.
	Items []NodeImage `json:"items"`
}
