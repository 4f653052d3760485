package v1beta1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Annotations and labels of SidecarSets and of their ControllerRevisions.
const (
	// SidecarSetHashKey is the annotation that holds a hash of the sidecars. On a pod it holds, as JSON, a
	// SidecarSetUpgradeSpec for each SidecarSet by its name.
	SidecarSetHashKey = "kruise.io/sidecarset-hash"
	// SidecarSetHashWithoutImageKey is the same for a hash that leaves out the images.
	SidecarSetHashWithoutImageKey = "kruise.io/sidecarset-hash-without-image"
	// SidecarSetCustomVersionKey is the label that holds the customVersion of a ControllerRevision, and of a v1alpha1 SidecarSet.
	SidecarSetCustomVersionKey = "apps.kruise.io/sidecarset-custom-version"
	// SidecarSetNameKey is the label of a ControllerRevision that names its SidecarSet.
	SidecarSetNameKey = "kruise.io/sidecarset-name"
	// SidecarSetCanaryKey is the annotation that makes a SidecarSet the canary of another one: true.
	SidecarSetCanaryKey = "apps.kruise.io/sidecarset-canary"
	// SidecarSetBaseKey is the annotation of a canary that names the other one.
	SidecarSetBaseKey = "apps.kruise.io/sidecarset-base"
	// SidecarSetInjectionFailurePolicyKey is the annotation that says what becomes of the pods of a SidecarSet that are created
	// while no manager answers: Fail refuses them, Ignore lets them through without their sidecars. Default: what the
	// manager's flag --pod-webhook-failure-policy says for sidecars, which is Fail unless somebody changed it.
	SidecarSetInjectionFailurePolicyKey = "apps.kruise.io/sidecarset-injection-failure-policy"
	// SidecarSetSelectsSinceKey is the annotation that says since when a SidecarSet selects what it selects (RFC 3339), where that
	// is later than its creation. The manager writes it.
	SidecarSetSelectsSinceKey = "apps.kruise.io/sidecarset-selects-since"
)

// Annotations of pods that sidecars were injected into.
const (
	// SidecarSetInjectedListKey names the SidecarSets that were injected, separated by commas.
	SidecarSetInjectedListKey = "kruise.io/sidecarset-injected-list"
	// SidecarSetInPlaceUpdateStateKey holds, as JSON, an InPlaceUpdateState for each SidecarSet by its name.
	SidecarSetInPlaceUpdateStateKey = "kruise.io/sidecarset-inplace-update-state"
	// SidecarSetWorkingHotUpgradeContainerKey holds, as JSON, the twin that works for each sidecar with HotUpgrade, by the
	// name of the sidecar.
	SidecarSetWorkingHotUpgradeContainerKey = "kruise.io/sidecarset-working-hotupgrade-container"
	// SidecarSetVersionKeyPrefix begins, before the name of a twin, the annotation that counts its upgrades; 0 is the idle one's.
	SidecarSetVersionKeyPrefix = "version.sidecarset.kruise.io/"
	// SidecarSetVersionAltKeyPrefix begins, before the name of a twin, the annotation with the count of the other one.
	SidecarSetVersionAltKeyPrefix = "versionalt.sidecarset.kruise.io/"
)

// Environment variables of sidecars.
const (
	// SidecarEnvKey marks a container that was injected: true.
	SidecarEnvKey = "IS_INJECTED"
	// SidecarSetVersionEnvKey tells a twin its version when it starts.
	SidecarSetVersionEnvKey = "SIDECARSET_VERSION"
	// SidecarSetVersionAltEnvKey tells a twin the version of the other one when it starts.
	SidecarSetVersionAltEnvKey = "SIDECARSET_VERSION_ALT"
)

// ConfigurationName is the name of the ConfigMap, in the manager's namespace, that holds what a cluster's administrator decides.
const ConfigurationName = "kruise-configuration"

// PersistentPodStateWorkloadsKey is the key of that ConfigMap whose value lists, as JSON, the kinds of workloads besides StatefulSets
// whose pods PersistentPodStates may be about. It is read when the manager starts.
const PersistentPodStateWorkloadsKey = "PPS_Watch_Custom_Workload_WhiteList"

// SidecarSetPatchPodMetadataWhiteListKey is the key of that ConfigMap whose
// value says, as JSON, which annotations patchPodMetadata may write.
const SidecarSetPatchPodMetadataWhiteListKey = "SidecarSet_PatchPodMetadata_WhiteList"

// The condition of pods with sidecars, and its reasons.
const (
	// SidecarSetUpgradable is False while a SidecarSet has changes that the pod cannot take over in place. Its message is a
	// JSON object that says of each SidecarSet whether the pod can be upgraded to it.
	SidecarSetUpgradable corev1.PodConditionType = "SidecarSetUpgradable"
	// AllSidecarsetUpgradableReason says that the pod can be upgraded to all of them.
	AllSidecarsetUpgradableReason = "AllSidecarsetUpgradable"
	// UpdateImmutableFieldReason says that a change is not one of images alone.
	UpdateImmutableFieldReason = "UpdateImmutableField"
)

// SidecarSetUpgradeSpec is the record, on a pod, of what a SidecarSet last put into it. Its form is part of the wire contract:
// pods that another manager injected are recognised by it.
type SidecarSetUpgradeSpec struct {
	// updateTimestamp is when that was.
	UpdateTimestamp metav1.Time `json:"updateTimestamp"`
	// hash is the hash of the sidecars.
	SidecarSetHash string `json:"hash"`
	// sidecarSetName is the name of the SidecarSet.
	SidecarSetName string `json:"sidecarSetName"`
	// sidecarList are the names of the sidecars.
	SidecarList []string `json:"sidecarList"`
	// controllerRevision is the name of the ControllerRevision. Default: unknown.
	SidecarSetControllerRevision string `json:"controllerRevision,omitempty"`
}
