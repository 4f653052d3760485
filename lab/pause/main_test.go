package main

import (
	"errors"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestPauseCollectsChildrenUntilItIsToldToEnd(t *testing.T) {
	child := exec.CommandContext(t.Context(), "true")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	// The child has ended and nobody has collected it yet.
	if err := unix.Waitid(unix.P_PID, child.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	end, children, held := make(chan os.Signal), make(chan os.Signal), make(chan struct{})
	go func() { hold(end, children); close(held) }()
	children <- syscall.SIGCHLD
	end <- syscall.SIGTERM
	<-held
	if _, err := syscall.Wait4(child.Process.Pid, nil, syscall.WNOHANG, nil); !errors.Is(err, syscall.ECHILD) {
		t.Errorf("asking for the child gives %v, want %v, since pause has collected it", err, syscall.ECHILD)
	}
}
