package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// CloneSetUpdateStrategyType says when and how pods are updated.
type CloneSetUpdateStrategyType string

// The strategies.
const (
	// RecreateCloneSetUpdateStrategyType deletes pods and creates others.
	RecreateCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "ReCreate"
	// InPlaceIfPossibleCloneSetUpdateStrategyType changes pods in place where the change allows it, else recreates them.
	InPlaceIfPossibleCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "InPlaceIfPossible"
	// InPlaceOnlyCloneSetUpdateStrategyType changes pods in place; other changes are refused.
	InPlaceOnlyCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "InPlaceOnly"
	// OnDeleteCloneSetUpdateStrategyType gives the new revision only to pods that replace deleted ones.
	OnDeleteCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "OnDelete"
)

// CloneSetSpec is what a user wants of a CloneSet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.progressDeadlineSeconds) || self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",message="progressDeadlineSeconds must be greater than minReadySeconds"
// +kubebuilder:validation:XValidation:rule="!has(self.updateStrategy) || (has(self.updateStrategy.type) && self.updateStrategy.type == 'OnDelete') || (has(self.replicas) && self.replicas == 0) || !(has(self.updateStrategy.maxUnavailable) && string(self.updateStrategy.maxUnavailable) in ['0', '0%'] && (!has(self.updateStrategy.maxSurge) || string(self.updateStrategy.maxSurge) in ['0', '0%']))",message="updateStrategy: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"
type CloneSetSpec struct {
	// replicas is the wanted number of pods. Default: 1; not negative.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// selector selects the pods. Required, immutable, not empty; it must match the labels of the template.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: pods would be lost; create another CloneSet instead"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// template is the pod to make. Required. restartPolicy must be Always; activeDeadlineSeconds is not allowed.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Template corev1.PodTemplateSpec `json:"template"`
	// volumeClaimTemplates are claims that each pod gets one of, named <template>-<CloneSet>-<instance id>. Default: none.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	VolumeClaimTemplates []corev1.PersistentVolumeClaim `json:"volumeClaimTemplates,omitempty"`
	// scaleStrategy tunes how pods are added and removed. Default: none.
	// +optional
	ScaleStrategy CloneSetScaleStrategy `json:"scaleStrategy,omitempty,omitzero"`
	// updateStrategy says when and how pods are updated. Default: ReCreate, 20% at a time.
	// +kubebuilder:default={type: ReCreate}
	// +optional
	UpdateStrategy CloneSetUpdateStrategy `json:"updateStrategy,omitempty"`
	// revisionHistoryLimit is how many revisions that no pod uses are kept. Default: 10; not negative.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// minReadySeconds is how long a pod must be ready before it counts as available, in seconds. Default: 0; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// progressDeadlineSeconds is how long a rollout may make no progress before its condition says so, in seconds; time
	// while paused does not count. Default: unset, no deadline; greater than minReadySeconds.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
	// lifecycle names hooks at which the controller waits for others. Default: none.
	// +optional
	Lifecycle *v1beta1.Lifecycle `json:"lifecycle,omitempty"`
}

// CloneSetScaleStrategy tunes how a CloneSet adds and removes pods.
type CloneSetScaleStrategy struct {
	// podsToDelete are names of pods to delete first; names of pods that are gone are removed by the controller. Default: none; no duplicates.
	// +listType=set
	// +optional
	PodsToDelete []string `json:"podsToDelete,omitempty"`
	// maxUnavailable stops adding pods while this many are unavailable. An integer, or a percentage of replicas rounded up. Default: unset, no limit.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxUnavailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// disablePVCReuse keeps a new pod from taking the instance id and the claims of a pod that vanished, or was recreated for an update. Default: false.
	// +optional
	DisablePVCReuse bool `json:"disablePVCReuse,omitempty"`
}

// CloneSetUpdateStrategy says when and how a CloneSet updates its pods.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.type) && self.type == 'InPlaceOnly' && has(self.maxSurge) && !(string(self.maxSurge) in ['0', '0%']))",message="maxSurge must be 0 with type InPlaceOnly: extra pods cannot be made in place"
type CloneSetUpdateStrategy struct {
	// type says when and how pods are updated: ReCreate, InPlaceIfPossible, InPlaceOnly or OnDelete. Default: ReCreate.
	// +kubebuilder:default=ReCreate
	// +kubebuilder:validation:Enum=ReCreate;InPlaceIfPossible;InPlaceOnly;OnDelete
	// +optional
	Type CloneSetUpdateStrategyType `json:"type,omitempty"`
	// partition is how many pods stay on the old revision. An integer, or a percentage of replicas rounded up; one below
	// 100% lets at least one pod be updated. Default: 0.
	// +kubebuilder:default=0
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])([.][0-9]+)?%$')",message="partition must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	Partition *intstr.IntOrString `json:"partition,omitempty"`
	// maxUnavailable is how many pods may be unavailable during the update. An integer, or a percentage of replicas rounded
	// up, or down when maxSurge is above 0. Default: 20%.
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxUnavailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// maxSurge is how many pods above replicas may exist during the update. An integer, or a percentage of replicas rounded
	// up. It counts as 0 while paused, and must be 0 with InPlaceOnly. Default: 0.
	// +kubebuilder:default=0
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxSurge must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
	// paused stops the update where it is; scaling and healing go on. Default: false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// priorityStrategy says which pods are updated first. Default: none.
	// +optional
	PriorityStrategy *v1beta1.UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`
	// scatterStrategy spreads pods with given labels evenly over the order of the update. Default: none; no duplicates.
	// +listType=map
	// +listMapKey=key
	// +listMapKey=value
	// +optional
	ScatterStrategy []v1beta1.UpdateScatterTerm `json:"scatterStrategy,omitempty"`
	// inPlaceUpdateStrategy tunes updates in place. Default: none.
	// +optional
	InPlaceUpdateStrategy *v1beta1.InPlaceUpdateStrategy `json:"inPlaceUpdateStrategy,omitempty"`
}

// CloneSet runs a set of interchangeable pods, like a Deployment, and updates them in place where it can.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.labelSelector
// +kubebuilder:resource:shortName=clone
// +kubebuilder:printcolumn:name="DESIRED",type="integer",JSONPath=".spec.replicas",description="The wanted number of pods."
// +kubebuilder:printcolumn:name="UPDATED",type="integer",JSONPath=".status.updatedReplicas",description="The number of pods on the newest revision."
// +kubebuilder:printcolumn:name="UPDATED_READY",type="integer",JSONPath=".status.updatedReadyReplicas",description="The number of pods on the newest revision that are ready."
// +kubebuilder:printcolumn:name="UPDATED_AVAILABLE",type="integer",JSONPath=".status.updatedAvailableReplicas",description="The number of pods on the newest revision that are available."
// +kubebuilder:printcolumn:name="READY",type="integer",JSONPath=".status.readyReplicas",description="The number of pods that are ready."
// +kubebuilder:printcolumn:name="TOTAL",type="integer",JSONPath=".status.replicas",description="The number of pods."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:printcolumn:name="CONTAINERS",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].name",description="The containers of the template."
// +kubebuilder:printcolumn:name="IMAGES",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].image",description="The images of the template."
// +kubebuilder:printcolumn:name="SELECTOR",type="string",priority=1,JSONPath=".status.labelSelector",description="The selector of the pods."
type CloneSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec CloneSetSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status v1beta1.CloneSetStatus `json:"status,omitempty"`
}

// CloneSetList is a list of CloneSets.
//
// +kubebuilder:object:root=true
type CloneSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the CloneSets.
	Items []CloneSet `json:"items"`
}
