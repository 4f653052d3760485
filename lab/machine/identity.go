package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

// Identity names a process for good. The kernel uses a process ID again, but no two processes of one boot have both
// the ID and the start time in common.
type Identity struct {
	PID int `json:"pid"`
	// Started is the time of the start in clock ticks since the boot.
	Started uint64 `json:"started"`
	// Boot is the ID of that boot.
	Boot string `json:"boot"`
}

// Identify returns the identity of a running process.
func Identify(pid int) (Identity, error) {
	p, err := readProcess(pid)
	if err != nil {
		return Identity{}, err
	}
	boot, err := bootID()
	if err != nil {
		return Identity{}, err
	}
	return Identity{PID: pid, Started: p.started, Boot: boot}, nil
}

// Alive tells whether the process still runs.
func (i Identity) Alive() bool {
	if i.PID == 0 {
		return false
	}
	now, err := Identify(i.PID)
	if err != nil || now != i {
		return false
	}
	p, err := readProcess(i.PID)
	return err == nil && p.state != "Z" && p.state != "X"
}

// Stop asks the process to end, kills it when it has not ended after the grace period, and waits until it is gone. A
// process that is gone already, or another one that has got its ID, is left alone.
func (i Identity) Stop(ctx context.Context, grace time.Duration) error {
	return i.end(ctx, []attempt{{unix.SIGTERM, grace}, {unix.SIGKILL, lastWait}})
}

// Kill ends the process as a crash would, and waits until it is gone. One that is gone already is left alone, as by Stop.
func (i Identity) Kill(ctx context.Context) error {
	return i.end(ctx, []attempt{{unix.SIGKILL, lastWait}})
}

// lastWait is how long a process may take to vanish after it was killed.
const lastWait = 30 * time.Second

// attempt is a signal, and how long to wait for its effect.
type attempt struct {
	signal unix.Signal
	wait   time.Duration
}

func (i Identity) end(ctx context.Context, attempts []attempt) error {
	if !i.Alive() {
		return nil
	}
	// The handle stays with this very process, whatever happens to its ID.
	handle, err := unix.PidfdOpen(i.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("taking hold of process %d: %w", i.PID, err)
	}
	defer func() { _ = unix.Close(handle) }()
	if !i.Alive() {
		return nil
	}
	for _, try := range attempts {
		if err := unix.PidfdSendSignal(handle, try.signal, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("stopping process %d: %w", i.PID, err)
		}
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, try.wait, true, func(context.Context) (bool, error) {
			return !i.Alive(), nil
		})
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopping process %d: %w", i.PID, context.Cause(ctx))
		}
	}
	return fmt.Errorf("process %d does not end, not even when it is killed: the kernel may be waiting for a disk", i.PID)
}

// Child is a program that runs on a machine.
type Child struct {
	PID     int
	Program string
	// Age is how long it has been running.
	Age time.Duration
}

// Children returns the processes that the keeper itself started, and orphans that it adopted.
func (i Identity) Children() ([]Child, error) {
	if !i.Alive() {
		return nil, nil
	}
	uptime, err := readUptime()
	if err != nil {
		return nil, err
	}
	paths, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, fmt.Errorf("listing processes: %w", err)
	}
	var children []Child
	for _, path := range paths {
		pid, err := strconv.Atoi(filepath.Base(path))
		if err != nil {
			continue
		}
		p, err := readProcess(pid)
		if err != nil || p.parent != i.PID || p.state == "Z" {
			continue
		}
		command, err := os.ReadFile(filepath.Join(path, "cmdline"))
		if err != nil {
			continue
		}
		program, _, _ := strings.Cut(string(command), "\x00")
		children = append(children, Child{PID: pid, Program: filepath.Base(program), Age: uptime - ticks(p.started)})
	}
	return children, nil
}

// process is what /proc/PID/stat says.
type process struct {
	state   string
	parent  int
	started uint64
}

func readProcess(pid int) (process, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return process{}, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	return parseStat(string(data))
}

// parseStat reads "pid (name) state ppid ... starttime ...". The name may hold blanks and brackets of its own.
func parseStat(stat string) (process, error) {
	end := strings.LastIndex(stat, ")")
	fields := strings.Fields(stat[end+1:])
	if end < 0 || len(fields) < 20 {
		return process{}, fmt.Errorf("a process describes itself as %q, which is no line of /proc/PID/stat", stat)
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return process{}, fmt.Errorf("reading the parent of a process: %w", err)
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return process{}, fmt.Errorf("reading the start time of a process: %w", err)
	}
	return process{state: fields[0], parent: parent, started: started}, nil
}

// ticks turns clock ticks into time. Linux has told user space about 100 ticks a second on every machine for decades.
func ticks(n uint64) time.Duration {
	return time.Duration(n) * (time.Second / 100)
}

func readUptime() (time.Duration, error) {
	data, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return 0, fmt.Errorf("reading the time since the boot: %w", err)
	}
	seconds, _, _ := strings.Cut(string(data), " ")
	uptime, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return 0, fmt.Errorf("reading the time since the boot: %w", err)
	}
	return time.Duration(uptime * float64(time.Second)), nil
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the ID of this boot: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}
