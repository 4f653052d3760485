package cluster

import (
	"os"
	"path/filepath"
	"testing"

	"kruise.io/kruise/lab/machine"
)

// limit makes a file that stands in for a setting of the kernel.
func limit(t *testing.T, value int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "limit")
	if err := writeLimit(path, value); err != nil {
		t.Fatal(err)
	}
	return path
}

func wantLimit(t *testing.T, setting string, want int) {
	t.Helper()
	if got, err := readLimit(setting); err != nil || got != want {
		t.Errorf("the limit is %d, %v; want %d", got, err, want)
	}
}

func TestALimitOfTheHostIsRaisedForTheFirstLabAndPutBackAfterTheLast(t *testing.T) {
	home, setting := t.TempDir(), limit(t, 128)
	for range 2 {
		if err := raiseLimit(t.Context(), home, setting); err != nil {
			t.Fatal(err)
		}
		wantLimit(t, setting, enoughInstances)
	}
	// A lab that runs: its only machine is this very process.
	self, err := machine.Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "runs")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	state, err := claim(t.Context(), home, dir, State{Name: "runs", Machines: map[string]machine.Identity{controlPlane: self}})
	if err != nil {
		t.Fatal(err)
	}
	if err := restoreLimit(t.Context(), home, setting); err != nil {
		t.Fatal(err)
	}
	wantLimit(t, setting, enoughInstances)
	clear(state.Machines)
	if err := state.Save(dir); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := restoreLimit(t.Context(), home, setting); err != nil {
			t.Fatal(err)
		}
		wantLimit(t, setting, 128)
	}
}

func TestALimitThatIsHighEnoughOrWasChangedSinceIsNotTouched(t *testing.T) {
	home, setting := t.TempDir(), limit(t, 65536)
	if err := raiseLimit(t.Context(), home, setting); err != nil {
		t.Fatal(err)
	}
	wantLimit(t, setting, 65536)
	if err := restoreLimit(t.Context(), home, setting); err != nil {
		t.Fatal(err)
	}
	wantLimit(t, setting, 65536)

	home, setting = t.TempDir(), limit(t, 128)
	if err := raiseLimit(t.Context(), home, setting); err != nil {
		t.Fatal(err)
	}
	if err := writeLimit(setting, 10000); err != nil {
		t.Fatal(err)
	}
	if err := restoreLimit(t.Context(), home, setting); err != nil {
		t.Fatal(err)
	}
	wantLimit(t, setting, 10000)
}
