package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kruise.io/kruise/lab/machine"
)

func TestAProgramThatDoesNotStayUpIsNamedWithTheEndOfItsLog(t *testing.T) {
	l := Layout{Name: "a", Dir: t.TempDir()}
	spec := machine.Spec{Name: "node-1", Programs: []machine.Program{{Name: "kubelet-node-1", Command: []string{"/bin/kubelet"}}}}
	for _, file := range []string{l.machine("node-1"), l.Log("kubelet-node-1")} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := spec.Write(l.machine("node-1")); err != nil {
		t.Fatal(err)
	}
	log := strings.Repeat("a line that says nothing\n", 1000) + "too many open files\n"
	if err := os.WriteFile(l.Log("kubelet-node-1"), []byte(log), 0o600); err != nil {
		t.Fatal(err)
	}
	got := diagnose(t.Context(), l, State{Machines: map[string]machine.Identity{"node-1": {}}})
	if want := "\nkubelet-node-1 does not stay up; its log ends with: too many open files"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
