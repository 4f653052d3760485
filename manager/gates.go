package manager

import (
	"slices"
	"strings"

	"k8s.io/component-base/featuregate"

	"kruise.io/kruise/kit/gate"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/workload"
)

// NewGateSet makes the set of all gates, each with its default.
func NewGateSet() (*gate.Set, error) { return gate.New(gateTable()) }

// The gates of the manager itself.
const (
	// gateExternalCerts switches Options.ExternalCerts.
	gateExternalCerts = "EnableExternalCerts"
	// gateDaemon says that nodes have the daemon, and what needs it can be had.
	gateDaemon = "KruiseDaemon"
	// gateWatching says that they look at the pods of their nodes.
	gateWatching = "DaemonWatchingPod"
)

// The gates of the admission of pods.
const (
	gatePodWebhook   = "PodWebhook"
	gatePodReadiness = "KruisePodReadinessGate"
	gateSortSidecars = "EnableSortSidecarContainerByName"
	// gateAnyAnnotation switches sidecarset.Options.AnyAnnotation.
	gateAnyAnnotation = "SidecarSetPatchPodMetadataDefaultsAllowed"
)

// The gates of the protection against deletion.
const (
	gateProtection            = "ResourcesDeletionProtection"
	gateDefinitionsProtection = "DeletionProtectionForCRDCascadingGate"
)

// The gates of what needs the daemon.
const (
	gateProbes           = "PodProbeMarkerGate"
	gateServerlessProbes = "EnablePodProbeMarkerOnServerless"
	// gatePullImages switches Options.Images, and so does each of the gates of pulling ahead, which need it.
	gatePullImages           = "ImagePullJobGate"
	gatePullAhead            = "PreDownloadImageForInPlaceUpdate"
	gatePullAheadOnEveryNode = "PreDownloadImageForDaemonSetUpdate"
	gateTerminator           = "SidecarTerminator"
)

// setGates reads the gates of a set, once.
func (o *Options) setGates(set *gate.Set) {
	o.ExternalCerts = set.Enabled(gateExternalCerts)
	o.Recreate.Off = !set.Enabled(gateDaemon)
	o.Images.Enabled = set.Enabled(gatePullImages) || set.Enabled(gatePullAhead) || set.Enabled(gatePullAheadOnEveryNode)
	o.Pod.Enabled, o.Pod.GateForAll = set.Enabled(gatePodWebhook), set.Enabled(gatePodReadiness)
	o.Pod.SortSidecars, o.SidecarSets.AnyAnnotation = set.Enabled(gateSortSidecars), set.Enabled(gateAnyAnnotation)
	o.TerminateSidecars = set.Enabled(gateTerminator)
	o.Probes, o.Pod.Serverless = set.Enabled(gateProbes), set.Enabled(gateServerlessProbes)
	o.Budgets = disruption.Options{
		Deletions: set.Enabled(disruption.GateDeletions), Changes: set.Enabled(disruption.GateChanges), ResizesApart: set.Enabled(disruption.GateResizesApart),
	}
	o.Protection.Enabled, o.Protection.Definitions = set.Enabled(gateProtection), set.Enabled(gateDefinitionsProtection)
	o.Workloads.SetGates(func(g workload.Gate) bool { return set.Enabled(g.Name) })
}

// gateTable lists every gate that a deployment may name, with its default and its stage. Those of workload.Gates are beta where
// they are on by default, and alpha otherwise.
func gateTable() []gate.Gate {
	needs := map[string][]string{gatePullAhead: {gateDaemon}, gatePullAheadOnEveryNode: {gateDaemon}, "InPlaceUpdateEnvFromMetadata": {gateWatching}}
	alpha := featuregate.FeatureSpec{PreRelease: featuregate.Alpha}
	beta := featuregate.FeatureSpec{PreRelease: featuregate.Beta, Default: true}
	betaOff := featuregate.FeatureSpec{PreRelease: featuregate.Beta}
	table := append(inert(),
		gate.Gate{Name: gateExternalCerts, Spec: alpha},
		gate.Gate{Name: gatePodWebhook, Spec: beta},
		gate.Gate{Name: gatePodReadiness, Spec: alpha, Needs: []string{gatePodWebhook}},
		gate.Gate{Name: disruption.GateDeletions, Spec: beta, Needs: []string{gatePodWebhook}},
		gate.Gate{Name: disruption.GateChanges, Spec: alpha, Needs: []string{gatePodWebhook}},
		gate.Gate{Name: disruption.GateResizesApart, Spec: alpha},
		gate.Gate{Name: gateSortSidecars, Spec: alpha, Needs: []string{gatePodWebhook}},
		gate.Gate{Name: gateAnyAnnotation, Spec: alpha},
		gate.Gate{Name: gateDaemon, Spec: beta},
		gate.Gate{Name: gateWatching, Spec: beta, Needs: []string{gateDaemon}},
		gate.Gate{Name: gatePullImages, Spec: alpha, Needs: []string{gateDaemon}},
		gate.Gate{Name: gateProbes, Spec: beta, Needs: []string{gateDaemon}},
		gate.Gate{Name: gateTerminator, Spec: alpha, Needs: []string{gateDaemon}},
		gate.Gate{Name: gateProtection, Spec: betaOff},
		gate.Gate{Name: gateDefinitionsProtection, Spec: alpha, Needs: []string{gateProtection}},
		gate.Gate{Name: gateServerlessProbes, Spec: alpha, Needs: []string{gatePodWebhook, gateProbes}},
	)
	for _, g := range workload.Gates() {
		spec := alpha
		if g.On {
			spec = beta
		}
		table = append(table, gate.Gate{Name: g.Name, Spec: spec, Needs: needs[g.Name]})
	}
	slices.SortFunc(table, func(a, b gate.Gate) int { return strings.Compare(a.Name, b.Name) })
	return table
}

// inert lists the gates that switch nothing. They belong to what is not here yet, or ask for what is always so
// (TemplateNoDefaults) or no longer needed (CloneSetEventHandlerOptimization, ForceDeleteTimeoutExpectationGate).
func inert() []gate.Gate {
	alpha := featuregate.FeatureSpec{PreRelease: featuregate.Alpha}
	beta := featuregate.FeatureSpec{PreRelease: featuregate.Beta}
	betaOn := featuregate.FeatureSpec{PreRelease: featuregate.Beta, Default: true}
	return []gate.Gate{
		{Name: "CloneSetEventHandlerOptimization", Spec: alpha, Inert: true},
		{Name: "DefaultHostNetworkHostPortsInPodTemplates", Spec: alpha, Inert: true},
		{Name: "EnhancedLivenessProbe", Spec: alpha, Inert: true},
		{Name: "ForceDeleteTimeoutExpectationGate", Spec: alpha, Inert: true},
		{Name: "ResourceDistributionGate", Spec: beta, Inert: true},
		{Name: "TemplateNoDefaults", Spec: alpha, Inert: true},
		{Name: "WorkloadSpread", Spec: betaOn, Inert: true},
	}
}
