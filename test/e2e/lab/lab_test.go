package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/apimachinery/pkg/util/wait"

	"kruise.io/kruise/lab/checkout"
	"kruise.io/kruise/lab/cluster"
)

// patience is how long a test waits for something that should take seconds, on a machine that is busy.
const patience = 3 * time.Minute

// lab is one lab that a test brings up.
type lab struct {
	t       *testing.T
	program string
	kubectl string
	name    string
	dir     string
}

// newLab builds kruise-lab and returns a lab that is not up yet. It is taken down at the end of the test. Its name is its own, as
// these tests may run from several checkouts at once.
func newLab(t *testing.T, name string) *lab {
	t.Helper()
	name += "-" + rand.String(6)
	if os.Geteuid() != 0 {
		t.Fatal("this suite brings up real nodes and needs root")
	}
	root, err := checkout.Root()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), "kruise-lab")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./cmd/kruise-lab")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building kruise-lab: %v\n%s", err, output)
	}
	l := &lab{t: t, program: program, name: name, dir: filepath.Join(t.TempDir(), "data")}
	bin := l.run("parts", "kubectl")
	l.kubectl = filepath.Join(strings.TrimSpace(bin), "kubectl")
	t.Cleanup(func() {
		// The context of the test is over by now.
		down := exec.CommandContext(context.Background(), program, l.arguments("down", "--wipe")...)
		if output, err := down.CombinedOutput(); err != nil {
			t.Errorf("taking the lab down: %v\n%s", err, output)
		}
	})
	return l
}

// arguments adds the flags that say which lab is meant.
func (l *lab) arguments(args ...string) []string {
	if args[0] == "parts" {
		return args
	}
	return append(args, "--name", l.name, "--data-dir", l.dir)
}

// run runs a command of kruise-lab and returns what it prints.
func (l *lab) run(args ...string) string {
	l.t.Helper()
	output, err := l.try(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}

// try is run for commands that may fail. The error has what the command complains about.
func (l *lab) try(args ...string) (string, error) {
	cmd := exec.CommandContext(l.t.Context(), l.program, l.arguments(args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("kruise-lab %s: %w\n%s%s", strings.Join(args, " "), err, stdout.String(), stderr.String())
	}
	return stdout.String() + stderr.String(), nil
}

// do runs kubectl and returns what it prints.
func (l *lab) do(args ...string) string {
	l.t.Helper()
	output, err := l.ask(args...)
	if err != nil {
		l.t.Fatal(err)
	}
	return output
}

// ask is do for commands that may fail.
func (l *lab) ask(args ...string) (string, error) {
	cmd := exec.CommandContext(l.t.Context(), l.kubectl, append([]string{"--kubeconfig", filepath.Join(l.dir, "kubeconfig")}, args...)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, output)
	}
	return strings.TrimSpace(string(output)), nil
}

// apply puts objects into the cluster.
func (l *lab) apply(manifest string) {
	l.t.Helper()
	cmd := exec.CommandContext(l.t.Context(), l.kubectl, "apply", "--filename=-", "--kubeconfig", filepath.Join(l.dir, "kubeconfig"))
	cmd.Stdin = strings.NewReader(manifest)
	if output, err := cmd.CombinedOutput(); err != nil {
		l.t.Fatalf("kubectl apply: %v\n%s", err, output)
	}
}

// state returns what the lab remembers.
func (l *lab) state() cluster.State {
	l.t.Helper()
	data, err := os.ReadFile(filepath.Join(l.dir, "state.json"))
	if err != nil {
		l.t.Fatal(err)
	}
	var state cluster.State
	if err := json.Unmarshal(data, &state); err != nil {
		l.t.Fatal(err)
	}
	return state
}

// eventually waits until something is so. The last complaint is shown when that never happens.
func (l *lab) eventually(what string, check func() error) {
	l.t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(l.t.Context(), 200*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = check()
		return last == nil, nil
	})
	if err != nil {
		l.t.Fatalf("%s: it never happened: %v", what, last)
	}
}
