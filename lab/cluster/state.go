package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"

	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/simulate"
)

// State is what a lab remembers from one command to the next.
type State struct {
	Name  string `json:"name"`
	Index int    `json:"index"`
	// Kubernetes is the version that was asked for last. Empty: the pinned one.
	Kubernetes string `json:"kubernetes,omitempty"`
	Nodes      int    `json:"nodes"`
	Simulated  int    `json:"simulated"`
	Audit      bool   `json:"audit,omitempty"`
	// Heartbeat is what was asked for. 0: simulate.Heartbeat.
	Heartbeat time.Duration `json:"heartbeat,omitempty"`
	// Complete is set when Up came to its end: what belongs into the cluster is in it.
	Complete bool `json:"complete,omitempty"`
	// Bin is the folder of the programs.
	Bin string `json:"bin"`
	// Machines are the keepers that were started, by the name of their machine.
	Machines map[string]machine.Identity `json:"machines"`
}

// ErrNoLab is the error of everything that needs a lab where there is none.
var ErrNoLab = errors.New("there is no such lab")

// DefaultDir returns the folder of a lab: one for the whole machine for root, one in the home folder for others.
func DefaultDir(name string) (string, error) {
	home, err := home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, name), nil
}

// home is the folder of all labs of this user.
func home() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/lib/kruise-lab", nil
	}
	dir, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding the home folder: %w", err)
	}
	return filepath.Join(dir, ".local", "share", "kruise-lab"), nil
}

// Load reads what is known about the lab in a folder. The error is ErrNoLab when there is none.
func Load(dir string) (State, error) {
	var state State
	data, err := os.ReadFile(filepath.Join(dir, "state.json"))
	if errors.Is(err, os.ErrNotExist) {
		return state, fmt.Errorf("%w in %s: start one with kruise-lab up", ErrNoLab, dir)
	}
	if err != nil {
		return state, fmt.Errorf("reading the state of the lab: %w", err)
	}
	if err := json.Unmarshal(data, &state); err != nil {
		return state, fmt.Errorf("reading the state of the lab in %s: %w", dir, err)
	}
	if state.Machines == nil {
		state.Machines = map[string]machine.Identity{}
	}
	return state, nil
}

// Save writes the state so that a reader sees the old one or the new one and nothing between.
func (s State) Save(dir string) error {
	data, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("writing the state of the lab: %w", err)
	}
	unfinished := filepath.Join(dir, "state.json.unfinished")
	if err := os.WriteFile(unfinished, data, 0o600); err != nil {
		return fmt.Errorf("writing the state of the lab: %w", err)
	}
	if err := os.Rename(unfinished, filepath.Join(dir, "state.json")); err != nil {
		return fmt.Errorf("writing the state of the lab: %w", err)
	}
	return nil
}

// Layout returns where things of the lab are.
func (s State) Layout(dir string) Layout {
	return Layout{Name: s.Name, Index: s.Index, Shared: s.Nodes == 0, Dir: dir}
}

// heartbeat is how often simulated nodes say that they are alive.
func (s State) heartbeat() time.Duration { return cmp.Or(s.Heartbeat, simulate.Heartbeat) }

// patience is how long a node may be silent before it counts as lost.
func (s State) patience() time.Duration { return 5 * s.heartbeat() }

// Running tells whether any machine of the lab is alive.
func (s State) Running() bool {
	for _, identity := range s.Machines {
		if identity.Alive() {
			return true
		}
	}
	return false
}

// lockFile waits until no other command works on the same thing. The lock goes away with the process.
func lockFile(ctx context.Context, path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("making the folder of the lab: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the lab: %w", err)
	}
	err = wait.PollUntilContextCancel(ctx, 200*time.Millisecond, true, func(context.Context) (bool, error) {
		err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if errors.Is(err, unix.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("waiting for another kruise-lab that works on this lab: %w", err), file.Close())
	}
	return func() { _ = file.Close() }, nil
}
