package workload

import "kruise.io/kruise/plan/inplace"

// Options are what the user of a whole cluster decides about workloads.
type Options struct {
	// ShortHash writes the short hash, and not the whole name, of a revision into the revision label of a CloneSet's pods.
	ShortHash bool
	// PartitionRollback brings pods of a CloneSet back to the current revision when the partition is raised.
	PartitionRollback bool
	// PreparingUpdateAsUpdate counts pods of a CloneSet in PreparingUpdate as updated when pods are created and removed.
	PreparingUpdateAsUpdate bool
	// RecreateForClaims makes a change of a CloneSet's claim templates a rollout that recreates the pods, with new claims.
	RecreateForClaims bool
	// ExcludePreparingDelete leaves pods in PreparingDelete out of the count of pods, whatever a CloneSet says.
	ExcludePreparingDelete bool
	// PullAhead makes jobs that pull the images of a rollout in place ahead of it.
	PullAhead bool
	// PullAheadForDaemonSets makes such jobs for DaemonSets.
	PullAheadForDaemonSets bool
	// BindDirectly creates the pods of DaemonSets on their nodes. Otherwise the scheduler puts them there.
	BindDirectly bool
	// PruneIneligible leaves nodes that are not to have a pod of a DaemonSet out of maxUnavailable, while they still have one.
	PruneIneligible bool
	// AutoDeleteClaims lets a StatefulSet's persistentVolumeClaimRetentionPolicy decide what becomes of claims. Off, all are kept.
	AutoDeleteClaims bool
	// StartOrdinal lets a StatefulSet's ordinals.start decide about the first ordinal. Off, it is 0.
	StartOrdinal bool
	// ResizeClaims lets a StatefulSet's volumeClaimUpdateStrategy decide about claims that exist. Off, they are left as they are.
	ResizeClaims bool
	// PodIndexLabel writes the ordinal of a StatefulSet's pod into its label apps.kubernetes.io/pod-index.
	PodIndexLabel bool
	// InPlace says what more than images, labels and annotations can be changed in place.
	InPlace inplace.Options
}

// Gate is a feature gate that switches an option.
type Gate struct {
	// Name is what users write.
	Name string
	// On is the default.
	On bool
	// Option finds what it switches.
	Option func(*Options) *bool
}

// Gates lists the feature gates that switch options, for everybody who reads gates. A gate stands here as soon as something
// asks for its option.
func Gates() []Gate {
	return []Gate{
		{Name: "CloneSetPartitionRollback", Option: func(o *Options) *bool { return &o.PartitionRollback }},
		{Name: "CloneSetShortHash", Option: func(o *Options) *bool { return &o.ShortHash }},
		{Name: "DaemonSetPruneIneligibleNodes", Option: func(o *Options) *bool { return &o.PruneIneligible }},
		{Name: "InPlaceUpdateEnvFromMetadata", On: true, Option: func(o *Options) *bool { return &o.InPlace.EnvFromMetadata }},
		{Name: "InPlaceWorkloadVerticalScaling", Option: func(o *Options) *bool { return &o.InPlace.Resources }},
		{Name: "PreDownloadImageForDaemonSetUpdate", Option: func(o *Options) *bool { return &o.PullAheadForDaemonSets }},
		{Name: "PodIndexLabel", On: true, Option: func(o *Options) *bool { return &o.PodIndexLabel }},
		{Name: "PreDownloadImageForInPlaceUpdate", Option: func(o *Options) *bool { return &o.PullAhead }},
		{Name: "PreparingUpdateAsUpdate", Option: func(o *Options) *bool { return &o.PreparingUpdateAsUpdate }},
		{Name: "RecreatePodWhenChangeVCTInCloneSetGate", Option: func(o *Options) *bool { return &o.RecreateForClaims }},
		{Name: "StatefulSetAutoDeletePVC", On: true, Option: func(o *Options) *bool { return &o.AutoDeleteClaims }},
		{Name: "StatefulSetAutoResizePVCGate", Option: func(o *Options) *bool { return &o.ResizeClaims }},
		{Name: "StatefulSetStartOrdinal", Option: func(o *Options) *bool { return &o.StartOrdinal }},
	}
}

// SetGates sets the options that gates switch. on says whether a gate is on.
func (o *Options) SetGates(on func(Gate) bool) {
	for _, g := range Gates() {
		*g.Option(o) = on(g)
	}
}
