package machine

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

// The test binary is its own keeper, as kruise-lab is.
func TestMain(m *testing.M) {
	if len(os.Args) != 3 || os.Args[1] != Command {
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM)
	spec, err := Read(os.Args[2])
	if err == nil {
		err = Keep(ctx, spec, os.NewFile(3, "permit"), os.Stderr)
	}
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// start starts a machine with one program, a line of shell, and returns its folder. The test ends it.
func start(t *testing.T, script string, after ...Condition) (*Waiting, string) {
	t.Helper()
	dir := t.TempDir()
	spec := Spec{Name: "m", Path: os.Getenv("PATH"), Programs: []Program{{
		Name: "p", Command: []string{"/bin/sh", "-c", "cd " + dir + "; " + script}, Log: filepath.Join(dir, "p.log"), After: after,
	}}}
	if err := spec.Write(filepath.Join(dir, "spec")); err != nil {
		t.Fatal(err)
	}
	waiting, err := Start(os.Args[0], filepath.Join(dir, "spec"), filepath.Join(dir, "m.log"), false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := waiting.Identity.Stop(context.Background(), 10*time.Second); err != nil {
			t.Error(err)
		}
	})
	return waiting, dir
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return so(), nil })
	if err != nil {
		t.Fatalf("never happened: %s", what)
	}
}

func lines(dir, file string) []string {
	data, _ := os.ReadFile(filepath.Join(dir, file)) // No file yet: no lines.
	return strings.Fields(string(data))
}

func TestAProgramThatEndsIsStartedAgainAndTheLogSaysHowItEnded(t *testing.T) {
	waiting, dir := start(t, "echo once >>starts; exit 7")
	if err := waiting.Go(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a second start", func() bool { return len(lines(dir, "starts")) > 1 })
	log, err := os.ReadFile(filepath.Join(dir, "m.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(log), "p ended: exit status 7") {
		t.Errorf("the keeper says %q", log)
	}
}

func TestNothingStartsBeforeThePermission(t *testing.T) {
	waiting, dir := start(t, "echo once >>starts; exec sleep 1000")
	if err := waiting.Abandon(); err != nil {
		t.Fatal(err)
	}
	if waiting.Identity.Alive() {
		t.Error("the keeper goes on without permission")
	}
	if got := lines(dir, "starts"); len(got) != 0 {
		t.Errorf("the program was started %d times", len(got))
	}
}

func TestTheEndOfTheKeeperIsTheEndOfItsPrograms(t *testing.T) {
	for name, end := range map[string]func(Identity) error{
		"when it is told to end": func(i Identity) error { return i.Stop(context.Background(), 10*time.Second) },
		"when it is killed":      func(i Identity) error { return unix.Kill(i.PID, unix.SIGKILL) },
	} {
		t.Run(name, func(t *testing.T) {
			waiting, _ := start(t, "exec sleep 1000")
			if err := waiting.Go(); err != nil {
				t.Fatal(err)
			}
			var program Identity
			eventually(t, "the program runs", func() bool {
				children, err := waiting.Identity.Children()
				if err != nil || len(children) != 1 || children[0].Program != "sleep" {
					return false
				}
				program, err = Identify(children[0].PID)
				return err == nil
			})
			if err := end(waiting.Identity); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the program is gone", func() bool { return !program.Alive() })
		})
	}
}

func TestAProgramThatIgnoresTheRequestToEndIsKilled(t *testing.T) {
	waiting, dir := start(t, `trap "" TERM; echo up >>starts; while :; do sleep 1; done`)
	if err := waiting.Go(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the program runs", func() bool { return len(lines(dir, "starts")) == 1 })
	if err := waiting.Identity.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
}

func TestAProgramWaitsForItsConditions(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	waiting, dir := start(t, "echo once >>starts; exec sleep 1000", Condition{Socket: socket})
	if err := waiting.Go(); err != nil {
		t.Fatal(err)
	}
	// The keeper asks for the socket many times a second; a first question shows that it is up and asking.
	if got := lines(dir, "starts"); len(got) != 0 {
		t.Fatal("the program runs and its condition does not hold")
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	eventually(t, "the program runs", func() bool { return len(lines(dir, "starts")) == 1 })
}

func TestAStrangerWithTheSameProcessIDIsLeftAlone(t *testing.T) {
	stranger := exec.Command("sleep", "1000")
	if err := stranger.Start(); err != nil {
		t.Fatal(err)
	}
	identity, err := Identify(stranger.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]Identity{
		"started at another time": {PID: identity.PID, Started: identity.Started - 1, Boot: identity.Boot},
		"of another boot":         {PID: identity.PID, Started: identity.Started, Boot: "other"},
	} {
		if other.Alive() {
			t.Errorf("a process %s is taken for this one", name)
		}
		if err := other.Stop(t.Context(), time.Second); err != nil {
			t.Errorf("stopping a process %s: %v", name, err)
		}
	}
	if !identity.Alive() {
		t.Fatal("the stranger was stopped")
	}
	if err := identity.Stop(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if identity.Alive() {
		t.Error("the process is still there")
	}
	_ = stranger.Wait() // Its status says that it was told to end.
}

func TestTheKernelsDescriptionOfAProcessIsReadWhateverItsName(t *testing.T) {
	tail := " S 7 1 1 0 -1 4194304 1 0 0 0 0 0 0 0 20 0 1 0 4242 1000 100 18446744073709551615"
	for name, stat := range map[string]string{
		"a plain name":        "12 (sleep)" + tail,
		"blanks in the name":  "12 (tmux: server)" + tail,
		"brackets and blanks": "12 (a) R 1 (b))" + tail,
	} {
		got, err := parseStat(stat)
		if err != nil || got != (process{state: "S", parent: 7, started: 4242}) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	if _, err := parseStat("12 (sleep) S"); err == nil {
		t.Error("a line that is cut short was accepted")
	}
}
