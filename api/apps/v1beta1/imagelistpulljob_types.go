package v1beta1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ImageListPullJobSpec is which images are pulled, where, and how.
type ImageListPullJobSpec struct {
	// images are the images to pull, as pods name them. Required; 1 to 255, no duplicates; each at most 1024 characters.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=255
	// +listType=set
	// +kubebuilder:validation:items:MaxLength=1024
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^([a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]+)?/|[[][a-fA-F0-9:]+[]](:[0-9]+)?/)?[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*(/[a-z0-9]+(([._]|__|-+)[a-z0-9]+)*)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha(256:[0-9a-f]{64}|512:[0-9a-f]{128}))?$')",message="must be a reference such as nginx, registry.example.com:5000/shop/web:1.2 or web@sha256:<64 hexadecimal digits>: names are in lower case, without spaces and without https://"
	Images []string `json:"images"`

	ImagePullJobTemplate `json:",inline"`
}

// FailedImageStatus is an image that could not be pulled everywhere.
type FailedImageStatus struct {
	// imagePullJob is the name of the job of the image.
	// +optional
	ImagePullJob string `json:"imagePullJob,omitempty"`
	// name is the image.
	// +optional
	Name string `json:"name,omitempty"`
	// message says where to look.
	// +optional
	Message string `json:"message,omitempty"`
}

// ImageListPullJobStatus is what was last seen of a job.
type ImageListPullJobStatus struct {
	// startTime is when the job began.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`
	// completionTime is when it ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`
	// desired is the number of images.
	Desired int32 `json:"desired"`
	// active is the number of images that nodes are pulling.
	// +optional
	Active int32 `json:"active"`
	// completed is the number of images with which all nodes are through.
	// +optional
	Completed int32 `json:"completed"`
	// succeeded is the number of images that all nodes have.
	// +optional
	Succeeded int32 `json:"succeeded"`
	// failedImageStatuses are the images that some nodes failed to pull.
	// +optional
	FailedImageStatuses []*FailedImageStatus `json:"failedImageStatuses,omitempty"`
}

// ImageListPullJob pulls several images on nodes ahead of time, with an ImagePullJob for each.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="TOTAL",type="integer",JSONPath=".status.desired",description="The number of images."
// +kubebuilder:printcolumn:name="SUCCEEDED",type="integer",JSONPath=".status.succeeded",description="The number of images that all nodes have."
// +kubebuilder:printcolumn:name="COMPLETED",type="integer",JSONPath=".status.completed",description="The number of images with which all nodes are through."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
type ImageListPullJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec ImageListPullJobSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status ImageListPullJobStatus `json:"status,omitempty"`
}

// ImageListPullJobList is a list of jobs.
//
// +kubebuilder:object:root=true
type ImageListPullJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the jobs.
	Items []ImageListPullJob `json:"items"`
}
