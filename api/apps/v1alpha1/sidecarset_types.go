package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// SidecarSetSpec is what a user wants to have in pods. At least one of containers, initContainers, volumes, imagePullSecrets and
// patchPodMetadata is set.
type SidecarSetSpec struct {
	// selector selects pods by label. Required, not empty. A change counts for pods that are created afterwards.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="selector must not be empty: it would match every pod"
	Selector *metav1.LabelSelector `json:"selector"`
	// namespace is the one namespace of the pods. Default: all namespaces. Where namespaceSelector is set, too, both must hold.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$`
	// +optional
	Namespace string `json:"namespace,omitempty"`
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
	InitContainers []v1beta1.SidecarContainer `json:"initContainers,omitempty"`
	// containers are added to the containers of pods. Default: none; at most 100. A container of the pod that has the same name
	// is replaced where it stands.
	// +kubebuilder:validation:MaxItems=100
	// +listType=atomic
	// +optional
	Containers []v1beta1.SidecarContainer `json:"containers,omitempty"`
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
	PatchPodMetadata []v1beta1.SidecarSetPatchPodMetadata `json:"patchPodMetadata,omitempty"`
	// injectionStrategy says what new pods get. Default: the newest revision.
	// +optional
	InjectionStrategy v1beta1.SidecarSetInjectionStrategy `json:"injectionStrategy,omitempty,omitzero"`
	// updateStrategy says when and how the sidecars of running pods are upgraded. Default: RollingUpdate, one pod at a time.
	// +kubebuilder:default={type: RollingUpdate}
	// +optional
	UpdateStrategy v1beta1.SidecarSetUpdateStrategy `json:"updateStrategy,omitempty,omitzero"`
	// revisionHistoryLimit is how many revisions are kept that no pod uses and injectionStrategy does not name. Default: 10;
	// not negative. The newest is always kept.
	// +kubebuilder:default=10
	// +kubebuilder:validation:Minimum=0
	// +optional
	RevisionHistoryLimit *int32 `json:"revisionHistoryLimit,omitempty"`
}

// SidecarSet puts containers into pods when they are created, and upgrades them there without touching the others. Its custom version is the label
// apps.kruise.io/sidecarset-custom-version.
//
// +kubebuilder:object:root=true
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
	Status v1beta1.SidecarSetStatus `json:"status,omitempty"`
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
