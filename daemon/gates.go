package daemon

import (
	"k8s.io/component-base/featuregate"

	"kruise.io/kruise/kit/gate"
)

// Gates are the feature gates that switch something in the daemon, read once.
type Gates struct {
	// KruiseDaemon: the daemon works at all. Without it, it only says that it is well.
	KruiseDaemon bool
	// WatchPods: the daemon looks at the pods of its node.
	WatchPods bool
	// Probes: the daemon probes pods for PodProbeMarkers.
	Probes bool
}

// NewGateSet makes the set of the daemon's gates, each with its default. The manager is given the same string of gates and
// refuses those that nobody knows, so names that are not the daemon's are let through here.
func NewGateSet() (*gate.Set, error) {
	beta := featuregate.FeatureSpec{Default: true, PreRelease: featuregate.Beta}
	return gate.NewPart([]gate.Gate{
		{Name: "KruiseDaemon", Spec: beta},
		{Name: "PodProbeMarkerGate", Spec: beta, Needs: []string{"KruiseDaemon"}},
		{Name: "DaemonWatchingPod", Spec: beta, Needs: []string{"KruiseDaemon"}},
	})
}

// ReadGates reads the gates of a set.
func ReadGates(set *gate.Set) Gates {
	return Gates{
		KruiseDaemon: set.Enabled("KruiseDaemon"), WatchPods: set.Enabled("DaemonWatchingPod"), Probes: set.Enabled("PodProbeMarkerGate"),
	}
}
