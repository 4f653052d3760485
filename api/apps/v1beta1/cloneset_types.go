package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// CloneSetUpdateStrategyType says when pods are updated.
type CloneSetUpdateStrategyType string

// The strategies.
const (
	// RollingUpdateCloneSetUpdateStrategyType updates pods step by step.
	RollingUpdateCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "RollingUpdate"
	// OnDeleteCloneSetUpdateStrategyType gives the new revision only to pods that replace deleted ones.
	OnDeleteCloneSetUpdateStrategyType CloneSetUpdateStrategyType = "OnDelete"
)

// PodUpdatePolicyType says how one pod is updated.
type PodUpdatePolicyType string

// The policies.
const (
	// RecreatePodUpdatePolicyType deletes the pod and creates another.
	RecreatePodUpdatePolicyType PodUpdatePolicyType = "ReCreate"
	// InPlaceIfPossiblePodUpdatePolicyType changes the pod in place where the change allows it, else recreates it.
	InPlaceIfPossiblePodUpdatePolicyType PodUpdatePolicyType = "InPlaceIfPossible"
	// InPlaceOnlyPodUpdatePolicyType changes the pod in place; other changes are refused.
	InPlaceOnlyPodUpdatePolicyType PodUpdatePolicyType = "InPlaceOnly"
)

// CloneSetSpec is what a user wants of a CloneSet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.progressDeadlineSeconds) || self.progressDeadlineSeconds > (has(self.minReadySeconds) ? self.minReadySeconds : 0)",message="progressDeadlineSeconds must be greater than minReadySeconds"
// +kubebuilder:validation:XValidation:rule="!has(self.updateStrategy) || !has(self.updateStrategy.rollingUpdate) || (has(self.updateStrategy.type) && self.updateStrategy.type != 'RollingUpdate') || (has(self.replicas) && self.replicas == 0) || !(has(self.updateStrategy.rollingUpdate.maxUnavailable) && string(self.updateStrategy.rollingUpdate.maxUnavailable) in ['0', '0%'] && (!has(self.updateStrategy.rollingUpdate.maxSurge) || string(self.updateStrategy.rollingUpdate.maxSurge) in ['0', '0%']))",message="updateStrategy.rollingUpdate: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"
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
	// updateStrategy says when and how pods are updated. Default: RollingUpdate by recreating pods, 20% at a time.
	// +kubebuilder:default={type: RollingUpdate}
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
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`
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
	// enablePVCReuse lets a new pod take the instance id and the claims of a pod that vanished, or was recreated for an update. Default: false.
	// +optional
	EnablePVCReuse bool `json:"enablePVCReuse,omitempty"`
	// excludePreparingDelete leaves pods in the state PreparingDelete out of the count of replicas. Default: false.
	// +optional
	ExcludePreparingDelete bool `json:"excludePreparingDelete,omitempty"`
}

// CloneSetUpdateStrategy says when and how a CloneSet updates its pods.
type CloneSetUpdateStrategy struct {
	// type says when pods are updated: RollingUpdate or OnDelete. Default: RollingUpdate.
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	// +optional
	Type CloneSetUpdateStrategyType `json:"type,omitempty"`
	// rollingUpdate holds the parameters of RollingUpdate. Default: filled in for that type.
	// +optional
	RollingUpdate *RollingUpdateCloneSetStrategy `json:"rollingUpdate,omitempty"`
}

// RollingUpdateCloneSetStrategy holds the parameters of a rolling update.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.podUpdatePolicy) && self.podUpdatePolicy == 'InPlaceOnly' && has(self.maxSurge) && !(string(self.maxSurge) in ['0', '0%']))",message="maxSurge must be 0 with podUpdatePolicy InPlaceOnly: extra pods cannot be made in place"
type RollingUpdateCloneSetStrategy struct {
	// podUpdatePolicy says how one pod is updated: ReCreate, InPlaceIfPossible or InPlaceOnly. Default: ReCreate.
	// +kubebuilder:default=ReCreate
	// +kubebuilder:validation:Enum=ReCreate;InPlaceIfPossible;InPlaceOnly
	// +optional
	PodUpdatePolicy PodUpdatePolicyType `json:"podUpdatePolicy,omitempty"`
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
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`
	// scatterStrategy spreads pods with given labels evenly over the order of the update. Default: none; no duplicates.
	// +listType=map
	// +listMapKey=key
	// +listMapKey=value
	// +optional
	ScatterStrategy []UpdateScatterTerm `json:"scatterStrategy,omitempty"`
	// inPlaceUpdateStrategy tunes updates in place. Default: none.
	// +optional
	InPlaceUpdateStrategy *InPlaceUpdateStrategy `json:"inPlaceUpdateStrategy,omitempty"`
}

// CloneSetStatus is what a CloneSet was last seen to be.
type CloneSetStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// replicas is the number of the set's active pods.
	Replicas int32 `json:"replicas"`
	// readyReplicas is the number of pods that are ready.
	ReadyReplicas int32 `json:"readyReplicas"`
	// availableReplicas is the number of pods that have been ready for minReadySeconds and are in no update.
	AvailableReplicas int32 `json:"availableReplicas"`
	// updatedReplicas is the number of pods on updateRevision.
	UpdatedReplicas int32 `json:"updatedReplicas"`
	// updatedReadyReplicas is the number of pods on updateRevision that are ready.
	UpdatedReadyReplicas int32 `json:"updatedReadyReplicas"`
	// updatedAvailableReplicas is the number of pods on updateRevision that are available.
	// +optional
	UpdatedAvailableReplicas int32 `json:"updatedAvailableReplicas"`
	// expectedUpdatedReplicas is the number of pods that the partition lets be on updateRevision.
	// +optional
	ExpectedUpdatedReplicas int32 `json:"expectedUpdatedReplicas,omitempty"`
	// updateRevision is the name of the newest revision.
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// currentRevision is the name of the revision that all pods had at the end of the last complete rollout.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// collisionCount counts hash collisions of revision names.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// conditions are the latest observations of the set's state.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []CloneSetCondition `json:"conditions,omitempty"`
	// labelSelector is the selector in string form, for the scale subresource.
	// +optional
	LabelSelector string `json:"labelSelector,omitempty"`
}

// CloneSetConditionType names a condition of a CloneSet.
type CloneSetConditionType string

// The conditions of a CloneSet.
const (
	// CloneSetConditionFailedScale is True when pods could not be created or deleted.
	CloneSetConditionFailedScale CloneSetConditionType = "FailedScale"
	// CloneSetConditionFailedUpdate is True when pods could not be updated.
	CloneSetConditionFailedUpdate CloneSetConditionType = "FailedUpdate"
	// CloneSetConditionTypeProgressing says how far the rollout is and, where it stands still, why.
	CloneSetConditionTypeProgressing CloneSetConditionType = "Progressing"
	// CloneSetConditionReconciling is there, and True, while the set is on its way to what is wanted. Tools that follow
	// kstatus wait for it to go.
	CloneSetConditionReconciling CloneSetConditionType = "Reconciling"
	// CloneSetConditionStalled is there, and True, when the set did not get there within progressDeadlineSeconds. Tools
	// that follow kstatus take it for a failure.
	CloneSetConditionStalled CloneSetConditionType = "Stalled"
)

// The reasons of the condition Progressing.
const (
	// CloneSetUpdated says that the rollout goes on.
	CloneSetUpdated = "CloneSetUpdated"
	// CloneSetAvailable says that the rollout is complete.
	CloneSetAvailable = "CloneSetAvailable"
	// CloneSetPaused says that the rollout is paused.
	CloneSetPaused = "CloneSetPaused"
	// CloneSetProgressPartitionAvailable says that the rollout reached its partition.
	CloneSetProgressPartitionAvailable = "ProgressPartitionAvailable"
	// CloneSetProgressDeadlineExceeded says that the rollout made no progress within its deadline.
	CloneSetProgressDeadlineExceeded = "ProgressDeadlineExceeded"
)

// CloneSetCondition is one observation of a CloneSet's state.
type CloneSetCondition struct {
	// type names the condition.
	Type CloneSetConditionType `json:"type"`
	// status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
	// lastUpdateTime is when the condition was last written.
	// +optional
	LastUpdateTime metav1.Time `json:"lastUpdateTime,omitempty,omitzero"`
	// lastTransitionTime is when the status last changed.
	// +optional
	LastTransitionTime metav1.Time `json:"lastTransitionTime,omitempty,omitzero"`
	// reason is a word for machines.
	// +optional
	Reason string `json:"reason,omitempty"`
	// message is a sentence for people.
	// +optional
	Message string `json:"message,omitempty"`
}

// CloneSet runs a set of interchangeable pods, like a Deployment, and updates them in place where it can.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
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
	Status CloneSetStatus `json:"status,omitempty"`
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
