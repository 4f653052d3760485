package manager

import (
	"k8s.io/component-base/featuregate"

	"kruise.io/kruise/kit/gate"
)

// Gates are the feature gates that switch something in this build, read once.
type Gates struct {
	// CloneSetShortHash: the label controller-revision-hash of CloneSet pods holds the hash alone.
	CloneSetShortHash bool
	// CloneSetPartitionRollback: raising the partition takes pods back to the old revision.
	CloneSetPartitionRollback bool
	// PreparingUpdateAsUpdate: pods that wait for their update hook count as updated when scaling.
	PreparingUpdateAsUpdate bool
	// RecreatePodWhenChangeVCT: changed claim templates cannot be updated in place.
	RecreatePodWhenChangeVCT bool
	// InPlaceUpdateEnvFromMetadata: a label or annotation that an env refers to can be changed in place.
	InPlaceUpdateEnvFromMetadata bool
	// InPlaceVerticalScaling: cpu and memory can be changed in place.
	InPlaceVerticalScaling bool
	// ExternalCerts: somebody else keeps the webhook certificate.
	ExternalCerts bool
}

// NewGateSet makes the set of all gates, each with its default.
func NewGateSet() (*gate.Set, error) { return gate.New(gateTable()) }

// ReadGates reads the gates of a set.
func ReadGates(set *gate.Set) Gates {
	return Gates{
		CloneSetShortHash:            set.Enabled("CloneSetShortHash"),
		CloneSetPartitionRollback:    set.Enabled("CloneSetPartitionRollback"),
		PreparingUpdateAsUpdate:      set.Enabled("PreparingUpdateAsUpdate"),
		RecreatePodWhenChangeVCT:     set.Enabled("RecreatePodWhenChangeVCTInCloneSetGate"),
		InPlaceUpdateEnvFromMetadata: set.Enabled("InPlaceUpdateEnvFromMetadata"),
		InPlaceVerticalScaling:       set.Enabled("InPlaceWorkloadVerticalScaling"),
		ExternalCerts:                set.Enabled("EnableExternalCerts"),
	}
}

// gateTable lists every gate that a deployment may name, with its default and its stage. Those marked as inert belong
// to parts that are not here yet, or ask for what is always so (TemplateNoDefaults) or no longer needed
// (CloneSetEventHandlerOptimization, ForceDeleteTimeoutExpectationGate).
func gateTable() []gate.Gate {
	alpha := featuregate.FeatureSpec{PreRelease: featuregate.Alpha}
	beta := featuregate.FeatureSpec{PreRelease: featuregate.Beta}
	betaOn := featuregate.FeatureSpec{PreRelease: featuregate.Beta, Default: true}
	return []gate.Gate{
		{Name: "CloneSetShortHash", Spec: alpha},
		{Name: "CloneSetPartitionRollback", Spec: alpha},
		{Name: "PreparingUpdateAsUpdate", Spec: alpha},
		{Name: "RecreatePodWhenChangeVCTInCloneSetGate", Spec: alpha},
		{Name: "KruiseDaemon", Spec: betaOn},
		{Name: "InPlaceUpdateEnvFromMetadata", Spec: betaOn, Needs: []string{"KruiseDaemon"}},
		{Name: "InPlaceWorkloadVerticalScaling", Spec: alpha},
		{Name: "EnableExternalCerts", Spec: alpha},

		{Name: "CloneSetEventHandlerOptimization", Spec: alpha, Inert: true},
		{Name: "DaemonSetPruneIneligibleNodes", Spec: alpha, Inert: true},
		{Name: "DaemonWatchingPod", Spec: betaOn, Inert: true},
		{Name: "DefaultHostNetworkHostPortsInPodTemplates", Spec: alpha, Inert: true},
		{Name: "DeletionProtectionForCRDCascadingGate", Spec: alpha, Inert: true},
		{Name: "EnablePodProbeMarkerOnServerless", Spec: alpha, Inert: true},
		{Name: "EnableSortSidecarContainerByName", Spec: alpha, Inert: true},
		{Name: "EnhancedLivenessProbe", Spec: alpha, Inert: true},
		{Name: "ForceDeleteTimeoutExpectationGate", Spec: alpha, Inert: true},
		{Name: "ImagePullJobGate", Spec: alpha, Inert: true},
		{Name: "InPlacePodVerticalScaling", Spec: alpha, Inert: true},
		{Name: "KruisePodReadinessGate", Spec: alpha, Inert: true},
		{Name: "PodIndexLabel", Spec: betaOn, Inert: true},
		{Name: "PodProbeMarkerGate", Spec: betaOn, Inert: true},
		{Name: "PodUnavailableBudgetDeleteGate", Spec: betaOn, Inert: true},
		{Name: "PodUnavailableBudgetUpdateGate", Spec: alpha, Inert: true},
		{Name: "PodWebhook", Spec: betaOn, Inert: true},
		{Name: "PreDownloadImageForDaemonSetUpdate", Spec: alpha, Inert: true},
		{Name: "PreDownloadImageForInPlaceUpdate", Spec: alpha, Inert: true},
		{Name: "ResourceDistributionGate", Spec: beta, Inert: true},
		{Name: "ResourcesDeletionProtection", Spec: beta, Inert: true},
		{Name: "SidecarSetPatchPodMetadataDefaultsAllowed", Spec: alpha, Inert: true},
		{Name: "SidecarTerminator", Spec: alpha, Inert: true},
		{Name: "StatefulSetAutoDeletePVC", Spec: betaOn, Inert: true},
		{Name: "StatefulSetAutoResizePVCGate", Spec: alpha, Inert: true},
		{Name: "StatefulSetStartOrdinal", Spec: alpha, Inert: true},
		{Name: "TemplateNoDefaults", Spec: alpha, Inert: true},
		{Name: "WorkloadSpread", Spec: betaOn, Inert: true},
	}
}
