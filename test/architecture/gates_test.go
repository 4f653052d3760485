package architecture

import (
	"regexp"
	"testing"

	"github.com/spf13/pflag"

	"kruise.io/kruise/daemon"
	"kruise.io/kruise/manager"
)

// One string of gates is given to both programs, and one of them alone must not think that something is switched on.
func TestManagerAndDaemonAgreeOnEveryGateThatBothKnow(t *testing.T) {
	gates, err := daemon.NewGateSet()
	if err != nil {
		t.Fatal(err)
	}
	flags := pflag.NewFlagSet("daemon", pflag.ContinueOnError)
	gates.AddFlag(flags)
	shown := regexp.MustCompile(`(\w+) \((?:ALPHA|BETA), default`).FindAllStringSubmatch(flags.FlagUsages(), -1)
	if len(shown) == 0 {
		t.Fatalf("the daemon shows no gates: %s", flags.FlagUsages())
	}
	for _, asked := range []string{"", "KruiseDaemon=false", "DaemonWatchingPod=false", "PodProbeMarkerGate=false", "AllAlpha=true", "AllBeta=false"} {
		its, err := daemon.NewGateSet()
		if err != nil {
			t.Fatal(err)
		}
		managers, err := manager.NewGateSet()
		if err != nil {
			t.Fatal(err)
		}
		if asked != "" {
			if err := its.Set(asked); err != nil {
				t.Fatal(err)
			}
			if err := managers.Set(asked); err != nil {
				t.Fatal(err)
			}
		}
		for _, match := range shown {
			name := match[1]
			if its.Enabled(name) != managers.Enabled(name) {
				t.Errorf("with %q the daemon has %s %t, and the manager %t", asked, name, its.Enabled(name), managers.Enabled(name))
			}
		}
	}
}
