package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// InPlaceUpdateState is the record of a pod's latest update in place, kept as JSON in the annotation
// apps.kruise.io/inplace-update-state. Its form is part of the wire contract: an update that another manager
// began is finished from it.
type InPlaceUpdateState struct {
	// revision is the revision that the update goes to, as in the label controller-revision-hash.
	Revision string `json:"revision"`
	// updateTimestamp is when the update began.
	UpdateTimestamp metav1.Time `json:"updateTimestamp"`
	// lastContainerStatuses is what the changed containers ran before, by container name.
	LastContainerStatuses map[string]InPlaceUpdateContainerStatus `json:"lastContainerStatuses"`
	// updateEnvFromMetadata says that containers restart because labels or annotations in their env changed.
	UpdateEnvFromMetadata bool `json:"updateEnvFromMetadata,omitempty"`
	// updateResources says that container resources were changed.
	UpdateResources bool `json:"updateResources,omitempty"`
	// updateImages says that container images were changed.
	UpdateImages bool `json:"updateImages,omitempty"`
	// nextContainerImages are images still to be set, in later batches, by container name.
	NextContainerImages map[string]string `json:"nextContainerImages,omitempty"`
	// nextContainerRefMetadata is metadata still to be set, in later batches, by container name.
	NextContainerRefMetadata map[string]metav1.ObjectMeta `json:"nextContainerRefMetadata,omitempty"`
	// nextContainerResources are resources still to be set, in later batches, by container name.
	NextContainerResources map[string]corev1.ResourceRequirements `json:"nextContainerResources,omitempty"`
	// containerResources are the values of cpu and memory that the update gives containers whose batch has come, by
	// container name. They are gone from the record when kubelet has carried them out. An addition to the older form.
	ContainerResources map[string]corev1.ResourceRequirements `json:"containerResources,omitempty"`
	// preCheckBeforeNext is what must hold before the next batch.
	PreCheckBeforeNext *InPlaceUpdatePreCheckBeforeNext `json:"preCheckBeforeNext,omitempty"`
	// containerBatchesRecord is one entry for each batch that was carried out.
	ContainerBatchesRecord []InPlaceUpdateContainerBatch `json:"containerBatchesRecord,omitempty"`
	// podNotReady says, of an update of sidecars, that the pod was not ready when it began, and not for that update's sake. An
	// addition to the older form.
	PodNotReady bool `json:"podNotReady,omitempty"`
}

// InPlaceUpdatePreCheckBeforeNext is what must hold before the next batch of containers is changed.
type InPlaceUpdatePreCheckBeforeNext struct {
	// containersRequiredReady are containers that must be ready.
	ContainersRequiredReady []string `json:"containersRequiredReady,omitempty"`
}

// InPlaceUpdateContainerBatch is a set of containers that were changed together.
type InPlaceUpdateContainerBatch struct {
	// timestamp is when they were changed.
	Timestamp metav1.Time `json:"timestamp"`
	// containers are their names.
	Containers []string `json:"containers"`
}

// InPlaceUpdateContainerStatus is what a container ran before its update.
type InPlaceUpdateContainerStatus struct {
	// imageID is the image ID that kubelet reported.
	ImageID string `json:"imageID,omitempty"`
	// containerID is the container ID that kubelet reported. It tells a restart apart from none where the image ID
	// stays the same; an addition to the older form, which other managers ignore.
	ContainerID string `json:"containerID,omitempty"`
	// image is the image that the pod's spec had. An addition to the older form, too.
	Image string `json:"image,omitempty"`
	// startedImage is the image that the container was started from. Default: image. It is another one where an update
	// overtakes one that had not restarted the container yet. An addition to the older form, too.
	StartedImage string `json:"startedImage,omitempty"`
	// overtakenImages are images of earlier updates that this one overtakes, from which the container may be started before
	// kubelet sees this one. Default: none but image and startedImage. An addition to the older form, too.
	OvertakenImages []string `json:"overtakenImages,omitempty"`
	// envFromMetadata says that the container is restarted for the labels or annotations that its env takes in. An
	// addition to the older form, too.
	EnvFromMetadata bool `json:"envFromMetadata,omitempty"`
	// resources are the resources that kubelet reported. Other managers write them for containers that are resized.
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`
}

// UpdateSpec is a change that waits for its grace period, kept as JSON in the annotation
// apps.kruise.io/inplace-update-grace. Its form is part of the wire contract.
type UpdateSpec struct {
	// revision is the revision that the change leads to, as in the label controller-revision-hash.
	Revision string `json:"revision"`
	// containerImages are the new images by container name.
	ContainerImages map[string]string `json:"containerImages,omitempty"`
	// containerRefMetadata is metadata that containers consume, by container name.
	ContainerRefMetadata map[string]metav1.ObjectMeta `json:"containerRefMetadata,omitempty"`
	// containerResources are the new resources by container name.
	ContainerResources map[string]corev1.ResourceRequirements `json:"containerResources,omitempty"`
	// metaDataPatch is a strategic merge patch of the pod's metadata.
	MetaDataPatch []byte `json:"metaDataPatch,omitempty"`
	// updateEnvFromMetadata says that containers restart because labels or annotations in their env change.
	UpdateEnvFromMetadata bool `json:"updateEnvFromMetadata,omitempty"`
	// graceSeconds is the length of the grace period.
	GraceSeconds int32 `json:"graceSeconds,omitempty"`
	// oldTemplate is the template that the pod had.
	OldTemplate *corev1.PodTemplateSpec `json:"oldTemplate,omitempty"`
	// newTemplate is the template that the pod gets.
	NewTemplate *corev1.PodTemplateSpec `json:"newTemplate,omitempty"`
}

// RuntimeContainerMetaSet is what the agent of a node knows of the containers of a pod, kept as JSON in the annotation
// apps.kruise.io/runtime-containers-meta. Its form is part of the wire contract.
type RuntimeContainerMetaSet struct {
	// containers are the containers that the agent has looked at.
	Containers []RuntimeContainerMeta `json:"containers"`
}

// RuntimeContainerMeta is what the agent knows of one container.
type RuntimeContainerMeta struct {
	// name is the name of the container.
	Name string `json:"name"`
	// containerID is the container that the agent looked at, in the form of kubelet: runtime://id.
	ContainerID string `json:"containerID"`
	// restartCount is how often the container was restarted.
	RestartCount int32 `json:"restartCount"`
	// hashes tell what the container was started from.
	Hashes RuntimeContainerHashes `json:"hashes"`
	// stopTime is when the agent begins to stop the container, to have it started with another environment. It is written down
	// some seconds before, so that kubelet knows the new environment by then, and the preStop hook never runs twice. An addition to
	// the older form.
	StopTime *metav1.Time `json:"stopTime,omitempty"`
}

// RuntimeContainerHashes tell what a container was started from.
type RuntimeContainerHashes struct {
	// plainHash is kubelet's own hash of the container in the pod's spec.
	PlainHash uint64 `json:"plainHash"`
	// extractedEnvFromMetadataHash is the hash of the environment that the container took in from labels and annotations.
	// 0: not known.
	ExtractedEnvFromMetadataHash uint64 `json:"extractedEnvFromMetadataHash,omitempty"`
}

// How containers of a pod are ordered, for their start and for their update in place.
const (
	// ContainerLaunchPriorityKey is an annotation of pods.
	ContainerLaunchPriorityKey = "apps.kruise.io/container-launch-priority"
	// ContainerLaunchOrdered is the value of ContainerLaunchPriorityKey for containers in the order of the spec.
	ContainerLaunchOrdered = "Ordered"
	// ContainerLaunchPriorityCompletedKey is an annotation of pods: "true" once all containers have had their turn.
	ContainerLaunchPriorityCompletedKey = "apps.kruise.io/container-launch-priority-completed"
	// ContainerLaunchTurnsKey is an annotation of pods: the keys of the barrier that are there, with commas between them. It is
	// written since kubelet looks at a pod that changed, and at one that waits for a config map only every dozen seconds.
	ContainerLaunchTurnsKey = "apps.kruise.io/container-launch-priority-turns"
	// ContainerLaunchPriorityEnv is an environment variable with the priority of its container, an integer.
	ContainerLaunchPriorityEnv = "KRUISE_CONTAINER_PRIORITY"
	// ContainerLaunchBarrierEnv is the environment variable that holds a container back until its priority's turn. It
	// comes from a config map's key: ContainerLaunchBarrierPrefix and the priority.
	ContainerLaunchBarrierEnv = "KRUISE_CONTAINER_BARRIER"
	// ContainerLaunchBarrierPrefix begins the keys that ContainerLaunchBarrierEnv comes from.
	ContainerLaunchBarrierPrefix = "p_"
)
