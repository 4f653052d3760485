package v1beta1

import corev1 "k8s.io/api/core/v1"

// Labels that the product writes on pods, claims and revisions, or reads there.
const (
	// CloneSetInstanceID ties a pod to its claims: five characters that also end the pod's name.
	CloneSetInstanceID = "apps.kruise.io/cloneset-instance-id"
	// SpecifiedDeleteKey on a pod asks for this pod to be replaced or scaled in first. Its presence counts, not its value.
	SpecifiedDeleteKey = "apps.kruise.io/specified-delete"
	// CloneSetScalingExcludePreparingDeleteKey on a v1alpha1 CloneSet stands for spec.scaleStrategy.excludePreparingDelete.
	CloneSetScalingExcludePreparingDeleteKey = "apps.kruise.io/cloneset-scaling-exclude-preparing-delete"
	// DefaultPodTemplateHashLabel carries the short hash of the pod's revision.
	DefaultPodTemplateHashLabel = "pod-template-hash"
	// LifecycleStateKey carries the pod's life-cycle state.
	LifecycleStateKey = "lifecycle.apps.kruise.io/state"
	// UnavailablePodLabelPrefix begins any label that makes a pod count as unavailable.
	UnavailablePodLabelPrefix = "unavailable-pod.kruise.io/"
	// ImagePreDownloadCreatedKey on a ControllerRevision says that its image pull jobs exist. The spelling is the contract's.
	ImagePreDownloadCreatedKey = "apps.kruise.io/pre-predownload-created"
	// ImagePreDownloadIgnoredKey on a ControllerRevision says that pulling ahead was found to be of no use.
	ImagePreDownloadIgnoredKey = "apps.kruise.io/image-predownload-ignored"
)

// Annotations on pods and workloads.
const (
	// LifecycleTimestampKey holds the time of the last change of the life-cycle state (RFC 3339).
	LifecycleTimestampKey = "lifecycle.apps.kruise.io/timestamp"
	// LeavesClaimsKey marks a pod that a preDelete hook holds while it goes for its update, and whose claims its successor is
	// to have: of a pod that somebody asked to go they are deleted. Presence counts.
	LeavesClaimsKey = "apps.kruise.io/leaves-claims"
	// InPlaceUpdateStateKey holds an InPlaceUpdateState as JSON.
	InPlaceUpdateStateKey = "apps.kruise.io/inplace-update-state"
	// InPlaceUpdateStateKeyOld is the older name of InPlaceUpdateStateKey; it is still read.
	InPlaceUpdateStateKeyOld = "inplace-update-state"
	// InPlaceUpdateGraceKey holds an UpdateSpec as JSON while its grace period runs.
	InPlaceUpdateGraceKey = "apps.kruise.io/inplace-update-grace"
	// InPlaceUpdateGraceKeyOld is the older name of InPlaceUpdateGraceKey; it is still read.
	InPlaceUpdateGraceKeyOld = "inplace-update-grace"
	// RuntimeContainerMetaKey holds what the node agent knows of the pod's containers, as JSON.
	RuntimeContainerMetaKey = "apps.kruise.io/runtime-containers-meta"
	// ImagePreDownloadParallelismKey is the v1alpha1 form of imagePreDownloadParallelism.
	ImagePreDownloadParallelismKey = "apps.kruise.io/image-predownload-parallelism"
	// ImagePreDownloadTimeoutSecondsKey is the v1alpha1 form of imagePreDownloadTimeoutSeconds.
	ImagePreDownloadTimeoutSecondsKey = "apps.kruise.io/image-predownload-timeout-seconds"
	// ImagePreDownloadMinUpdatedReadyPodsKey is the v1alpha1 form of imagePreDownloadMinUpdatedReadyPods.
	ImagePreDownloadMinUpdatedReadyPodsKey = "apps.kruise.io/image-predownload-min-updated-ready-pods"
)

// ProgressiveCreatePodKey is the v1alpha1 form of a DaemonSet's spec.scaleStrategy.partitionedScaling.
const ProgressiveCreatePodKey = "daemonset.kruise.io/progressive-create-pod"

// Conditions of pods that are readiness gates.
const (
	// InPlaceUpdateReady is False while a pod is being updated in place.
	InPlaceUpdateReady corev1.PodConditionType = "InPlaceUpdateReady"
	// KruisePodReadyConditionType is False while any part of the product holds the pod out of service.
	KruisePodReadyConditionType corev1.PodConditionType = "KruisePodReady"
)

// ClaimTemplatesHashKey is the annotation of a ControllerRevision that holds a hash of the claim templates that it was made
// with.
const ClaimTemplatesHashKey = "kruise.io/cloneset-volumeclaimtemplate-hash"

// ClaimOwnedByStatefulSetKey is the annotation of a claim that a StatefulSet expanded: the name of the set.
const ClaimOwnedByStatefulSetKey = "apps.kruise.io/owned-by-asts"

// Names for pulling images ahead of time.
const (
	// FakeNodeImageKey is the label of a NodeImage that is kept though there is no node of its name. Presence counts.
	FakeNodeImageKey = "apps.kruise.io/fake-nodeimage"
	// DeletionProtectionFinalizer was put on ImagePullJobs by other managers; it is taken off.
	DeletionProtectionFinalizer = "apps.kruise.io/deletion-protection"
	// PullSecretSourceKey is the annotation of a copied pull secret that says of which: namespace/name.
	PullSecretSourceKey = "imagepulljobs.kruise.io/source-key"
	// PullSecretReferencesKey is the annotation of a copied pull secret with the jobs that need it, a comma-separated list of
	// namespace/name.
	PullSecretReferencesKey = "imagepulljobs.kruise.io/references"
	// PullSecretModeKey is the annotation of a copied pull secret that says how it is shared: batch.
	PullSecretModeKey = "imagepulljobs.kruise.io/mode"
)

// StartInPlaceUpdateReason is the reason of a False InPlaceUpdateReady.
const StartInPlaceUpdateReason = "StartInPlaceUpdate"

// SidecarTerminated is the condition of a pod whose main containers have ended and whose sidecars are being stopped: its
// phase speaks of the main containers alone.
const SidecarTerminated corev1.PodConditionType = "SidecarTerminated"

// Environment variables by which a container of a job's pod says that it is no part of the work, and ends with it. They are
// written out: what they take from elsewhere is not looked at.
const (
	// TerminateSidecarEnv is "true" for a container that is stopped when the others have ended.
	TerminateSidecarEnv = "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT"
	// TerminateSidecarWithImageEnv is the image, one that ends by itself, which such a container is given where a virtual kubelet
	// runs it.
	TerminateSidecarWithImageEnv = "KRUISE_TERMINATE_SIDECAR_WHEN_JOB_EXIT_WITH_IMAGE"
	// IgnoreExitCodeEnv is "true" for such a container whose exit code says nothing of the work.
	IgnoreExitCodeEnv = "KRUISE_TERMINATE_SIDECAR_IGNORE_EXIT_CODE"
)

// SidecarTerminationPrefix begins the name of the request that stops the sidecars of a pod; the pod's UID ends it.
const SidecarTerminationPrefix = "sidecar-termination-"
