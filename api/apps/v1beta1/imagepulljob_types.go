package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// CompletionPolicyType says whether a job ends.
type CompletionPolicyType string

// The policies.
const (
	// AlwaysCompletion ends the job once every node succeeded or failed.
	AlwaysCompletion CompletionPolicyType = "Always"
	// NeverCompletion keeps the job for nodes that come later.
	NeverCompletion CompletionPolicyType = "Never"
)

// ImagePullPolicy says whether an image that a node has is pulled again.
type ImagePullPolicy string

// The policies.
const (
	// PullIfNotPresent pulls an image that a node does not have.
	PullIfNotPresent ImagePullPolicy = "IfNotPresent"
	// PullAlways asks the registry in any case.
	PullAlways ImagePullPolicy = "Always"
)

// ImagePullJobSpec is which image is pulled, where, and how.
type ImagePullJobSpec struct {
	// image is the image to pull, as pods name it: docker.io, library and latest may be left out. Required; at most 1024
	// characters.
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.matches('^([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]+)?/|[[][a-fA-F0-9:]+[]](:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128}))?$')",message="must be a reference such as nginx, registry.example.com:5000/shop/web:1.2 or web@sha256:<64 hexadecimal digits>: names are in lower case, without spaces and without https://"
	Image string `json:"image"`

	ImagePullJobTemplate `json:",inline"`
}

// ImagePullJobTemplate is where and how images are pulled.
//
// +kubebuilder:validation:XValidation:rule="!has(self.completionPolicy.activeDeadlineSeconds) || self.completionPolicy.activeDeadlineSeconds >= (has(self.pullPolicy) && has(self.pullPolicy.timeoutSeconds) ? self.pullPolicy.timeoutSeconds : 600)",message="completionPolicy.activeDeadlineSeconds must not be less than pullPolicy.timeoutSeconds (default 600): not even one attempt could end"
// +kubebuilder:validation:XValidation:rule="!(has(self.selector) && has(self.podSelector))",message="selector and podSelector exclude each other: nodes are chosen by one of them"
type ImagePullJobTemplate struct {
	// pullSecrets are names of secrets in the job's namespace. Default: none; immutable in an ImagePullJob; at most 64.
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +optional
	PullSecrets []string `json:"pullSecrets,omitempty"`
	// selector selects the nodes. Default: unset, every node. It excludes podSelector.
	// +optional
	Selector *ImagePullJobNodeSelector `json:"selector,omitempty"`
	// podSelector selects the nodes on which matching pods of the job's namespace are. Default: unset. It excludes selector.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// parallelism is how many nodes pull at a time. An integer, not negative; 0 pauses. Default: 1.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int && self >= 0",message="parallelism must be an integer of 0 or more; percentages are not supported"
	// +optional
	Parallelism *intstr.IntOrString `json:"parallelism,omitempty"`
	// pullPolicy tunes one pull. Default: {}.
	// +kubebuilder:default={}
	// +optional
	PullPolicy *PullPolicy `json:"pullPolicy,omitempty"`
	// completionPolicy says when the job ends. Required.
	// +kubebuilder:validation:XValidation:rule="!(has(self.type) && self.type == 'Never' && (has(self.activeDeadlineSeconds) || has(self.ttlSecondsAfterFinished)))",message="activeDeadlineSeconds and ttlSecondsAfterFinished are for type Always: a job of type Never does not end"
	CompletionPolicy CompletionPolicy `json:"completionPolicy"`
	// sandboxConfig is handed to the container runtime with the pull. Default: none.
	// +optional
	SandboxConfig *SandboxConfig `json:"sandboxConfig,omitempty"`
	// imagePullPolicy says whether an image that a node has is pulled again: IfNotPresent or Always. Default: IfNotPresent.
	// +kubebuilder:default=IfNotPresent
	// +kubebuilder:validation:Enum=IfNotPresent;Always
	// +optional
	ImagePullPolicy ImagePullPolicy `json:"imagePullPolicy,omitempty"`
}

// ImagePullJobNodeSelector selects nodes by name or by label.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.names) && size(self.names) > 0 && (has(self.matchLabels) || has(self.matchExpressions)))",message="names and labels exclude each other: nodes are chosen by one of them"
type ImagePullJobNodeSelector struct {
	// names are names of nodes. Default: none; no duplicates. They exclude labels.
	// +listType=set
	// +optional
	Names []string `json:"names,omitempty"`

	metav1.LabelSelector `json:",inline"`
}

// PullPolicy tunes one pull.
type PullPolicy struct {
	// timeoutSeconds limits one attempt, in seconds. Default: 600; not negative.
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=0
	// +optional
	TimeoutSeconds *int32 `json:"timeoutSeconds,omitempty"`
	// backoffLimit is how often a node tries again. Default: 3; not negative.
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=0
	// +optional
	BackoffLimit *int32 `json:"backoffLimit,omitempty"`
}

// CompletionPolicy says when a job ends.
type CompletionPolicy struct {
	// type is Always or Never. Default: Always.
	// +kubebuilder:default=Always
	// +kubebuilder:validation:Enum=Always;Never
	// +optional
	Type CompletionPolicyType `json:"type,omitempty"`
	// activeDeadlineSeconds limits how long the job may take, in seconds; for Always. Default: unset, no limit.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ActiveDeadlineSeconds *int64 `json:"activeDeadlineSeconds,omitempty"`
	// ttlSecondsAfterFinished is how long a job that ended is kept, in seconds; for Always. Default: unset, for good.
	// +kubebuilder:validation:Minimum=0
	// +optional
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// SandboxConfig is what the container runtime is told of the pod that an image is for.
type SandboxConfig struct {
	// labels are the labels of the sandbox. Default: none.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
	// annotations are the annotations of the sandbox. Default: none.
	// +optional
	Annotations map[string]string `json:"annotations,omitempty"`
}

// ImagePullJobStatus is what was last seen of a job.
type ImagePullJobStatus struct {
	// startTime is when the job began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when it ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// desired is the number of nodes that are selected.
	Desired int32 `json:"desired"`
	// active is the number of nodes that are pulling.
	// +optional
	Active int32 `json:"active"`
	// succeeded is the number of nodes that have the image.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// failed is the number of nodes that failed.
	// +optional
	Failed int32 `json:"failed"`
	// message says how far the job is.
	// +optional
	Message string `json:"message,omitempty"`
	// failedNodes are the names of nodes that failed, sorted.
	// +optional
	FailedNodes []string `json:"failedNodes,omitempty"`
}

// ImagePullJob pulls an image on nodes ahead of time.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="TOTAL",type="integer",JSONPath=".status.desired",description="The number of nodes that are selected."
// +kubebuilder:printcolumn:name="ACTIVE",type="integer",JSONPath=".status.active",description="The number of nodes that are pulling."
// +kubebuilder:printcolumn:name="SUCCEED",type="integer",JSONPath=".status.succeeded",description="The number of nodes that have the image."
// +kubebuilder:printcolumn:name="FAILED",type="integer",JSONPath=".status.failed",description="The number of nodes that failed."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:validation:XValidation:rule="(has(self.spec.pullSecrets) ? self.spec.pullSecrets : []) == (has(oldSelf.spec.pullSecrets) ? oldSelf.spec.pullSecrets : [])",message="spec.pullSecrets is immutable: the secrets were handed to the nodes already; create another job instead"
type ImagePullJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec ImagePullJobSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status ImagePullJobStatus `json:"status,omitempty"`
}

// ImagePullJobList is a list of jobs.
//
// +kubebuilder:object:root=true
type ImagePullJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the jobs.
	Items []ImagePullJob `json:"items"`
}
