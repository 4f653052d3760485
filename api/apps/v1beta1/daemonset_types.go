package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// DaemonSetUpdateStrategyType says when pods are updated.
type DaemonSetUpdateStrategyType string

// The strategies.
const (
	// RollingUpdateDaemonSetStrategyType updates pods node by node.
	RollingUpdateDaemonSetStrategyType DaemonSetUpdateStrategyType = "RollingUpdate"
	// OnDeleteDaemonSetStrategyType gives the new revision only to pods that replace deleted ones.
	OnDeleteDaemonSetStrategyType DaemonSetUpdateStrategyType = "OnDelete"
)

// RollingUpdateType says how one pod is updated.
type RollingUpdateType string

// The ways to update a pod.
const (
	// StandardRollingUpdateType deletes the pod and creates another.
	StandardRollingUpdateType RollingUpdateType = "Standard"
	// InplaceRollingUpdateType changes the pod in place where the change allows it, else recreates it.
	InplaceRollingUpdateType RollingUpdateType = "InPlaceIfPossible"
)

// DaemonSetSpec is what a user wants of a DaemonSet.
//
// +kubebuilder:validation:XValidation:rule="!has(self.lifecycle) || !has(self.lifecycle.inPlaceUpdate)",message="lifecycle.inPlaceUpdate is not supported by DaemonSets: only preDelete is"
type DaemonSetSpec struct {
	// selector selects the pods. Required, immutable, not empty; it must match the labels of the template.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: pods would be lost; create another DaemonSet instead"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// template is the pod to run on each node that its nodeSelector, affinity and tolerations let it run on. Required.
	// restartPolicy must be Always; activeDeadlineSeconds is not allowed.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Template corev1.PodTemplateSpec `json:"template"`
	// updateStrategy says when and how pods are updated. Default: RollingUpdate by recreating pods, one at a time.
	// +kubebuilder:default={type: RollingUpdate}
	// +optional
	UpdateStrategy DaemonSetUpdateStrategy `json:"updateStrategy,omitempty"`
	// scaleStrategy tunes how pods are added. Default: none.
	// +optional
	ScaleStrategy *DaemonSetScaleStrategy `json:"scaleStrategy,omitempty"`
	// minReadySeconds is how long a pod must be ready before it counts as available, in seconds. Default: 0; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// burstReplicas is how many pods are created, deleted or updated in place in one go. An integer, or a percentage of the
	// nodes that should run a pod, rounded up; never less than 1. Default: 250.
	// +kubebuilder:default=250
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="burstReplicas must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	BurstReplicas *intstr.IntOrString `json:"burstReplicas,omitempty"`
	// revisionHistoryLimit is how many revisions that no pod uses are kept. Default: 10; not negative.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// lifecycle names hooks at which the controller waits for others. Default: none. preDelete counts; preNormal is ignored,
	// and inPlaceUpdate refused.
	// +optional
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`
}

// DaemonSetScaleStrategy tunes how a DaemonSet adds pods.
type DaemonSetScaleStrategy struct {
	// partitionedScaling leaves nodes without a pod when one of the newest revision would be one more than the partition lets
	// be. Default: false, each node gets a pod.
	// +optional
	PartitionedScaling bool `json:"partitionedScaling,omitempty"`
}

// DaemonSetUpdateStrategy says when and how a DaemonSet updates its pods.
//
// +kubebuilder:validation:XValidation:rule="(has(self.type) && self.type == 'OnDelete') || !has(self.rollingUpdate) || !has(self.rollingUpdate.maxUnavailable) || !has(self.rollingUpdate.maxSurge) || string(self.rollingUpdate.maxUnavailable) in ['0', '0%'] || string(self.rollingUpdate.maxSurge) in ['0', '0%']",message="rollingUpdate: maxUnavailable and maxSurge must not both be above 0: a node either gets a new pod before its old one goes, or after"
// +kubebuilder:validation:XValidation:rule="(has(self.type) && self.type == 'OnDelete') || !has(self.rollingUpdate) || !has(self.rollingUpdate.maxUnavailable) || !(string(self.rollingUpdate.maxUnavailable) in ['0', '0%']) || (has(self.rollingUpdate.maxSurge) && !(string(self.rollingUpdate.maxSurge) in ['0', '0%']))",message="rollingUpdate: maxUnavailable and maxSurge must not both be 0: no pod could ever be updated"
// +kubebuilder:validation:XValidation:rule="!has(self.rollingUpdate) || !has(self.rollingUpdate.rollingUpdateType) || self.rollingUpdate.rollingUpdateType != 'InPlaceIfPossible' || !has(self.rollingUpdate.maxSurge) || string(self.rollingUpdate.maxSurge) in ['0', '0%']",message="rollingUpdate: maxSurge must be 0 with rollingUpdateType InPlaceIfPossible: a second pod cannot be made in place"
type DaemonSetUpdateStrategy struct {
	// type says when pods are updated: RollingUpdate or OnDelete. Default: RollingUpdate.
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	// +optional
	Type DaemonSetUpdateStrategyType `json:"type,omitempty"`
	// rollingUpdate holds the parameters of RollingUpdate. Default: filled in for that type.
	// +optional
	RollingUpdate *RollingUpdateDaemonSet `json:"rollingUpdate,omitempty"`
}

// RollingUpdateDaemonSet holds the parameters of a rolling update.
type RollingUpdateDaemonSet struct {
	// rollingUpdateType says how one pod is updated: Standard (delete it and create
	// another) or InPlaceIfPossible. Default: Standard.
	// +kubebuilder:default=Standard
	// +kubebuilder:validation:Enum=Standard;InPlaceIfPossible
	// +optional
	Type RollingUpdateType `json:"rollingUpdateType,omitempty"`
	// maxUnavailable is how many nodes may be without an available pod during the update. Nodes where no pod is available
	// anyway count, too. An integer, or a percentage of the nodes that should run a pod, rounded up. Default: 1, or 0 when
	// maxSurge is above 0; one of the two is above 0, and only one.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxUnavailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// maxSurge is on how many nodes at a time a new pod may run beside the old one, which goes once the new one is
	// available. An integer, or a percentage of the nodes that should run a pod, rounded up. Default: 0; it must be 0 with
	// InPlaceIfPossible.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxSurge must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxSurge *intstr.IntOrString `json:"maxSurge,omitempty"`
	// selector selects nodes by label: pods on other nodes are not updated. Default: unset, every node.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// partition is how many nodes keep pods of the old revision; nodes whose names come last are updated first. An integer,
	// or a percentage of the nodes that should run a pod, rounded down. Default: 0. A pod that is lost is replaced by one of
	// the newest revision.
	// +kubebuilder:default=0
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])([.][0-9]+)?%$')",message="partition must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	Partition *intstr.IntOrString `json:"partition,omitempty"`
	// paused stops the update where it is; new nodes get their pods, and lost pods are replaced. Default: false.
	// +optional
	Paused *bool `json:"paused,omitempty"`
}

// DaemonSetStatus is what a DaemonSet was last seen to be.
type DaemonSetStatus struct {
	// currentNumberScheduled is the number of nodes that should run a pod and do.
	CurrentNumberScheduled int32 `json:"currentNumberScheduled"`
	// numberMisscheduled is the number of nodes that run a pod and should not.
	NumberMisscheduled int32 `json:"numberMisscheduled"`
	// desiredNumberScheduled is the number of nodes that should run a pod.
	DesiredNumberScheduled int32 `json:"desiredNumberScheduled"`
	// numberReady is the number of nodes that should run a pod and have one that is ready.
	NumberReady int32 `json:"numberReady"`
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// updatedNumberScheduled is the number of nodes that should run a pod and have one of the newest revision, and none of another.
	UpdatedNumberScheduled int32 `json:"updatedNumberScheduled"`
	// numberAvailable is the number of nodes that should run a pod and have one that has been ready for minReadySeconds and is
	// in no update.
	// +optional
	NumberAvailable int32 `json:"numberAvailable,omitempty"`
	// numberUnavailable is the number of nodes that should run a pod and have none that is available.
	// +optional
	NumberUnavailable int32 `json:"numberUnavailable,omitempty"`
	// collisionCount counts hash collisions of revision names.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// conditions are the latest observations of the set's state.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []DaemonSetCondition `json:"conditions,omitempty"`
	// updateRevision is the hash of the newest revision, as in the label controller-revision-hash of pods.
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
}

// DaemonSetConditionType names a condition of a DaemonSet.
type DaemonSetConditionType string

// The conditions of a DaemonSet.
const (
	// DaemonSetConditionProgressing says how far the rollout is and, where it stands still, why.
	DaemonSetConditionProgressing DaemonSetConditionType = "Progressing"
	// DaemonSetConditionReconciling is there, and True, while the set is on its way to what is wanted. Tools that follow
	// kstatus wait for it to go.
	DaemonSetConditionReconciling DaemonSetConditionType = "Reconciling"
	// DaemonSetConditionStalled is there, and True, while what has to be done fails. Tools that follow kstatus take it for a
	// failure.
	DaemonSetConditionStalled DaemonSetConditionType = "Stalled"
)

// The reasons of the condition Progressing.
const (
	// DaemonSetUpdated says that the rollout goes on.
	DaemonSetUpdated = "DaemonSetUpdated"
	// DaemonSetAvailable says that the rollout is complete.
	DaemonSetAvailable = "DaemonSetAvailable"
	// DaemonSetPaused says that the rollout is paused.
	DaemonSetPaused = "DaemonSetPaused"
	// DaemonSetProgressPartitionAvailable says that the rollout reached its partition.
	DaemonSetProgressPartitionAvailable = "ProgressPartitionAvailable"
)

// DaemonSetCondition is one observation of a DaemonSet's state.
type DaemonSetCondition struct {
	// type names the condition.
	Type DaemonSetConditionType `json:"type"`
	// status is True, False or Unknown.
	Status corev1.ConditionStatus `json:"status"`
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

// DaemonSet runs a pod on each node, or on each of some nodes, like the DaemonSet of Kubernetes, and updates it in place where
// it can.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=daemon;ads
// +kubebuilder:printcolumn:name="DESIRED",type="integer",JSONPath=".status.desiredNumberScheduled",description="The number of nodes that should run a pod."
// +kubebuilder:printcolumn:name="CURRENT",type="integer",JSONPath=".status.currentNumberScheduled",description="The number of nodes that should run a pod and do."
// +kubebuilder:printcolumn:name="READY",type="integer",JSONPath=".status.numberReady",description="The number of nodes with a pod that is ready."
// +kubebuilder:printcolumn:name="UP-TO-DATE",type="integer",JSONPath=".status.updatedNumberScheduled",description="The number of nodes with a pod of the newest revision."
// +kubebuilder:printcolumn:name="AVAILABLE",type="integer",JSONPath=".status.numberAvailable",description="The number of nodes with a pod that is available."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:printcolumn:name="CONTAINERS",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].name",description="The containers of the template."
// +kubebuilder:printcolumn:name="IMAGES",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].image",description="The images of the template."
type DaemonSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec DaemonSetSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status DaemonSetStatus `json:"status,omitempty"`
}

// DaemonSetList is a list of DaemonSets.
//
// +kubebuilder:object:root=true
type DaemonSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the DaemonSets.
	Items []DaemonSet `json:"items"`
}
