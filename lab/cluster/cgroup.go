package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	"k8s.io/apimachinery/pkg/util/wait"
)

const cgroupRoot = "/sys/fs/cgroup"

// hierarchies returns the folders of all control group hierarchies below a root: the root itself on a host with
// cgroup v2, and one for each controller on a host with cgroup v1, where the unified hierarchy may be among them.
func hierarchies(root string) ([]string, error) {
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		return []string{root}, nil
	}
	entries, err := os.ReadDir(root)
	if err != nil {
		return nil, fmt.Errorf("looking for control groups: %w", err)
	}
	var found []string
	for _, entry := range entries {
		// Links, such as cpu to cpu,cpuacct, are other names of a folder that is there too.
		dir := filepath.Join(root, entry.Name())
		if _, err := os.Stat(filepath.Join(dir, "cgroup.procs")); err == nil && entry.IsDir() {
			found = append(found, dir)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("there are no control groups in %s: mount them, as containers need them", root)
	}
	return found, nil
}

// makeCgroup makes the control group of a node, which its kubelet expects to be there, in every hierarchy.
func makeCgroup(root, name string) error {
	dirs, err := hierarchies(root)
	if err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("making the control group of a node: %w", err)
		}
		if err := fillCpuset(dir, name); err != nil {
			return err
		}
		if err := delegate(dir); err != nil {
			return err
		}
	}
	return nil
}

// fillCpuset gives a new group of cgroup v1 the processors and memory of its parent: it begins with none, and no
// process could enter it.
func fillCpuset(hierarchy, name string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(hierarchy, file))
		if errors.Is(err, os.ErrNotExist) {
			continue // Another hierarchy, or cgroup v2, where an empty value means those of the parent.
		}
		if err != nil {
			return fmt.Errorf("reading the processors of the host: %w", err)
		}
		if err := os.WriteFile(filepath.Join(hierarchy, name, file), value, 0o600); err != nil {
			return fmt.Errorf("giving processors to the control group of a node: %w", err)
		}
	}
	return nil
}

// delegate lets groups below the root of cgroup v2 use the controllers that a kubelet needs, where the host has not
// done so already.
func delegate(hierarchy string) error {
	available, err := words(filepath.Join(hierarchy, "cgroup.controllers"))
	if err != nil {
		return err
	}
	control := filepath.Join(hierarchy, "cgroup.subtree_control")
	passedOn, err := words(control)
	if err != nil {
		return err
	}
	for _, controller := range []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids"} {
		if !slices.Contains(available, controller) || slices.Contains(passedOn, controller) {
			continue
		}
		if err := os.WriteFile(control, []byte("+"+controller), 0o600); err != nil {
			return fmt.Errorf("passing the controller %s on to control groups: %w", controller, err)
		}
	}
	return nil
}

// words reads the words of a file. A file that is not there, as on cgroup v1, has none.
func words(path string) ([]string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("reading the controllers of control groups: %w", err)
	}
	return strings.Fields(string(data)), nil
}

// removeCgroups removes the control groups that match a pattern from every hierarchy. Their processes are gone, but
// the kernel may need a moment to notice.
func removeCgroups(ctx context.Context, root, pattern string) error {
	dirs, err := hierarchies(root)
	if err != nil {
		return nil //nolint:nilerr // Without control groups there is nothing to remove.
	}
	for _, dir := range dirs {
		groups, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return fmt.Errorf("looking for control groups: %w", err)
		}
		for _, group := range groups {
			if err := removeTree(ctx, group); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeTree removes a control group and those below it. Files in it are no files: only folders can be removed.
func removeTree(ctx context.Context, group string) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 10*time.Second, true, func(context.Context) (bool, error) {
		var below []string
		last = filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				below = append(below, path)
			}
			return nil // What vanishes meanwhile need not be removed.
		})
		slices.Reverse(below)
		for _, path := range below {
			if err := unix.Rmdir(path); err != nil && !errors.Is(err, unix.ENOENT) {
				last = err
			}
		}
		return last == nil, nil
	})
	if err != nil {
		return fmt.Errorf("removing the control group %s: %w", group, errors.Join(err, last))
	}
	return nil
}
