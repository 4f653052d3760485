package cluster

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kruise.io/kruise/lab/progress"
)

func report(out io.Writer) *progress.Reporter { return progress.New(out) }

// lay makes files, with their folders, below a new folder that stands in for /sys/fs/cgroup.
func lay(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestOnCgroupV1ANodeHasAGroupInEveryHierarchyWithTheProcessorsOfTheHost(t *testing.T) {
	root := lay(t, map[string]string{
		"memory/cgroup.procs": "", "cpuset/cgroup.procs": "", "cpuset/cpuset.cpus": "0-1\n", "cpuset/cpuset.mems": "0\n",
		"unified/cgroup.procs": "", "unified/cgroup.controllers": "", "not-a-hierarchy/file": "",
	})
	if err := makeCgroup(root, "node"); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"memory/node", "cpuset/node", "unified/node"} {
		if info, err := os.Stat(filepath.Join(root, dir)); err != nil || !info.IsDir() {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "not-a-hierarchy/node")); err == nil {
		t.Error("a group was made in a folder that is no hierarchy")
	}
	for file, want := range map[string]string{"cpuset/node/cpuset.cpus": "0-1\n", "cpuset/node/cpuset.mems": "0\n"} {
		if got, err := os.ReadFile(filepath.Join(root, file)); err != nil || string(got) != want {
			t.Errorf("%s is %q, %v", file, got, err)
		}
	}
	if err := makeCgroup(root, "node"); err != nil {
		t.Errorf("a group that is there already: %v", err)
	}
}

func TestOnCgroupV2ANodeHasOneGroupAndMayUseEveryController(t *testing.T) {
	root := lay(t, map[string]string{"cgroup.controllers": "cpuset cpu memory pids rdma\n", "cgroup.subtree_control": "cpu memory\n", "cgroup.procs": "", "system.slice/cgroup.procs": ""})
	if err := makeCgroup(root, "node"); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(filepath.Join(root, "node")); err != nil || !info.IsDir() {
		t.Errorf("the group: %v", err)
	}
	if _, err := os.Stat(filepath.Join(root, "system.slice/node")); err == nil {
		t.Error("a group of the host was taken for a hierarchy")
	}
	// In a real hierarchy each write adds a controller; here the last one stays.
	if got, err := os.ReadFile(filepath.Join(root, "cgroup.subtree_control")); err != nil || string(got) != "+pids" {
		t.Errorf("passed on: %q, %v", got, err)
	}
}

func TestAHostWithoutControlGroupsIsToldSo(t *testing.T) {
	if err := makeCgroup(t.TempDir(), "node"); err == nil || !strings.Contains(err.Error(), "there are no control groups") {
		t.Errorf("got %v", err)
	}
}

func TestGroupsOfALabAreRemovedWithAllBelowThemAndThoseOfOthersStay(t *testing.T) {
	root := t.TempDir()
	l := Layout{Name: "a"}
	mine := filepath.Join(root, l.NodeCgroup("node-1"))
	others := filepath.Join(root, Layout{Name: "a-b"}.NodeCgroup("node-1"))
	for _, dir := range []string{filepath.Join(mine, "kubepods", "pod1", "c"), filepath.Join(mine, "kubepods", "pod2"), others} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// A file marks the folder as a hierarchy of cgroup v2.
	if err := os.WriteFile(filepath.Join(root, "cgroup.controllers"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := removeCgroups(t.Context(), root, l.NodeCgroup("node-[0-9]*")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(mine); err == nil {
		t.Error("the group is still there")
	}
	if _, err := os.Stat(others); err != nil {
		t.Errorf("the group of another lab: %v", err)
	}
}
