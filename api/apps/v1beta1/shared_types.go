package v1beta1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// LifecycleStateType is a state of a pod in its workload's life cycle, kept in the label lifecycle.apps.kruise.io/state.
type LifecycleStateType string

// The life-cycle states.
const (
	// LifecycleStatePreparingNormal is a new pod that does not serve yet.
	LifecycleStatePreparingNormal LifecycleStateType = "PreparingNormal"
	// LifecycleStateNormal is a pod at its work.
	LifecycleStateNormal LifecycleStateType = "Normal"
	// LifecycleStatePreparingUpdate is a pod that waits for its inPlaceUpdate hook before it is updated.
	LifecycleStatePreparingUpdate LifecycleStateType = "PreparingUpdate"
	// LifecycleStateUpdating is a pod that is being updated in place.
	LifecycleStateUpdating LifecycleStateType = "Updating"
	// LifecycleStateUpdated is an updated pod that waits for its inPlaceUpdate hook before it counts as normal again.
	LifecycleStateUpdated LifecycleStateType = "Updated"
	// LifecycleStatePreparingDelete is a pod that waits for its preDelete hook before it is deleted.
	LifecycleStatePreparingDelete LifecycleStateType = "PreparingDelete"
)

// Lifecycle names the points at which a workload waits for others before it goes on with a pod.
type Lifecycle struct {
	// preDelete is waited for, until no entry of it is left on the pod, before the workload deletes the pod. Default: no hook.
	// +optional
	PreDelete *LifecycleHook `json:"preDelete,omitempty"`
	// inPlaceUpdate is waited for before (no entry left) and after (all entries back) an update in place. Default: no hook.
	// +optional
	InPlaceUpdate *LifecycleHook `json:"inPlaceUpdate,omitempty"`
	// preNormal is waited for, until all its entries are on the pod, before a new pod counts as available. Default: no hook.
	// +optional
	PreNormal *LifecycleHook `json:"preNormal,omitempty"`
}

// LifecycleHook is a set of labels and finalizers by which others hold a pod at one point of its life.
type LifecycleHook struct {
	// labelsHandler holds the pod while it carries one of these labels with exactly this value.
	// +optional
	LabelsHandler map[string]string `json:"labelsHandler,omitempty"`
	// finalizersHandler holds the pod while it carries one of these finalizers.
	// +listType=atomic
	// +optional
	FinalizersHandler []string `json:"finalizersHandler,omitempty"`
	// markPodNotReady takes the pod out of service while it is held before an update or a deletion, by the readiness gate
	// KruisePodReady. Pods that were created before it was set lack the gate and stay in service. Default: false.
	// +optional
	MarkPodNotReady bool `json:"markPodNotReady,omitempty"`
}

// UpdatePriorityStrategy says which pods are updated first.
//
// +kubebuilder:validation:XValidation:rule="!(has(self.orderPriority) && size(self.orderPriority) > 0 && has(self.weightPriority) && size(self.weightPriority) > 0)",message="orderPriority and weightPriority exclude each other: set one of them"
type UpdatePriorityStrategy struct {
	// orderPriority orders pods by the trailing integer of the value of each label key in turn, larger first. Default: none.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +optional
	OrderPriority []UpdatePriorityOrderTerm `json:"orderPriority,omitempty"`
	// weightPriority orders pods by the sum of the weights of the terms that match them, larger first. Default: none.
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +optional
	WeightPriority []UpdatePriorityWeightTerm `json:"weightPriority,omitempty"`
}

// UpdatePriorityOrderTerm names one label key to order pods by.
type UpdatePriorityOrderTerm struct {
	// orderedKey is the label key whose value is compared. Required, not empty.
	// +kubebuilder:validation:MinLength=1
	OrderedKey string `json:"orderedKey"`
}

// UpdatePriorityWeightTerm gives the pods that a selector matches a weight.
type UpdatePriorityWeightTerm struct {
	// weight is added to a matching pod's sum. Required, from 0 to 100.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// matchSelector selects pods by label. Required, not empty.
	// +kubebuilder:validation:XValidation:rule="(has(self.matchLabels) && size(self.matchLabels) > 0) || (has(self.matchExpressions) && size(self.matchExpressions) > 0)",message="matchSelector must not be empty: it would match every pod"
	MatchSelector metav1.LabelSelector `json:"matchSelector"`
}

// UpdateScatterTerm names pods, by a label and its value, that are spread evenly over the order of the update.
type UpdateScatterTerm struct {
	// key is the label key. Required, not empty.
	// +kubebuilder:validation:MinLength=1
	Key string `json:"key"`
	// value is the label value. Required.
	Value string `json:"value"`
}

// InPlaceUpdateStrategy tunes updates in place.
type InPlaceUpdateStrategy struct {
	// gracePeriodSeconds is how long a pod is kept not ready before its containers are changed, in seconds. Default: 0; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	GracePeriodSeconds int32 `json:"gracePeriodSeconds,omitempty"`
	// imagePreDownloadParallelism is the parallelism of the image pull jobs made ahead of an update. An integer, not negative; 0 pauses. Default: 1.
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:XValidation:rule="type(self) == int && self >= 0",message="imagePreDownloadParallelism must be an integer of 0 or more; percentages are not supported"
	// +optional
	ImagePreDownloadParallelism *intstr.IntOrString `json:"imagePreDownloadParallelism,omitempty"`
	// imagePreDownloadTimeoutSeconds limits how long one pull may take, in seconds. Default: 300; not negative.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ImagePreDownloadTimeoutSeconds *int32 `json:"imagePreDownloadTimeoutSeconds,omitempty"`
	// imagePreDownloadMinUpdatedReadyPods is how many pods must be updated and ready before images are pulled ahead. Default: unset, at once.
	// +kubebuilder:validation:Minimum=0
	// +optional
	ImagePreDownloadMinUpdatedReadyPods *int32 `json:"imagePreDownloadMinUpdatedReadyPods,omitempty"`
}
