package machine

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// Command is the name of the hidden command of kruise-lab that turns the process into a keeper. Its one argument is
// the path of the spec.
const Command = "keep-machine"

// Waiting is a machine whose keeper has its namespaces and waits for permission to go on, so that links can be put
// into its network first. A keeper whose permission never comes, because the starter died, ends.
type Waiting struct {
	Identity Identity
	process  *os.Process
	permit   *os.File
}

// Start starts a keeper. The executable is kruise-lab itself; what the keeper says about its programs goes to log.
func Start(executable, spec, log string, isolated bool) (*Waiting, error) {
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of a machine: %w", err)
	}
	defer func() { _ = output.Close() }()
	wait, permit, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("making a pipe: %w", err)
	}
	defer func() { _ = wait.Close() }()
	cmd := exec.Command(executable, Command, spec) //nolint:noctx // The program itself, which is to outlive its starter.
	cmd.Stdout, cmd.Stderr = output, output
	cmd.ExtraFiles = []*os.File{wait}
	cmd.Dir = "/"
	// A session of its own: neither a closed terminal nor an interrupt typed there reaches the machine.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if isolated {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("starting the keeper of a machine: %w", err), permit.Close())
	}
	identity, err := Identify(cmd.Process.Pid)
	if err != nil {
		return nil, errors.Join(err, permit.Close())
	}
	return &Waiting{Identity: identity, process: cmd.Process, permit: permit}, nil
}

// Go lets the machine start its programs. From here on it lives by itself.
func (w *Waiting) Go() error {
	_, err := w.permit.Write([]byte{1})
	if err := errors.Join(err, w.permit.Close(), w.process.Release()); err != nil {
		return fmt.Errorf("letting a machine go on: %w", err)
	}
	return nil
}

// Abandon ends a machine that was never let go.
func (w *Waiting) Abandon() error {
	err := w.permit.Close()
	_, waitErr := w.process.Wait()
	return errors.Join(err, waitErr)
}
