package e2e

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
)

// process finds the process of a running container. Nodes of a lab are machines in name only: their processes are those of this
// machine, and each knows its container by its control group.
func (s *space) process(pod *corev1.Pod, container string) int {
	s.Helper()
	_, id, found := strings.Cut(containerOf(pod, container).ContainerID, "://")
	if !found {
		s.Fatalf("container %s of %s does not run", container, describePod(pod))
	}
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		s.Fatalf("looking for processes: %v", err)
	}
	for _, file := range files {
		groups, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(groups), id) {
			continue // Processes end while they are looked at.
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			s.Fatalf("looking for processes: %v", err)
		}
		return pid
	}
	s.Fatalf("no process of container %s of pod %s is on this machine: the test needs a lab that is", container, pod.Name)
	return 0
}

// within is the path of a file of a running container, as this machine sees it.
func (s *space) within(pod *corev1.Pod, container, file string) string {
	s.Helper()
	return filepath.Join("/proc", strconv.Itoa(s.process(pod, container)), "root", file)
}

// page asks a demo server for what it says about itself.
func page(ctx context.Context, address string) (map[string]string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return nil, err
	}
	browser := &http.Client{
		// Every request has a connection of its own, as requests of many users have.
		Transport: &http.Transport{DisableKeepAlives: true},
		Timeout:   10 * time.Second,
	}
	answer, err := browser.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", address, answer.Status)
	}
	says := map[string]string{}
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ": ")
		says[key] = value
	}
	return says, lines.Err()
}

// untilPage waits until the demo server at an address says that it has a version. A server is not ready before it answers, but
// the route to it may be a moment late.
func (s *space) untilPage(address, version string) {
	s.Helper()
	var last string
	err := wait.PollUntilContextTimeout(s.Context(), 50*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		says, err := page(ctx, address)
		last = fmt.Sprint(says, err)
		return err == nil && says["version"] == version, nil
	})
	if err != nil {
		s.Fatalf("waited in vain for version %s at %s; last seen: %s", version, address, last)
	}
}
