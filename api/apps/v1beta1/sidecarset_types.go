package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// PodInjectPolicyType says where a sidecar stands among the containers of a pod.
type PodInjectPolicyType string

// The places of a sidecar.
const (
	// BeforeAppContainerType puts a sidecar before the containers that the pod's author wrote.
	BeforeAppContainerType PodInjectPolicyType = "BeforeAppContainer"
	// AfterAppContainerType puts it after them.
	AfterAppContainerType PodInjectPolicyType = "AfterAppContainer"
)

// ShareVolumePolicyType says whether a sidecar gets what the other containers of its pod mount.
type ShareVolumePolicyType string

// The policies.
const (
	// ShareVolumePolicyEnabled shares the volumes.
	ShareVolumePolicyEnabled ShareVolumePolicyType = "enabled"
	// ShareVolumePolicyDisabled does not.
	ShareVolumePolicyDisabled ShareVolumePolicyType = "disabled"
)

// SidecarContainerUpgradeType says how a sidecar is upgraded in a running pod.
type SidecarContainerUpgradeType string

// The ways to upgrade.
const (
	// SidecarContainerColdUpgrade restarts the sidecar with its new image.
	SidecarContainerColdUpgrade SidecarContainerUpgradeType = "ColdUpgrade"
	// SidecarContainerHotUpgrade starts the new image in a twin of the sidecar, which takes over before the old one goes.
	SidecarContainerHotUpgrade SidecarContainerUpgradeType = "HotUpgrade"
)

// SidecarSetPatchPolicyType says what becomes of an annotation that a pod has already.
type SidecarSetPatchPolicyType string

// The policies.
const (
	// SidecarSetRetainPatchPolicy keeps what the pod has.
	SidecarSetRetainPatchPolicy SidecarSetPatchPolicyType = "Retain"
	// SidecarSetOverwritePatchPolicy replaces it.
	SidecarSetOverwritePatchPolicy SidecarSetPatchPolicyType = "Overwrite"
	// SidecarSetMergePatchJSONPatchPolicy merges both, which are JSON objects.
	SidecarSetMergePatchJSONPatchPolicy SidecarSetPatchPolicyType = "MergePatchJson"
)

// SidecarSetInjectRevisionPolicy says which pods get a pinned revision.
type SidecarSetInjectRevisionPolicy string

// The policies.
const (
	// AlwaysSidecarSetInjectRevisionPolicy gives it to every new pod.
	AlwaysSidecarSetInjectRevisionPolicy SidecarSetInjectRevisionPolicy = "Always"
	// PartialSidecarSetInjectRevisionPolicy gives it to the new pods that updateStrategy would leave on it, the newest revision to the others.
	PartialSidecarSetInjectRevisionPolicy SidecarSetInjectRevisionPolicy = "Partial"
)

// TargetContainersModeType says how the resources of several containers become one number.
type TargetContainersModeType string

// The modes.
const (
	// TargetContainersModeSum adds them up.
	TargetContainersModeSum TargetContainersModeType = "sum"
	// TargetContainersModeMax takes the largest.
	TargetContainersModeMax TargetContainersModeType = "max"
)

// SidecarSetUpdateStrategyType says when the sidecars of running pods are upgraded.
type SidecarSetUpdateStrategyType string

// The strategies.
const (
	// NotUpdateSidecarSetStrategyType leaves running pods as they are.
	NotUpdateSidecarSetStrategyType SidecarSetUpdateStrategyType = "NotUpdate"
	// RollingUpdateSidecarSetStrategyType upgrades pod by pod.
	RollingUpdateSidecarSetStrategyType SidecarSetUpdateStrategyType = "RollingUpdate"
)

// SidecarSetSpec is what a user wants to have in pods. At least one of containers, initContainers, volumes, imagePullSecrets and
// patchPodMetadata is set.
type SidecarSetSpec struct {
	// selector selects pods by label. Required, not empty. A change counts for pods that are created afterwards.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// namespaceSelector selects the namespaces of the pods by label; kubernetes.io/metadata.name is a namespace's name.
	// Default: all namespaces. kube-system, kube-public and the manager's own are never among them.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// initContainers are added to the init containers of pods. Default: none; at most 100. Those with restartPolicy Always run
	// beside the pod's containers, as native sidecars. They are sorted by name, and stand behind those of the pod unless
	// podInjectPolicy says otherwise.
	// +kubebuilder:validation:MaxItems=100
	// +kubebuilder:validation:XValidation:rule="self.all(c, !has(c.upgradeStrategy) || !has(c.upgradeStrategy.upgradeType) || c.upgradeStrategy.upgradeType != 'HotUpgrade')",message="upgradeType HotUpgrade is not supported for init containers, which cannot run beside a twin"
	// +listType=atomic
	// +optional
	InitContainers []SidecarContainer `json:"initContainers,omitempty"`
	// containers are added to the containers of pods. Default: none; at most 100. A container of the pod that has the same name
	// is replaced where it stands.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	Containers []SidecarContainer `json:"containers,omitempty"`
	// volumes are added to the volumes of pods; one of the pod that has the same name stays as it is. Default: none.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	// +optional
	Volumes []corev1.Volume `json:"volumes,omitempty"`
	// imagePullSecrets are added to the image pull secrets of pods. Default: none.
	// +listType=atomic
	// +optional
	ImagePullSecrets []corev1.LocalObjectReference `json:"imagePullSecrets,omitempty"`
	// patchPodMetadata writes annotations of pods when they are created. Default: none; at most 100. The keys must be allowed
	// by the cluster's configuration.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	PatchPodMetadata []SidecarSetPatchPodMetadata `json:"patchPodMetadata,omitempty"`
	// injectionStrategy says what new pods get. Default: the newest revision.
	// +optional
	InjectionStrategy SidecarSetInjectionStrategy `json:"injectionStrategy,omitempty,omitzero"`
	// updateStrategy says when and how the sidecars of running pods are upgraded. Default: RollingUpdate, one pod at a time.
	// +kubebuilder:default={type: RollingUpdate}
	// +optional
	UpdateStrategy SidecarSetUpdateStrategy `json:"updateStrategy,omitempty,omitzero"`
	// revisionHistoryLimit is how many revisions are kept that no pod uses and injectionStrategy does not name. Default: 10;
	// not negative. The newest is always kept.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
	// customVersion is a name for this revision, by which injectionStrategy can pin it. Default: none; a label value.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
	// +optional
	CustomVersion string `json:"customVersion,omitempty"`
}

// SidecarContainer is a container to add to pods. Beside the fields of a container it has those that say how.
type SidecarContainer struct {
	// What the container is.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:pruning:PreserveUnknownFields
	corev1.Container `json:",inline"`

	// podInjectPolicy says where the container stands: BeforeAppContainer or AfterAppContainer. Default: before the pod's
	// containers, but an init container behind the pod's init containers.
	// +kubebuilder:validation:Enum=BeforeAppContainer;AfterAppContainer
	// +optional
	PodInjectPolicy PodInjectPolicyType `json:"podInjectPolicy,omitempty"`
	// upgradeStrategy says how the container is upgraded in a running pod. Default: ColdUpgrade. Its type is immutable.
	// +optional
	UpgradeStrategy SidecarContainerUpgradeStrategy `json:"upgradeStrategy,omitempty,omitzero"`
	// shareVolumePolicy mounts what the containers of the pod mount, but for the token of the service account. Default:
	// disabled.
	// +optional
	ShareVolumePolicy ShareVolumePolicy `json:"shareVolumePolicy,omitempty,omitzero"`
	// shareVolumeDevicePolicy adds the block devices of the containers of the pod. Default: disabled.
	// +optional
	ShareVolumeDevicePolicy *ShareVolumePolicy `json:"shareVolumeDevicePolicy,omitempty"`
	// transferEnv copies environment variables from containers of the pod. Default: none; at most 100.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	TransferEnv []TransferEnvVar `json:"transferEnv,omitempty"`
	// resourcesPolicy computes resources from those of the containers of the pod. Default: none. It excludes resources.
	// +optional
	ResourcesPolicy *ResourcesPolicy `json:"resourcesPolicy,omitempty"`
}

// SidecarContainerUpgradeStrategy says how a sidecar is upgraded in a running pod.
//
// +kubebuilder:validation:XValidation:rule="!has(self.upgradeType) || self.upgradeType != 'HotUpgrade' || (has(self.hotUpgradeEmptyImage) && size(self.hotUpgradeEmptyImage) > 0)",message="hotUpgradeEmptyImage must be set with upgradeType HotUpgrade: the idle twin runs it"
type SidecarContainerUpgradeStrategy struct {
	// upgradeType says how: ColdUpgrade restarts the container with its new image, HotUpgrade starts the new image in a twin
	// container first. Default: ColdUpgrade. Immutable.
	// +kubebuilder:default=ColdUpgrade
	// +kubebuilder:validation:Enum=ColdUpgrade;HotUpgrade
	// +optional
	UpgradeType SidecarContainerUpgradeType `json:"upgradeType,omitempty"`
	// hotUpgradeEmptyImage is the image of the twin that is idle. Required with HotUpgrade. It does nothing but run.
	// +optional
	HotUpgradeEmptyImage string `json:"hotUpgradeEmptyImage,omitempty"`
}

// ShareVolumePolicy says whether a sidecar gets what the other containers of its pod mount.
type ShareVolumePolicy struct {
	// type is enabled or disabled. Default: disabled.
	// +kubebuilder:default=disabled
	// +kubebuilder:validation:Enum=enabled;disabled
	// +optional
	Type ShareVolumePolicyType `json:"type,omitempty"`
}

// TransferEnvVar names environment variables of a container of the pod that are copied. One that the container does not have
// is not copied.
//
// +kubebuilder:validation:XValidation:rule="(has(self.sourceContainerName) && size(self.sourceContainerName) > 0) != has(self.sourceContainerNameFrom)",message="exactly one of sourceContainerName and sourceContainerNameFrom must be set"
// +kubebuilder:validation:XValidation:rule="(has(self.envName) && size(self.envName) > 0) || (has(self.envNames) && size(self.envNames) > 0)",message="envName or envNames must be set"
type TransferEnvVar struct {
	// sourceContainerName is the container that has the variables. Exactly one of it and sourceContainerNameFrom is set.
	// +optional
	SourceContainerName string `json:"sourceContainerName,omitempty"`
	// sourceContainerNameFrom says where the pod tells the name of that container.
	// +optional
	SourceContainerNameFrom *SourceContainerNameSource `json:"sourceContainerNameFrom,omitempty"`
	// envName is a variable to copy. It or envNames is set.
	// +optional
	EnvName string `json:"envName,omitempty"`
	// envNames are more variables to copy. Default: none; at most 100.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	EnvNames []string `json:"envNames,omitempty"`
}

// SourceContainerNameSource says where a pod tells the name of a container.
//
// +kubebuilder:validation:XValidation:rule="has(self.fieldRef)",message="fieldRef must be set"
type SourceContainerNameSource struct {
	// fieldRef names a label or an annotation of the pod, as metadata.labels['key'] or metadata.annotations['key']. Required.
	// +kubebuilder:validation:XValidation:rule="!has(self.apiVersion) || self.apiVersion in ['', 'v1']",message="apiVersion must be v1"
	// +optional
	FieldRef *corev1.ObjectFieldSelector `json:"fieldRef,omitempty"`
}

// ResourcesPolicy computes the resources of a sidecar from those of containers of its pod. A pod in which no container is a
// target is refused.
type ResourcesPolicy struct {
	// targetContainersMode says how the resources of several containers become one number: sum or max. Required.
	// +kubebuilder:validation:Enum=sum;max
	TargetContainersMode TargetContainersModeType `json:"targetContainersMode"`
	// targetContainersNameRegex is a regular expression that the whole name of a container must match to be a target; sidecars
	// are none. Default: .*, every container.
	// +kubebuilder:default=".*"
	// +optional
	TargetContainersNameRegex string `json:"targetContainersNameRegex,omitempty"`
	// resourcesExpr are the expressions. Required.
	ResourcesExpr ResourcesExpr `json:"resourcesExpr"`
}

// ResourcesExpr are expressions for the resources of a sidecar.
//
// +kubebuilder:validation:XValidation:rule="has(self.limits) || has(self.requests)",message="limits or requests must be set"
type ResourcesExpr struct {
	// limits are expressions over the limits of the targets. Where a target has no limit, the sidecar gets none. Default: none.
	// +optional
	Limits *ResourceExprLimits `json:"limits,omitempty"`
	// requests are expressions over the requests of the targets. A target without one counts as 0. Default: none.
	// +optional
	Requests *ResourceExprRequests `json:"requests,omitempty"`
}

// ResourceExprLimits are expressions for limits: numbers, quantities, percentages and the variable, with + - * /, parentheses,
// max(a, b, ...) and min(a, b, ...).
type ResourceExprLimits struct {
	// cpu is an expression over the variable cpu, as in max(cpu*50%, 50m). Default: no limit.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	CPU string `json:"cpu,omitempty"`
	// memory is an expression over the variable memory, as in 200Mi. Default: no limit.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Memory string `json:"memory,omitempty"`
}

// ResourceExprRequests are expressions for requests, in the language of ResourceExprLimits.
type ResourceExprRequests struct {
	// cpu is an expression over the variable cpu, as in max(cpu*50%, 50m). Default: no request.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	CPU string `json:"cpu,omitempty"`
	// memory is an expression over the variable memory, as in 200Mi. Default: no request.
	// +kubebuilder:validation:MaxLength=256
	// +optional
	Memory string `json:"memory,omitempty"`
}

// SidecarSetPatchPodMetadata writes annotations of pods.
type SidecarSetPatchPodMetadata struct {
	// annotations are the annotations to write. Required, not empty.
	// +kubebuilder:validation:MinProperties=1
	Annotations map[string]string `json:"annotations"`
	// patchPolicy says what becomes of an annotation that the pod has already: Retain keeps it, Overwrite replaces it,
	// MergePatchJson merges both as JSON. Default: Retain.
	// +kubebuilder:default=Retain
	// +kubebuilder:validation:Enum=Retain;Overwrite;MergePatchJson
	// +optional
	PatchPolicy SidecarSetPatchPolicyType `json:"patchPolicy,omitempty"`
}

// SidecarSetInjectionStrategy says what new pods get.
type SidecarSetInjectionStrategy struct {
	// paused gives new pods nothing. Default: false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// revision pins the revision that new pods get. Default: the newest.
	// +optional
	Revision *SidecarSetInjectRevision `json:"revision,omitempty"`
}

// SidecarSetInjectRevision pins a revision.
//
// +kubebuilder:validation:XValidation:rule="(has(self.revisionName) && size(self.revisionName) > 0) || (has(self.customVersion) && size(self.customVersion) > 0)",message="revisionName or customVersion must be set"
type SidecarSetInjectRevision struct {
	// customVersion names the revision by the customVersion that the set had; the newest of that name counts.
	// +optional
	CustomVersion *string `json:"customVersion,omitempty"`
	// revisionName is the name of the ControllerRevision. It counts before customVersion.
	// +optional
	RevisionName *string `json:"revisionName,omitempty"`
	// policy says which pods get the revision: Always is every new pod; Partial is those that updateStrategy would leave as they
	// are, by its selector, its partition (as a probability) or because it is paused. Default: Always.
	// +kubebuilder:default=Always
	// +kubebuilder:validation:Enum=Always;Partial
	// +optional
	Policy SidecarSetInjectRevisionPolicy `json:"policy,omitempty"`
}

// SidecarSetUpdateStrategy says when and how the sidecars of running pods are upgraded.
//
// +kubebuilder:validation:XValidation:rule="!has(self.selector) || !has(self.partition) || string(self.partition) in ['0', '0%']",message="partition and selector exclude each other: each says which pods stay as they are"
type SidecarSetUpdateStrategy struct {
	// type says when: NotUpdate leaves running pods as they are, RollingUpdate upgrades one after the other. Default:
	// RollingUpdate.
	// +kubebuilder:default=RollingUpdate
	// +kubebuilder:validation:Enum=NotUpdate;RollingUpdate
	// +optional
	Type SidecarSetUpdateStrategyType `json:"type,omitempty"`
	// paused stops upgrades where they are. Default: false.
	// +optional
	Paused bool `json:"paused,omitempty"`
	// selector selects the pods that are upgraded. Default: all that the set was injected into. It excludes partition.
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
	// partition is how many of the pods that wait stay as they are. An integer, or a percentage of the pods that the set was
	// injected into, rounded up; one below 100% lets at least one pod be upgraded. Default: 0.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])([.][0-9]+)?%$')",message="partition must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	Partition *intstr.IntOrString `json:"partition,omitempty"`
	// maxUnavailable is how many pods may be out of service by upgrades; pods that are not ready anyway are upgraded without. An
	// integer, or a percentage of the pods that the set was injected into, rounded up. Default: 1.
	// +kubebuilder:default=1
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^(100|[1-9]?[0-9])%$')",message="maxUnavailable must be an integer of 0 or more, or a percentage from \"0%\" to \"100%\"; a number in quotes is neither"
	// +optional
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// priorityStrategy says which pods are upgraded first. Default: pods that are not ready, then younger ones.
	// +optional
	PriorityStrategy *UpdatePriorityStrategy `json:"priorityStrategy,omitempty"`
	// scatterStrategy spreads pods with these labels over the order of the upgrade; the value * is every value that a pod has.
	// Default: none; at most 64, no duplicates.
	// +kubebuilder:validation:MaxItems=64
	// +listType=map
	// +listMapKey=key
	// +listMapKey=value
	// +optional
	ScatterStrategy []UpdateScatterTerm `json:"scatterStrategy,omitempty"`
}

// SidecarSetStatus is what a SidecarSet was last seen to be.
type SidecarSetStatus struct {
	// observedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// matchedPods is the number of active pods that the set was injected into.
	MatchedPods int32 `json:"matchedPods"`
	// updatedPods is the number of those on the newest revision.
	UpdatedPods int32 `json:"updatedPods"`
	// readyPods is the number of those that are ready.
	ReadyPods int32 `json:"readyPods"`
	// updatedReadyPods is the number of those on the newest revision that are ready.
	// +optional
	UpdatedReadyPods int32 `json:"updatedReadyPods,omitempty"`
	// latestRevision is the name of the newest ControllerRevision.
	// +optional
	LatestRevision string `json:"latestRevision,omitempty"`
	// collisionCount counts hash collisions of revision names.
	// +optional
	CollisionCount *int32 `json:"collisionCount,omitempty"`
	// conditions are the latest observations of the set's state.
	// +listType=map
	// +listMapKey=type
	// +optional
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// SidecarSet puts containers into pods when they are created, and upgrades them there without touching the others.
//
// +kubebuilder:object:root=true
// +kubebuilder:storageversion
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster
// +kubebuilder:printcolumn:name="MATCHED",type="integer",JSONPath=".status.matchedPods",description="The number of pods that the set was injected into."
// +kubebuilder:printcolumn:name="UPDATED",type="integer",JSONPath=".status.updatedPods",description="The number of those on the newest revision."
// +kubebuilder:printcolumn:name="READY",type="integer",JSONPath=".status.readyPods",description="The number of those that are ready."
// +kubebuilder:printcolumn:name="AGE",type="date",JSONPath=".metadata.creationTimestamp",description="The time since the object was created."
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-zA-Z0-9-]+$') && size(self.metadata.name) <= 63",message="metadata.name must be letters, digits and - only, at most 63: pods and revisions carry it in their labels"
type SidecarSet struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty,omitzero"`

	// spec is what is wanted.
	Spec SidecarSetSpec `json:"spec,omitempty"`
	// status is what was last seen.
	Status SidecarSetStatus `json:"status,omitempty"`
}

// SidecarSetList is a list of SidecarSets.
//
// +kubebuilder:object:root=true
type SidecarSetList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	// items are the SidecarSets.
	Items []SidecarSet `json:"items"`
}
