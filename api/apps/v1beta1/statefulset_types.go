package v1beta1

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// VolumeClaimUpdateStrategyType says how a changed claim template reaches the claims that exist.
type VolumeClaimUpdateStrategyType string

// The strategies.
const (
	// OnPVCDeleteVolumeClaimUpdateStrategyType leaves claims as they are: a changed template is for new claims.
	OnPVCDeleteVolumeClaimUpdateStrategyType VolumeClaimUpdateStrategyType = "OnDelete"
	// OnPodRollingUpdateVolumeClaimUpdateStrategyType expands the claims of a pod before the pod is updated.
	OnPodRollingUpdateVolumeClaimUpdateStrategyType VolumeClaimUpdateStrategyType = "OnPodRollingUpdate"
)

// StatefulSetSpec is what a user wants of a StatefulSet. It has every field of a native StatefulSet (apps/v1).
//
// +kubebuilder:validation:XValidation:rule=`(has(self.serviceName) ? self.serviceName : "") == (has(oldSelf.serviceName) ? oldSelf.serviceName : "")`,message="serviceName is immutable: the names by which pods are found would change; create another StatefulSet instead",fieldPath=".serviceName"
// +kubebuilder:validation:XValidation:rule="(has(self.podManagementPolicy) && self.podManagementPolicy == 'Parallel') || !has(self.updateStrategy) || !has(self.updateStrategy.rollingUpdate) || !has(self.updateStrategy.rollingUpdate.maxUnavailable) || string(self.updateStrategy.rollingUpdate.maxUnavailable) == '1'",messageExpression="'maxUnavailable is ' + string(self.updateStrategy.rollingUpdate.maxUnavailable) + ', and must be 1 with podManagementPolicy OrderedReady, where pods follow one after the other; set podManagementPolicy to Parallel'",message="maxUnavailable must be 1 with podManagementPolicy OrderedReady",fieldPath=".updateStrategy.rollingUpdate.maxUnavailable"
// +kubebuilder:validation:XValidation:rule="(has(self.podManagementPolicy) && self.podManagementPolicy == 'Parallel') || !has(self.updateStrategy) || !has(self.updateStrategy.rollingUpdate) || !has(self.updateStrategy.rollingUpdate.unorderedUpdate)",message="unorderedUpdate must not be set with podManagementPolicy OrderedReady, where pods are updated by their ordinal; set podManagementPolicy to Parallel",fieldPath=".updateStrategy.rollingUpdate.unorderedUpdate"
// +kubebuilder:validation:XValidation:rule="(has(self.podManagementPolicy) && self.podManagementPolicy == 'Parallel') || !has(self.scaleStrategy) || !has(self.scaleStrategy.maxUnavailable) || string(self.scaleStrategy.maxUnavailable) == '1'",messageExpression="'maxUnavailable is ' + string(self.scaleStrategy.maxUnavailable) + ', and must be 1 with podManagementPolicy OrderedReady, where pods follow one after the other; set podManagementPolicy to Parallel'",message="maxUnavailable must be 1 with podManagementPolicy OrderedReady",fieldPath=".scaleStrategy.maxUnavailable"
type StatefulSetSpec struct {
	// replicas is the wanted number of pods. Default: 1; not negative.
	// +kubebuilder:default=1
	// +kubebuilder:validation:Minimum=0
	// +optional
	Replicas *int32 `json:"replicas,omitempty"`
	// selector selects the pods. Required, immutable, not empty; it must match the labels of the template.
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="selector is immutable: pods would be lost; create another StatefulSet instead"
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// template is the pod to make. Required. restartPolicy must be Always; activeDeadlineSeconds is not allowed. To be updated
	// in place it needs InPlaceUpdateReady among its readinessGates.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Template corev1.PodTemplateSpec `json:"template"`
	// volumeClaimTemplates are claims that each pod gets one of, named <template>-<StatefulSet>-<ordinal>. Default: none.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	VolumeClaimTemplates []corev1.PersistentVolumeClaim `json:"volumeClaimTemplates,omitempty"`
	// volumeClaimUpdateStrategy says how changed claim templates reach claims that exist. Default: filled in with the feature
	// gate StatefulSetAutoResizePVCGate, without which claims are left as they are.
	// +optional
	VolumeClaimUpdateStrategy VolumeClaimUpdateStrategy `json:"volumeClaimUpdateStrategy,omitempty,omitzero"`
	// serviceName is the name of the headless Service under which pods have their host names; the Service must exist before
	// pods can be found by it. Default: none. Immutable; a DNS label.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	// +optional
	ServiceName string `json:"serviceName,omitempty"`
	// podManagementPolicy says whether pods are created and deleted one after the other, each when those before it are
	// available (OrderedReady), or without waiting (Parallel). Default: OrderedReady. Immutable.
	// +kubebuilder:default=OrderedReady
	// +kubebuilder:validation:Enum=OrderedReady;Parallel
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="podManagementPolicy is immutable; create another StatefulSet instead"
	// +optional
	PodManagementPolicy appsv1.PodManagementPolicyType `json:"podManagementPolicy,omitempty"`
	// minReadySeconds is how long a pod must be ready before it counts as available, in seconds, where
	// updateStrategy.rollingUpdate.minReadySeconds does not say: there it is unset or 0, or the type is OnDelete. Default: 0; not
	// negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	MinReadySeconds int32 `json:"minReadySeconds,omitempty"`
	// updateStrategy says when and how pods are updated. Default: RollingUpdate by recreating pods, one at a time.
	// +kubebuilder:default={type: RollingUpdate}
	// +optional
	UpdateStrategy StatefulSetUpdateStrategy `json:"updateStrategy,omitempty"`
	// revisionHistoryLimit is how many revisions that no pod uses are kept. Default: 10; not negative.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// reserveOrdinals are ordinals that no pod gets: integers, or ranges "a-b" with both ends. A pod that has one is deleted,
	// and another is created at the next free ordinal. Default: none.
	// +kubebuilder:validation:MaxItems=10000
	// +kubebuilder:validation:items:XIntOrString
	// +kubebuilder:validation:items:MaxLength=21
	// +kubebuilder:validation:items:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^[0-9]{1,10}-[0-9]{1,10}$') && int(self.split('-')[0]) <= int(self.split('-')[1])",message="must be an integer of 0 or more, or a range like \"2-5\" whose start is not above its end; a number in quotes is neither"
	// +listType=atomic
	// +optional
	ReserveOrdinals []intstr.IntOrString `json:"reserveOrdinals,omitempty"`
	// lifecycle names hooks at which the controller waits for others. Default: none.
	// +optional
	Lifecycle *Lifecycle `json:"lifecycle,omitempty"`
	// scaleStrategy tunes how pods are added. Default: none.
	// +optional
	ScaleStrategy *StatefulSetScaleStrategy `json:"scaleStrategy,omitempty"`
	// persistentVolumeClaimRetentionPolicy says what becomes of claims that no pod needs any more. Default: filled in with the
	// feature gate StatefulSetAutoDeletePVC, without which all claims are kept.
	// +optional
	PersistentVolumeClaimRetentionPolicy *StatefulSetPersistentVolumeClaimRetentionPolicy `json:"persistentVolumeClaimRetentionPolicy,omitempty"`
	// ordinals says how pods are numbered. It needs the feature gate StatefulSetStartOrdinal. Default: from 0.
	// +optional
	Ordinals *StatefulSetOrdinals `json:"ordinals,omitempty"`
}

// VolumeClaimUpdateStrategy says how changed claim templates reach claims that exist.
type VolumeClaimUpdateStrategy struct {
	// type is OnDelete (templates are for new claims) or OnPodRollingUpdate (claims are expanded before their pod is updated;
	// it needs the feature gate StatefulSetAutoResizePVCGate, and a StorageClass that can expand). Default: OnDelete.
	// +kubebuilder:default=OnDelete
	// +kubebuilder:validation:Enum=OnDelete;OnPodRollingUpdate
	// +optional
	Type VolumeClaimUpdateStrategyType `json:"type,omitempty"`
}

// StatefulSetScaleStrategy tunes how a StatefulSet adds pods.
type StatefulSetScaleStrategy struct {
	// maxUnavailable stops adding pods while this many are unavailable. An integer of 1 or more, or a percentage of replicas
	// rounded down, at least 1. Other values than 1 need podManagementPolicy Parallel. Default: unset, no limit.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^(100|[1-9][0-9]?)%$')",message="maxUnavailable must be an integer of 1 or more, or a percentage from \"1%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
}

// StatefulSetPersistentVolumeClaimRetentionPolicy says what becomes of claims that no pod needs any more.
type StatefulSetPersistentVolumeClaimRetentionPolicy struct {
	// whenDeleted says what becomes of the claims when the StatefulSet is deleted: Retain or Delete. Default: Retain.
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Delete
	// +optional
	WhenDeleted appsv1.PersistentVolumeClaimRetentionPolicyType `json:"whenDeleted,omitempty"`
	// whenScaled says what becomes of the claims of a pod that is scaled in: Retain or Delete. Default: Retain.
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Delete
	// +optional
	WhenScaled appsv1.PersistentVolumeClaimRetentionPolicyType `json:"whenScaled,omitempty"`
}

// StatefulSetOrdinals says how pods are numbered.
type StatefulSetOrdinals struct {
	// start is the ordinal of the first pod. Default: 0; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	Start int32 `json:"start"`
}

// StatefulSetUpdateStrategy says when and how a StatefulSet updates its pods.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.type) && self.type == 'OnDelete' && has(self.rollingUpdate))",message="rollingUpdate must not be set with type OnDelete; remove it (a patch sets it to null)",fieldPath=".rollingUpdate"
type StatefulSetUpdateStrategy struct {
	// type says when pods are updated: RollingUpdate or OnDelete. Default: RollingUpdate.
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=RollingUpdate;OnDelete
	// +optional
	Type appsv1.StatefulSetUpdateStrategyType `json:"type,omitempty"`
	// rollingUpdate holds the parameters of RollingUpdate. Default: filled in for that type; not allowed for OnDelete.
	// +optional
	RollingUpdate *RollingUpdateStatefulSetStrategy `json:"rollingUpdate,omitempty"`
}

// RollingUpdateStatefulSetStrategy holds the parameters of a rolling update.
type RollingUpdateStatefulSetStrategy struct {
	// partition is how many pods stay on the old revision, counted from the first ordinal; reserved ordinals do not count.
	// Default: 0; not negative.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +optional
	Partition *int32 `json:"partition,omitempty"`
	// maxUnavailable is how many pods may be unavailable during the update. An integer of 1 or more, or a percentage of replicas
	// rounded down, at least 1. Other values than 1 need podManagementPolicy Parallel. Default: 1.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^(100|[1-9][0-9]?)%$')",message="maxUnavailable must be an integer of 1 or more, or a percentage from \"1%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// podUpdatePolicy says how one pod is updated: ReCreate, InPlaceIfPossible or InPlaceOnly. Those in place need
	// InPlaceUpdateReady among the template's readinessGates. Default: ReCreate.
	// +kubebuilder:default=ReCreate
	// +kubebuilder:validation:Enum=ReCreate;InPlaceIfPossible;InPlaceOnly
	// +optional
	PodUpdatePolicy PodUpdatePolicyType `json:"podUpdatePolicy,omitempty"`
	// paused stops the update where it is; scaling and healing go on. Default: false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// unorderedUpdate updates pods by priority instead of by ordinal. It needs podManagementPolicy Parallel. Default: unset.
	// +optional
	UnorderedUpdate *UnorderedUpdateStrategy `json:"unorderedUpdate,omitempty"`
	// inPlaceUpdateStrategy tunes updates in place. Default: none.
	// +optional
	InPlaceUpdateStrategy *InPlaceUpdateStrategy `json:"inPlaceUpdateStrategy,omitempty"`
	// minReadySeconds is how long a pod must be ready before it counts as available, in seconds, when pods are updated and when
	// they are added. Default: 0, which leaves it to spec.minReadySeconds; at most 300.
	// +kubebuilder:default=0
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=300
	// +optional
	MinReadySeconds *int32 `json:"minReadySeconds,omitempty"`
}

// UnorderedUpdateStrategy says in which order pods are updated, where it is not by ordinal.
type UnorderedUpdateStrategy struct {
	// priorityStrategy says which pods are updated first. Default: none, those that serve the least first.
	// +optional
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`
}

// StatefulSetStatus is what a StatefulSet was last seen to be.
type StatefulSetStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// replicas is the number of the set's pods.
	Replicas int32 `json:"replicas"`
	// readyReplicas is the number of pods that are ready.
	ReadyReplicas int32 `json:"readyReplicas"`
	// availableReplicas is the number of pods that have been ready for minReadySeconds and are in no update.
	AvailableReplicas int32 `json:"availableReplicas"`
	// currentReplicas is the number of pods on currentRevision.
	CurrentReplicas int32 `json:"currentReplicas"`
	// updatedReplicas is the number of pods on updateRevision.
	UpdatedReplicas int32 `json:"updatedReplicas"`
	// updatedReadyReplicas is the number of pods on updateRevision that are ready.
	// +optional
	UpdatedReadyReplicas int32 `json:"updatedReadyReplicas,omitempty"`
	// updatedAvailableReplicas is the number of pods on updateRevision that are available.
	// +optional
	UpdatedAvailableReplicas int32 `json:"updatedAvailableReplicas,omitempty"`
	// currentRevision is the name of the revision that all pods had at the end of the last complete rollout.
	// +optional
	CurrentRevision string `json:"currentRevision,omitempty"`
	// updateRevision is the name of the newest revision.
	// +optional
	UpdateRevision string `json:"updateRevision,omitempty"`
	// collisionCount counts hash collisions of revision names.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// conditions are the latest observations of the set's state.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []StatefulSetCondition `json:"conditions,omitempty"`
	// labelSelector is the selector in string form, for the scale subresource.
	// +optional
	LabelSelector string `json:"labelSelector,omitempty"`
	// volumeClaims say for each claim template how far the claims are that were made from it.
	// +listType=map
	// +listMapKey=volumeClaimName
	// +optional
	VolumeClaims []VolumeClaimStatus `json:"volumeClaims,omitempty"`
}

// VolumeClaimStatus says how far the claims of one template are.
type VolumeClaimStatus struct {
	// volumeClaimName is the name of the claim template.
	VolumeClaimName string `json:"volumeClaimName"`
	// compatibleReplicas is the number of claims that ask for at least what the template does and are otherwise equal to it.
	CompatibleReplicas int32 `json:"compatibleReplicas"`
	// compatibleReadyReplicas is the number of those that have as much as the template asks for.
	CompatibleReadyReplicas int32 `json:"compatibleReadyReplicas"`
}

// StatefulSetConditionType names a condition of a StatefulSet.
type StatefulSetConditionType string

// The conditions of a StatefulSet.
const (
	// FailedCreatePod is True when pods could not be created.
	FailedCreatePod StatefulSetConditionType = "FailedCreatePod"
	// FailedUpdatePod is True when pods could not be updated.
	FailedUpdatePod StatefulSetConditionType = "FailedUpdatePod"
	// StatefulSetConditionProgressing says how far the rollout is and, where it stands still, why.
	StatefulSetConditionProgressing StatefulSetConditionType = "Progressing"
	// StatefulSetConditionReconciling is there, and True, while the set is on its way to what is wanted. Tools that follow
	// kstatus wait for it to go. As a rollout has no deadline, none is ever Stalled.
	StatefulSetConditionReconciling StatefulSetConditionType = "Reconciling"
)

// The reasons of the condition Progressing.
const (
	// StatefulSetUpdated says that the rollout goes on.
	StatefulSetUpdated = "StatefulSetUpdated"
	// StatefulSetAvailable says that the rollout is complete.
	StatefulSetAvailable = "StatefulSetAvailable"
	// StatefulSetPaused says that the rollout is paused.
	StatefulSetPaused = "StatefulSetPaused"
	// StatefulSetPartitionReached says that the rollout reached its partition.
	StatefulSetPartitionReached = "ProgressPartitionAvailable"
)

// StatefulSetCondition is one observation of a StatefulSet's state.
type StatefulSetCondition struct {
	// type names the condition.
	Type StatefulSetConditionType `json:"type"`
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

// StatefulSet runs pods with identities that stay (names by ordinal, and claims of their own), like the native StatefulSet,
// and updates them in place where it can.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:subresource:scale:specpath=.spec.replicas,statuspath=.status.replicas,selectorpath=.status.labelSelector
// +kubebuilder:resource:shortName=sts;asts
// +kubebuilder:printcolumn:name="DESIRED",type="integer",JSONPath=".spec.replicas",description="The wanted number of pods."
// +kubebuilder:printcolumn:name="CURRENT",type="integer",JSONPath=".status.replicas",description="The number of pods."
// +kubebuilder:printcolumn:name="UPDATED",type="integer",JSONPath=".status.updatedReplicas",description="The number of pods on the newest revision."
// +kubebuilder:printcolumn:name="READY",type="integer",JSONPath=".status.readyReplicas",description="The number of pods that are ready."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:printcolumn:name="CONTAINERS",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].name",description="The containers of the template."
// +kubebuilder:printcolumn:name="IMAGES",type="string",priority=1,JSONPath=".spec.template.spec.containers[*].image",description="The images of the template."
type StatefulSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec StatefulSetSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status StatefulSetStatus `json:"status,omitempty"`
}

// StatefulSetList is a list of StatefulSets.
//
// +kubebuilder:object:root=true
type StatefulSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the StatefulSets.
	Items []StatefulSet `json:"items"`
}
