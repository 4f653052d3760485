package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/parts"
	"kruise.io/kruise/lab/preflight"
	"kruise.io/kruise/lab/progress"
)

// spaceForData is the disk space that a lab and some images in it need.
const spaceForData = 2e9

// Options say what a lab is to be like.
type Options struct {
	Name string
	// Dir is the folder for all that the lab keeps. Empty: DefaultDir.
	Dir string
	// Nodes is the number of real nodes. With 0 the lab needs no root and has simulated nodes at most.
	Nodes int
	// Simulated is the number of simulated nodes.
	Simulated int
	// Audit makes the API server record every request.
	Audit bool
	// Heartbeat is how often simulated nodes say that they are alive; a node of either sort counts as lost when it is silent for
	// five times as long. 0: simulate.Heartbeat, as often as a kubelet. Thousands of simulated nodes need it longer.
	Heartbeat time.Duration
	// Parts say where the programs come from.
	Parts parts.Options
	// Executable is the path of kruise-lab, which keeps the machines.
	Executable string
	Progress   *progress.Reporter
}

// Wanted returns the parts that the lab consists of.
func (o Options) Wanted() []parts.Part {
	wanted := parts.ControlPlane()
	if o.Nodes > 0 {
		wanted = append(wanted, parts.Nodes()...)
	}
	if o.Simulated > 0 {
		wanted = append(wanted, parts.Kwok)
	}
	return wanted
}

// MissingTools returns what this machine lacks to build and run the lab.
func (o Options) MissingTools(ctx context.Context) ([]preflight.Tool, error) {
	missing, err := parts.MissingTools(ctx, o.Parts, o.Wanted()...)
	if err != nil {
		return nil, err
	}
	if o.Nodes > 0 {
		missing = append(missing, preflight.Missing(ctx, preflight.ForNodes())...)
	}
	return missing, nil
}

// Validate checks the options against each other and against this machine, before anything is touched.
func (o Options) Validate() error {
	if err := ValidateName(o.Name); err != nil {
		return err
	}
	if o.Nodes < 0 || o.Nodes > MaxNodes {
		return fmt.Errorf("--nodes %d: want 0 to %d", o.Nodes, MaxNodes)
	}
	if o.Simulated < 0 {
		return fmt.Errorf("--simulated %d: want 0 or more", o.Simulated)
	}
	if o.Heartbeat != 0 && (o.Heartbeat < time.Second || o.Heartbeat%time.Second != 0) {
		return fmt.Errorf("--heartbeat %s: want whole seconds, 1s or more", o.Heartbeat)
	}
	// The path of a socket has at most 107 bytes.
	if socket := (Layout{Dir: o.Dir}).etcdSocket() + ".peer"; len(socket) > 107 {
		return fmt.Errorf("--data-dir %s: the path is too long for a socket in it: choose one that is %d bytes shorter", o.Dir, len(socket)-107)
	}
	if o.Nodes == 0 {
		return nil
	}
	if strings.HasPrefix(o.Dir, "/run/") {
		return fmt.Errorf("--data-dir %s: nodes have a /run of their own, so the folder must be elsewhere", o.Dir)
	}
	if err := preflight.Root("real nodes (--nodes 0 works without)"); err != nil {
		return err
	}
	_, err := hierarchies(cgroupRoot)
	return err
}

// Up brings a lab up: it builds what is missing, starts every machine that does not run yet, and waits until all
// nodes are ready. A lab that is up already is left alone. When it is interrupted, Down removes what it has started
// and Up goes on from there.
func Up(ctx context.Context, opts Options) (Layout, error) {
	start := time.Now()
	if opts.Dir == "" {
		dir, err := DefaultDir(opts.Name)
		if err != nil {
			return Layout{}, err
		}
		opts.Dir = dir
	}
	if err := opts.Validate(); err != nil {
		return Layout{}, err
	}
	missing, err := opts.MissingTools(ctx)
	if err != nil {
		return Layout{}, err
	}
	if len(missing) > 0 {
		return Layout{}, preflight.MissingError{Tools: missing}
	}
	bin, err := parts.Ensure(ctx, opts.Parts, opts.Wanted()...)
	if err != nil {
		return Layout{}, err
	}
	if err := preflight.Space(opts.Dir, spaceForData, "the data of the lab"); err != nil {
		return Layout{}, err
	}
	unlock, err := lockFile(ctx, filepath.Join(opts.Dir, "lock"))
	if err != nil {
		return Layout{}, err
	}
	defer unlock()
	state, err := opts.state(ctx, bin)
	if err != nil {
		return Layout{}, err
	}
	b := boot{l: state.Layout(opts.Dir), state: &state, opts: opts}
	if err := b.run(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return b.l, fmt.Errorf("%w\n(kruise-lab up --name %s goes on from here, and down removes what was started)", err, b.l.Name)
	}
	if !b.changed {
		opts.Progress.Say("the lab %s is up already", b.l.Name)
		return b.l, nil
	}
	opts.Progress.Say("the lab %s is up after %s", b.l.Name, progress.Round(time.Since(start)))
	return b.l, nil
}

// state returns what the lab is to be, and reserves its addresses when it is a new one.
func (o Options) state(ctx context.Context, bin string) (State, error) {
	wanted := State{
		Name: o.Name, Kubernetes: o.Parts.Kubernetes, Nodes: o.Nodes, Simulated: o.Simulated, Audit: o.Audit, Heartbeat: o.Heartbeat,
		Bin: bin, Machines: map[string]machine.Identity{},
	}
	current, err := Load(o.Dir)
	if errors.Is(err, ErrNoLab) {
		home, err := home()
		if err != nil {
			return State{}, err
		}
		return claim(ctx, home, o.Dir, wanted)
	}
	if err != nil {
		return State{}, err
	}
	wanted.Index, wanted.Machines = current.Index, current.Machines
	wanted.Complete = current.Complete && current.Simulated == wanted.Simulated
	if current.Running() {
		return wanted, current.permits(wanted)
	}
	// What a crash has left would look like the network of somebody else.
	if err := stop(ctx, current.Layout(o.Dir), &current); err != nil {
		return State{}, err
	}
	return wanted, free(ctx, wanted.Layout(o.Dir))
}

// permits says why a lab cannot become the wanted one while it runs. More nodes can join; that is all.
func (s State) permits(wanted State) error {
	remedy := fmt.Sprintf("run kruise-lab down --name %s first", s.Name)
	switch {
	case s.Name != wanted.Name:
		return fmt.Errorf("this folder belongs to the lab %s: choose another --data-dir, or %s", s.Name, remedy)
	case (s.Nodes == 0) != (wanted.Nodes == 0):
		return fmt.Errorf("the lab runs with %d nodes and a network that fits: to have %d, %s", s.Nodes, wanted.Nodes, remedy)
	case s.Nodes > wanted.Nodes:
		return fmt.Errorf("the lab runs with %d nodes: to have %d, %s", s.Nodes, wanted.Nodes, remedy)
	case s.Bin != wanted.Bin && s.Kubernetes != wanted.Kubernetes:
		return fmt.Errorf("the lab runs another version of Kubernetes: to change it, %s", remedy)
	case s.Audit != wanted.Audit:
		return fmt.Errorf("the lab runs with --audit=%t: to change it, %s", s.Audit, remedy)
	case s.heartbeat() != wanted.heartbeat():
		return fmt.Errorf("the lab runs with --heartbeat=%s: to change it, %s", s.heartbeat(), remedy)
	}
	return nil
}
