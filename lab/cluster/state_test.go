package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/lab/machine"
)

func TestWhatALabRemembersIsReadBack(t *testing.T) {
	dir := t.TempDir()
	if _, err := Load(dir); !errors.Is(err, ErrNoLab) || !strings.Contains(err.Error(), "kruise-lab up") {
		t.Fatalf("got %v, want ErrNoLab and what to do", err)
	}
	self, err := machine.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	want := State{Name: "a", Index: 3, Nodes: 2, Machines: map[string]machine.Identity{"node-1": self}}
	if err := want.Save(dir); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got.Index != 3 || got.Machines["node-1"] != self || !got.Running() {
		t.Errorf("got %+v", got)
	}
	got.Machines["node-1"] = machine.Identity{PID: self.PID, Started: self.Started + 1, Boot: self.Boot}
	if got.Running() {
		t.Error("another process with the same ID counts as running")
	}
}

func TestARunningLabOnlyGrows(t *testing.T) {
	running := State{Name: "a", Nodes: 2, Kubernetes: "1.35.4", Bin: "/bin/1"}
	for name, tc := range map[string]struct {
		change func(*State)
		want   string
	}{
		"the same":              {func(*State) {}, ""},
		"more nodes":            {func(s *State) { s.Nodes = 3 }, ""},
		"simulated nodes":       {func(s *State) { s.Simulated = 100 }, ""},
		"programs built anew":   {func(s *State) { s.Bin = "/bin/2" }, ""},
		"fewer nodes":           {func(s *State) { s.Nodes = 1 }, "runs with 2 nodes: to have 1, run kruise-lab down --name a first"},
		"no real nodes":         {func(s *State) { s.Nodes = 0 }, "run kruise-lab down --name a first"},
		"another Kubernetes":    {func(s *State) { s.Kubernetes, s.Bin = "1.34.4", "/bin/2" }, "another version of Kubernetes"},
		"a record of requests":  {func(s *State) { s.Audit = true }, "--audit=false"},
		"another heartbeat":     {func(s *State) { s.Heartbeat = time.Minute }, "--heartbeat=10s"},
		"the usual heartbeat":   {func(s *State) { s.Heartbeat = 10 * time.Second }, ""},
		"the folder of another": {func(s *State) { s.Name = "b" }, "belongs to the lab a"},
	} {
		t.Run(name, func(t *testing.T) {
			wanted := running
			tc.change(&wanted)
			err := running.permits(wanted)
			if tc.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestWrongOptionsAreRefusedBeforeAnythingIsTouched(t *testing.T) {
	for name, tc := range map[string]struct {
		opts Options
		want string
	}{
		"a bad name":         {Options{Name: "A"}, `--name "A"`},
		"too many nodes":     {Options{Name: "a", Nodes: 101}, "--nodes 101: want 0 to 100"},
		"negative nodes":     {Options{Name: "a", Nodes: -1}, "--nodes -1"},
		"a short heartbeat":  {Options{Name: "a", Heartbeat: time.Millisecond}, "--heartbeat 1ms: want whole seconds"},
		"negative simulated": {Options{Name: "a", Simulated: -1}, "--simulated -1"},
		"a path too long":    {Options{Name: "a", Dir: "/" + strings.Repeat("d", 107)}, "choose one that is"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tc.opts.Validate()
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestANodeIsReadyOnlyWhenItsKubeletHasSaidSoSinceTheStart(t *testing.T) {
	start := time.Date(2026, 1, 1, 12, 0, 0, 500, time.UTC)
	node := func(status corev1.ConditionStatus, said time.Time) *corev1.Node {
		return &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: status, LastHeartbeatTime: metav1.NewTime(said),
		}}}}
	}
	for name, tc := range map[string]struct {
		node *corev1.Node
		want bool
	}{
		"said in an earlier life":      {node(corev1.ConditionTrue, start.Add(-time.Minute)), false},
		"said in the same second":      {node(corev1.ConditionTrue, start.Truncate(time.Second)), true},
		"said since":                   {node(corev1.ConditionTrue, start.Add(time.Second)), true},
		"not ready":                    {node(corev1.ConditionFalse, start.Add(time.Second)), false},
		"nothing said about it so far": {&corev1.Node{}, false},
	} {
		if got := nodeReady(tc.node) && saidSince(tc.node, start); got != tc.want {
			t.Errorf("%s: ready is %t, want %t", name, got, tc.want)
		}
	}
}

func TestTakingDownALabThatIsNotThereIsNoError(t *testing.T) {
	var said strings.Builder
	if err := Down(t.Context(), filepath.Join(t.TempDir(), "nothing"), true, report(&said)); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "there is no lab in") {
		t.Errorf("said %q", said.String())
	}
}
