package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"kruise.io/kruise/lab/progress"
)

// stopGrace is how long a machine has to stop its programs before it is killed together with them.
const stopGrace = 8 * time.Second

// Down stops the lab in a folder and removes all that it has on this machine outside of that folder. With wipe it
// removes the folder too. Down of a lab that is not running is no error; it removes what an interruption left.
func Down(ctx context.Context, dir string, wipe bool, report *progress.Reporter) error {
	if _, err := Load(dir); errors.Is(err, ErrNoLab) {
		report.Say("there is no lab in %s", dir)
		return nil
	}
	unlock, err := lockFile(ctx, filepath.Join(dir, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	state, err := Load(dir)
	if err != nil {
		return err
	}
	home, err := home()
	if err != nil {
		return err
	}
	l := state.Layout(dir)
	if err := report.Do("stopping the lab "+l.Name, func() error { return stop(ctx, l, &state) }); err != nil {
		return err
	}
	if !l.Shared {
		if err := restoreLimit(ctx, home, inotifyInstances); err != nil {
			return err
		}
	}
	if !wipe {
		report.Say("the lab %s is down; its data stays in %s (down --wipe removes it)", l.Name, dir)
		return nil
	}
	if err := release(home, l); err != nil {
		return err
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("removing the data of the lab: %w", err)
	}
	report.Say("the lab %s is down and its data is removed", l.Name)
	return nil
}

// stop ends all machines of a lab and removes what the kernel does not remove with them.
func stop(ctx context.Context, l Layout, state *State) error {
	// The control plane goes first, while there is somebody at the other ends of its connections to close them. One
	// that is left half closed keeps a network alive for minutes.
	if err := state.Machines[controlPlane].Stop(ctx, stopGrace); err != nil {
		return fmt.Errorf("stopping %s: %w", controlPlane, err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for name, identity := range state.Machines {
		wg.Go(func() {
			if err := identity.Stop(ctx, stopGrace); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, fmt.Errorf("stopping %s: %w", name, err))
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if !l.Shared {
		if err := disconnectHost(ctx, l); err != nil {
			return err
		}
		if err := removeCgroups(ctx, cgroupRoot, l.NodeCgroup("node-[0-9]*")); err != nil {
			return err
		}
	}
	clear(state.Machines)
	return state.Save(l.Dir)
}
