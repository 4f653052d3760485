package manager

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/plan/workload"
)

func noEnvironment(string) string { return "" }

func TestTheArgumentsOfAnExistingDeploymentAreAccepted(t *testing.T) {
	cmd, err := Command(noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	err = cmd.ParseFlags([]string{
		"--enable-leader-election", "--metrics-addr=:8080", "--health-probe-addr=:8000", "--logtostderr=true", "--leader-election-namespace=kruise-system",
		"--v=4", "--feature-gates=ImagePullJobGate=true,PodWebhook=true,TemplateNoDefaults=true", "--sync-period=0", "--pprof-addr=localhost:8090",
		"--webhook-initialize-timeout=60s", "--rest-config-qps=30", "--rest-config-burst=50", "--cloneset-workers=5", "--statefulset-workers=10", "--expectation-timeout", "5m",
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEveryGateIsKnownAndOnlyThoseThatSwitchSomethingAreShown(t *testing.T) {
	set, err := NewGateSet()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gateTable() {
		if g.Name != strings.TrimSpace(g.Name) || g.Spec.PreRelease == "" {
			t.Errorf("%q has no stage", g.Name)
		}
		if err := set.Set(g.Name + "=true"); err != nil {
			t.Error(err)
		}
	}
	cmd, err := Command(noEnvironment)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`(\w+) \((?:ALPHA|BETA), default`).FindAllStringSubmatch(cmd.UsageString(), -1)
	var names []string
	for _, match := range shown {
		names = append(names, match[1])
	}
	if want := []string{
		"CloneSetPartitionRollback", "CloneSetShortHash", "DaemonSetPruneIneligibleNodes", "DaemonWatchingPod", "DeletionProtectionForCRDCascadingGate", "EnableExternalCerts", "EnablePodProbeMarkerOnServerless", "EnableSortSidecarContainerByName", "ImagePullJobGate", "InPlacePodVerticalScaling", "InPlaceUpdateEnvFromMetadata", "InPlaceWorkloadVerticalScaling", "KruiseDaemon", "KruisePodReadinessGate", "PodIndexLabel", "PodProbeMarkerGate", "PodUnavailableBudgetDeleteGate", "PodUnavailableBudgetUpdateGate", "PodWebhook", "PreDownloadImageForDaemonSetUpdate", "PreDownloadImageForInPlaceUpdate", "PreparingUpdateAsUpdate", "RecreatePodWhenChangeVCTInCloneSetGate",
		"ResourcesDeletionProtection", "SidecarSetPatchPodMetadataDefaultsAllowed", "SidecarTerminator", "StatefulSetAutoDeletePVC", "StatefulSetAutoResizePVCGate", "StatefulSetStartOrdinal",
	}; !slices.Equal(names, want) {
		t.Errorf("shown are %q, want %q", names, want)
	}
}

func TestThePageOfGatesNamesThoseThatSwitchSomething(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/gates.md")
	if err != nil {
		t.Fatal(err)
	}
	var listed, want []string
	for _, match := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (on|off) \\|").FindAllStringSubmatch(string(page), -1) {
		listed = append(listed, match[1]+" "+match[2])
	}
	for _, g := range gateTable() {
		if !g.Inert {
			want = append(want, g.Name+map[bool]string{true: " on", false: " off"}[g.Spec.Default])
		}
	}
	if slices.Sort(want); !slices.Equal(listed, want) {
		t.Errorf("the page lists %q, want %q", listed, want)
	}
}

func TestADefaultDeploymentKeepsItsOwnCertificates(t *testing.T) {
	set, err := NewGateSet()
	if err != nil {
		t.Fatal(err)
	}
	options := &Options{}
	if options.setGates(set); options.ExternalCerts {
		t.Error("the certificates are external by default")
	}
	if err := set.Set("EnableExternalCerts=true"); err != nil {
		t.Fatal(err)
	}
	if options.setGates(set); !options.ExternalCerts {
		t.Error("the gate EnableExternalCerts is not heard")
	}
}

func TestEachGateOfPullingAheadPullsIfThereIsADaemon(t *testing.T) {
	for _, gate := range []string{"", "ImagePullJobGate", "PreDownloadImageForInPlaceUpdate", "PreDownloadImageForDaemonSetUpdate"} {
		for _, daemon := range []bool{true, false} {
			set, err := NewGateSet()
			if err != nil {
				t.Fatal(err)
			}
			if gate != "" {
				if err := set.Set(fmt.Sprintf("%s=true,KruiseDaemon=%v", gate, daemon)); err != nil {
					t.Fatal(err)
				}
			}
			options := &Options{}
			if options.setGates(set); options.Images.Enabled != (gate != "" && daemon) {
				t.Errorf("with the gate %q and a daemon %v, images are pulled ahead: %v", gate, daemon, options.Images.Enabled)
			}
		}
	}
}

// What the chart has the API server ask about is served whatever gates are off: otherwise no object of that kind could be
// written at all, not even to take a finalizer off.
func TestWebhooksOfTheChartAreServedWhateverGatesAreOff(t *testing.T) {
	on, off := map[string]bool{}, map[string]bool{}
	for served, options := range map[*map[string]bool]*Options{&on: {Probes: true, TerminateSidecars: true}, &off: {}} {
		for _, e := range registry(options, serve.Place{}) {
			if e.on && e.webhook != nil {
				(*served)[e.kind.Kind] = true
			}
		}
	}
	if !maps.Equal(on, off) {
		t.Errorf("with gates off, webhooks are served for %v, want %v", slices.Sorted(maps.Keys(off)), slices.Sorted(maps.Keys(on)))
	}
}

func TestAKindThatIsNamedIsWorkedOnWithThoseThatItCannotDoWithout(t *testing.T) {
	for names, want := range map[string]string{
		"CloneSet":                    "CloneSet Namespace Pod",
		"ImageListPullJob":            "ImageListPullJob ImagePullJob Namespace NodeImage Pod",
		"PodProbeMarker,BroadcastJob": "Namespace NodePodProbe Pod PodProbeMarker",
	} {
		o := &Options{Kinds: strings.Split(names, ",")}
		var got []string
		for _, e := range registry(o, serve.Place{}) {
			if e.worked(o) {
				got = append(got, e.kind.Kind)
			}
		}
		if slices.Sort(got); strings.Join(got, " ") != want {
			t.Errorf("where %s is named, %s are worked on, want %s", names, got, want)
		}
		if unknown := o.unknown(); slices.Contains(unknown, "BroadcastJob") != strings.Contains(names, "BroadcastJob") || len(unknown) > 1 {
			t.Errorf("of %s, %s are called unknown", names, unknown)
		}
	}
}

func TestTheGatesOfWorkloadsAreHeard(t *testing.T) {
	for _, g := range workload.Gates() {
		t.Run(g.Name, func(t *testing.T) {
			set, err := NewGateSet()
			if err != nil {
				t.Fatal(err)
			}
			options := &Options{}
			if options.setGates(set); *g.Option(&options.Workloads) != g.On {
				t.Errorf("by default it is %v, want %v", !g.On, g.On)
			}
			if err := set.Set(fmt.Sprintf("%s=%v", g.Name, !g.On)); err != nil {
				t.Fatal(err)
			}
			if options.setGates(set); *g.Option(&options.Workloads) == g.On {
				t.Errorf("it is not heard")
			}
		})
	}
}

// A kind that stands in the list is known to the scheme, and so are all the versions that it converts.
func TestTheListIsSound(t *testing.T) {
	scheme, err := NewScheme()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range registry(&Options{}, serve.Place{}) {
		if !scheme.Recognizes(e.kind) || e.controller == nil && e.webhook == nil {
			t.Errorf("%s is not complete", e.kind)
		}
		if e.converts == nil {
			continue
		}
		for _, version := range e.converts.Versions {
			if !scheme.Recognizes(e.converts.WithVersion(version)) {
				t.Errorf("%s %s is converted and not known", e.converts.GroupKind, version)
			}
		}
	}
}
