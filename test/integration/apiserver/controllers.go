package apiserver

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// RunControllers runs kube-controller-manager with these controllers alone, until the test ends.
func (s *Server) RunControllers(t *testing.T, controllers ...string) {
	t.Helper()
	program := filepath.Join(s.environment.BinaryAssetsDirectory, "kube-controller-manager")
	if _, err := os.Stat(program); err != nil {
		t.Fatalf("there is no kube-controller-manager to test with: run `make test-integration`, which builds it once (some minutes): %v", err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, s.environment.KubeConfig, 0o600); err != nil {
		t.Fatalf("writing a kubeconfig: %v", err)
	}
	var said bytes.Buffer
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, "--kubeconfig="+kubeconfig, "--controllers="+strings.Join(controllers, ","),
		"--secure-port=0", "--leader-elect=false", "--use-service-account-credentials=false",
		"--kube-api-qps=1000", "--kube-api-burst=1000")
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatalf("starting %s: %v", program, err)
	}
	ended := make(chan struct{})
	var end error
	go func() {
		end = command.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		select {
		case <-ended: // it was to run until now
			t.Errorf("kube-controller-manager ended: %v\n%s", end, said.String())
			return
		default:
		}
		if err := command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			t.Errorf("stopping kube-controller-manager: %v", err)
		}
		<-ended
	})
}
