package manager

import (
	"k8s.io/component-base/featuregate"

	"kruise.io/kruise/kit/gate"
	"kruise.io/kruise/manager/cloneset"
)

// Gates are the feature gates that switch something in this build, read once.
type Gates struct {
	// ExternalCerts: somebody else keeps the webhook certificate.
	ExternalCerts bool
	// ShortHash, PartitionRollback, PreparingUpdateAsUpdate and RecreateForClaims are as in workload.Options.
	ShortHash, PartitionRollback, PreparingUpdateAsUpdate, RecreateForClaims bool
	// PullAhead is as in cloneset.Options.
	PullAhead bool
	// Resources is as in inplace.Options.
	Resources bool
	// PullImages is images.Options.Enabled. Who pulls ahead needs it.
	PullImages bool
}

// NewGateSet makes the set of all gates, each with its default.
func NewGateSet() (*gate.Set, error) { return gate.New(gateTable()) }

// ReadGates reads the gates of a set.
func ReadGates(set *gate.Set) Gates {
	return Gates{
		ExternalCerts:           set.Enabled("EnableExternalCerts"),
		ShortHash:               set.Enabled("CloneSetShortHash"),
		PartitionRollback:       set.Enabled("CloneSetPartitionRollback"),
		PreparingUpdateAsUpdate: set.Enabled("PreparingUpdateAsUpdate"),
		RecreateForClaims:       set.Enabled("RecreatePodWhenChangeVCTInCloneSetGate"),
		Resources:               set.Enabled("InPlaceWorkloadVerticalScaling"),
		PullAhead:               set.Enabled("PreDownloadImageForInPlaceUpdate"),
		PullImages:              set.Enabled("ImagePullJobGate") || set.Enabled("PreDownloadImageForInPlaceUpdate"),
	}
}

// cloneSet adds what the gates say to the options of CloneSets.
func (g Gates) cloneSet(o cloneset.Options) cloneset.Options {
	o.ShortHash, o.PartitionRollback = g.ShortHash, g.PartitionRollback
	o.PreparingUpdateAsUpdate, o.RecreateForClaims = g.PreparingUpdateAsUpdate, g.RecreateForClaims
	o.PullAhead = g.PullAhead
	o.InPlace.Resources = g.Resources
	return o
}

// gateTable lists every gate that a deployment may name, with its default and its stage. Those marked as inert belong
// to what is not here yet, or ask for what is always so (TemplateNoDefaults) or no longer needed
// (CloneSetEventHandlerOptimization, ForceDeleteTimeoutExpectationGate).
func gateTable() []gate.Gate {
	alpha := featuregate.FeatureSpec{PreRelease: featuregate.Alpha}
	beta := featuregate.FeatureSpec{PreRelease: featuregate.Beta}
	betaOn := featuregate.FeatureSpec{PreRelease: featuregate.Beta, Default: true}
	return []gate.Gate{
		{Name: "CloneSetPartitionRollback", Spec: alpha},
		{Name: "CloneSetShortHash", Spec: alpha},
		{Name: "EnableExternalCerts", Spec: alpha},
		{Name: "ImagePullJobGate", Spec: alpha, Needs: []string{"KruiseDaemon"}},
		{Name: "InPlaceWorkloadVerticalScaling", Spec: alpha},
		{Name: "KruiseDaemon", Spec: betaOn},
		{Name: "PreDownloadImageForInPlaceUpdate", Spec: alpha, Needs: []string{"KruiseDaemon"}},
		{Name: "PreparingUpdateAsUpdate", Spec: alpha},
		{Name: "RecreatePodWhenChangeVCTInCloneSetGate", Spec: alpha},

		{Name: "CloneSetEventHandlerOptimization", Spec: alpha, Inert: true},
		{Name: "DaemonSetPruneIneligibleNodes", Spec: alpha, Inert: true},
		{Name: "DaemonWatchingPod", Spec: betaOn, Inert: true},
		{Name: "DefaultHostNetworkHostPortsInPodTemplates", Spec: alpha, Inert: true},
		{Name: "DeletionProtectionForCRDCascadingGate", Spec: alpha, Inert: true},
		{Name: "EnablePodProbeMarkerOnServerless", Spec: alpha, Inert: true},
		{Name: "EnableSortSidecarContainerByName", Spec: alpha, Inert: true},
		{Name: "EnhancedLivenessProbe", Spec: alpha, Inert: true},
		{Name: "ForceDeleteTimeoutExpectationGate", Spec: alpha, Inert: true},
		{Name: "InPlacePodVerticalScaling", Spec: alpha, Inert: true},
		{Name: "InPlaceUpdateEnvFromMetadata", Spec: betaOn, Inert: true},
		{Name: "KruisePodReadinessGate", Spec: alpha, Inert: true},
		{Name: "PodIndexLabel", Spec: betaOn, Inert: true},
		{Name: "PodProbeMarkerGate", Spec: betaOn, Inert: true},
		{Name: "PodUnavailableBudgetDeleteGate", Spec: betaOn, Inert: true},
		{Name: "PodUnavailableBudgetUpdateGate", Spec: alpha, Inert: true},
		{Name: "PodWebhook", Spec: betaOn, Inert: true},
		{Name: "PreDownloadImageForDaemonSetUpdate", Spec: alpha, Inert: true},
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
