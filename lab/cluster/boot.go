package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kruise.io/kruise/lab/machine"
)

// boot brings a lab from whatever state it is in to the wanted one.
type boot struct {
	l     Layout
	state *State
	opts  Options
	// changed is set when there was anything to do.
	changed bool
	// started are the machines that this run has started, and began is when.
	started map[string]bool
	began   time.Time
}

// run starts what does not run and waits until the cluster is ready.
func (b *boot) run(ctx context.Context) error {
	if len(b.state.Machines) > 0 && !b.state.Machines[controlPlane].Alive() {
		// All links end at the control plane's machine, so the others are of no use without it.
		if err := b.opts.Progress.Do("removing what is left of the lab", func() error { return stop(ctx, b.l, b.state) }); err != nil {
			return err
		}
	}
	missing := b.missing()
	if len(missing) == 0 && b.state.Complete {
		return check(ctx, b.l, *b.state)
	}
	b.changed, b.started, b.began = true, map[string]bool{}, time.Now()
	b.state.Complete = false
	if err := b.state.Save(b.l.Dir); err != nil {
		return err
	}
	if len(missing) > 0 {
		if err := b.opts.Progress.Do("starting "+strings.Join(missing, ", "), func() error { return b.machines(ctx) }); err != nil {
			return err
		}
	}
	if err := b.settle(ctx); err != nil {
		return err
	}
	b.state.Complete = true
	return b.state.Save(b.l.Dir)
}

// missing returns the names of the machines that do not run.
func (b *boot) missing() []string {
	wanted := []string{controlPlane}
	for i := range b.state.Nodes {
		wanted = append(wanted, b.l.NodeName(i+1))
	}
	if b.state.Simulated > 0 {
		wanted = append(wanted, simulator)
	}
	return slices.DeleteFunc(wanted, func(name string) bool { return b.state.Machines[name].Alive() })
}

// machines starts the machines in the order in which their links can be made.
func (b *boot) machines(ctx context.Context) error {
	if err := writePKI(b.l, b.state.Nodes); err != nil {
		return err
	}
	if !b.l.Shared {
		home, err := home()
		if err != nil {
			return err
		}
		if err := raiseLimit(ctx, home, inotifyInstances); err != nil {
			return err
		}
	}
	if err := b.controlPlane(ctx); err != nil {
		return err
	}
	for i := range b.state.Nodes {
		if err := b.node(ctx, i+1); err != nil {
			return err
		}
	}
	if b.state.Simulated == 0 {
		return nil
	}
	return b.simulator()
}

func (b *boot) controlPlane(ctx context.Context) error {
	if b.state.Machines[controlPlane].Alive() {
		return nil
	}
	spec, err := controlPlaneMachine(b.l, *b.state, b.opts.Executable)
	if err != nil {
		return err
	}
	return b.start(spec, func(control machine.Identity) error {
		if b.l.Shared {
			return nil
		}
		return connectHost(ctx, b.l, control)
	})
}

func (b *boot) node(ctx context.Context, n int) error {
	name := b.l.NodeName(n)
	if b.state.Machines[name].Alive() {
		return nil
	}
	// As on a machine that boots: groups of containers from an earlier life hold a kubelet up for seconds each.
	if err := removeCgroups(ctx, cgroupRoot, b.l.NodeCgroup(name)); err != nil {
		return err
	}
	if err := makeCgroup(cgroupRoot, b.l.NodeCgroup(name)); err != nil {
		return err
	}
	spec, err := nodeMachine(b.l, *b.state, n)
	if err != nil {
		return err
	}
	return b.start(spec, func(node machine.Identity) error {
		return connectNode(ctx, b.l, n, b.state.Machines[controlPlane], node)
	})
}

func (b *boot) simulator() error {
	if b.state.Machines[simulator].Alive() {
		return nil
	}
	spec, err := simulatorMachine(b.l, *b.state)
	if err != nil {
		return err
	}
	return b.start(spec, func(machine.Identity) error { return nil })
}

// start starts one machine, connects it, and lets it go.
func (b *boot) start(spec machine.Spec, connect func(machine.Identity) error) error {
	description := b.l.machine(spec.Name)
	for _, file := range []string{description, b.l.Log(spec.Name)} {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("making a folder of the lab: %w", err)
		}
	}
	if err := spec.Write(description); err != nil {
		return err
	}
	waiting, err := machine.Start(b.opts.Executable, description, b.l.Log(spec.Name), spec.Isolated)
	if err != nil {
		return fmt.Errorf("starting %s: %w", spec.Name, err)
	}
	b.state.Machines[spec.Name] = waiting.Identity
	if err := errors.Join(b.state.Save(b.l.Dir), connect(waiting.Identity)); err != nil {
		return errors.Join(fmt.Errorf("starting %s: %w", spec.Name, err), waiting.Abandon())
	}
	b.started[spec.Name] = true
	return waiting.Go()
}
