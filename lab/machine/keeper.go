package machine

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

const (
	// restartDelay is the pause before a program that ended is started again.
	restartDelay = time.Second
	// grace is how long programs have to end by themselves when the machine stops.
	grace = 3 * time.Second
)

// keeper keeps the programs of one machine running.
type keeper struct {
	spec    Spec
	say     io.Writer
	logs    []*os.File
	running map[int]int // process ID to index in spec.Programs
	due     chan int    // indexes of programs that shall start now
}

// Keep runs a machine until ctx is done. The permission to start comes through permit. It must be called on the main
// goroutine of a process that does nothing else: it collects every child of the process.
func Keep(ctx context.Context, spec Spec, permit io.Reader, say io.Writer) error {
	// The kernel ties the life of a child to the thread that started it (see PR_SET_PDEATHSIG).
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	k := &keeper{spec: spec, say: say, running: map[int]int{}, due: make(chan int)}
	if err := k.openLogs(); err != nil {
		return err
	}
	if _, err := io.ReadFull(permit, make([]byte, 1)); err != nil {
		return errors.New("whoever started this machine is gone before it was ready")
	}
	if spec.Isolated {
		if err := isolate(spec); err != nil {
			return err
		}
	}
	return k.run(ctx)
}

// openLogs opens all logs before mounts may hide them.
func (k *keeper) openLogs() error {
	for _, p := range k.spec.Programs {
		file, err := os.OpenFile(p.Log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
		if err != nil {
			return fmt.Errorf("opening the log of %s: %w", p.Name, err)
		}
		k.logs = append(k.logs, file)
	}
	return nil
}

// run is the one loop of the keeper. Everything that touches processes happens in it, on one thread.
func (k *keeper) run(ctx context.Context) error {
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, unix.SIGCHLD)
	for i := range k.spec.Programs {
		go k.startWhenReady(ctx, i, 0)
	}
	for {
		select {
		case <-ctx.Done():
			return k.stop(ended)
		case i := <-k.due:
			if err := k.start(i); err != nil {
				k.log("%v", err)
				go k.startWhenReady(ctx, i, restartDelay)
			}
		case <-ended:
			for _, i := range k.collect() {
				go k.startWhenReady(ctx, i, restartDelay)
			}
		}
	}
}

// startWhenReady waits for the conditions of a program and then has it started.
func (k *keeper) startWhenReady(ctx context.Context, i int, delay time.Duration) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(delay):
	}
	for _, condition := range k.spec.Programs[i].After {
		// The poll ends with the machine, and then there is nothing to start any more.
		_ = wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, condition.holds)
	}
	select {
	case <-ctx.Done():
	case k.due <- i:
	}
}

// start starts a program, which dies with the keeper.
func (k *keeper) start(i int) error {
	p := k.spec.Programs[i]
	null, err := os.Open(os.DevNull)
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	defer func() { _ = null.Close() }()
	log := k.logs[i].Fd()
	pid, err := syscall.ForkExec(p.Command[0], p.Command, &syscall.ProcAttr{
		Dir:   "/",
		Env:   append([]string{"PATH=" + k.spec.Path, "HOME=" + os.Getenv("HOME")}, p.Env...),
		Files: []uintptr{null.Fd(), log, log},
		Sys:   &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w", p.Name, err)
	}
	k.running[pid] = i
	return nil
}

// collect reaps every child that has ended and returns those that are programs of the machine.
func (k *keeper) collect() []int {
	var programs []int
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return programs
		}
		i, ours := k.running[pid]
		if !ours {
			continue // An orphan that the first process of an isolated machine inherited.
		}
		delete(k.running, pid)
		programs = append(programs, i)
		k.log("%s ended: %s", k.spec.Programs[i].Name, describe(status))
	}
}

// stop ends every program.
func (k *keeper) stop(ended <-chan os.Signal) error {
	k.signal(unix.SIGTERM)
	deadline := time.After(grace)
	for len(k.running) > 0 {
		select {
		case <-ended:
			k.collect()
		case <-deadline:
			k.signal(unix.SIGKILL)
			deadline = nil
		}
	}
	return nil
}

func (k *keeper) signal(s unix.Signal) {
	for pid, i := range k.running {
		one := s
		if k.spec.Programs[i].Abrupt {
			one = unix.SIGKILL
		}
		// A child that has just ended is still ours until it is collected: its ID cannot name anybody else.
		_ = unix.Kill(pid, one)
	}
}

func (k *keeper) log(format string, args ...any) {
	_, _ = fmt.Fprintf(k.say, time.Now().Format(time.RFC3339)+" "+format+"\n", args...)
}

func describe(status unix.WaitStatus) string {
	if status.Signaled() {
		return "killed by " + status.Signal().String()
	}
	return fmt.Sprintf("exit status %d", status.ExitStatus())
}

// holds tells whether a condition is met. It never fails: what is not there yet may come.
func (c Condition) holds(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if c.File != "" {
		_, err := os.Stat(c.File)
		return err == nil, nil
	}
	if c.Socket != "" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.Socket)
		if err != nil {
			return false, nil // Not there yet.
		}
		return true, conn.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL, nil)
	if err != nil {
		return false, fmt.Errorf("waiting for %s: %w", c.URL, err)
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	}}
	response, err := client.Do(request)
	if err != nil {
		return false, nil // Not there yet.
	}
	return response.StatusCode < http.StatusMultipleChoices, response.Body.Close()
}
