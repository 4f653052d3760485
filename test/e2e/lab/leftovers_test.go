package lab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// host describes what the lab might leave behind on the host. Other labs may come and go meanwhile, so what belongs to
// them by its name is left out, and processes and control groups count when they speak of this lab.
func (l *lab) host(t *testing.T) map[string][]string {
	t.Helper()
	return map[string][]string{
		"processes":         l.processes(t),
		"control groups":    l.cgroups(t),
		"mounts":            output(t, "cat", "/proc/self/mountinfo"),
		"named namespaces":  list(t, "/run/netns/*"),
		"links":             l.without(output(t, "ip", "-oneline", "link", "show"), "kruiselab"),
		"addresses":         l.without(output(t, "ip", "-oneline", "address", "show"), "kruiselab"),
		"routes":            l.without(output(t, "ip", "-oneline", "route", "show", "table", "all"), "kruiselab"),
		"packet filter":     rules(t),
		"kernel settings":   settings(t),
		"folders of others": list(t, "/etc/cni/*", "/opt/cni/*", "/opt/containerd", "/var/lib/kubelet", "/var/lib/containerd", "/var/log/pods"),
	}
}

// without leaves out what belongs to another lab.
func (l *lab) without(lines []string, word string) []string {
	mine := ""
	if state, err := os.ReadFile(filepath.Join(l.dir, "state.json")); err == nil && len(state) > 0 {
		mine = fmt.Sprintf("%s%d", word, l.state().Index)
	}
	var kept []string
	for _, line := range lines {
		if !strings.Contains(line, word) || (mine != "" && strings.Contains(line, mine)) {
			kept = append(kept, line)
		}
	}
	return kept
}

// processes lists those that have to do with the lab: started by it, or running in one of its containers.
func (l *lab) processes(t *testing.T) []string {
	t.Helper()
	var found []string
	for _, dir := range list(t, "/proc/[0-9]*") {
		if dead(dir) {
			continue
		}
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // Gone meanwhile: not a leftover.
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if strings.Contains(string(command), l.dir) || strings.Contains(string(groups), "/kruise-lab-"+l.name+"-") {
			found = append(found, filepath.Base(dir)+" "+strings.ReplaceAll(string(command), "\x00", " "))
		}
	}
	return found
}

// dead says whether a process has ended and only waits for the machine's init to collect it, which no lab can hurry.
func dead(dir string) bool {
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return true
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // behind the name, which may hold blanks
	return strings.HasPrefix(rest, "Z") || strings.HasPrefix(rest, "X")
}

// cgroups lists the control groups of the lab.
func (l *lab) cgroups(t *testing.T) []string {
	t.Helper()
	return list(t, "/sys/fs/cgroup/kruise-lab-"+l.name+"-*", "/sys/fs/cgroup/*/kruise-lab-"+l.name+"-*")
}

// settings are those of the kernel that components of Kubernetes are known to change.
func settings(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, path := range list(t, "/proc/sys/net/ipv4/ip_forward", "/proc/sys/net/ipv4/conf/*/*", "/proc/sys/net/netfilter/*max",
		"/proc/sys/net/netfilter/*timeout*", "/proc/sys/vm/overcommit_memory", "/proc/sys/vm/panic_on_oom",
		"/proc/sys/kernel/panic*", "/proc/sys/kernel/keys/root_max*") {
		if strings.Contains(path, "kruiselab") {
			continue
		}
		value, err := os.ReadFile(path)
		if err != nil {
			continue // Some can only be written.
		}
		all = append(all, path+" = "+strings.TrimSpace(string(value)))
	}
	return all
}

// rules are the packet filter's, without counters and times.
func rules(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, line := range append(output(t, "iptables-save"), output(t, "ip6tables-save")...) {
		if !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, ":") {
			all = append(all, line)
		}
	}
	return all
}

func output(t *testing.T, argv ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).Output()
	if err != nil {
		t.Fatalf("%s: %v", strings.Join(argv, " "), err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

func list(t *testing.T, patterns ...string) []string {
	t.Helper()
	var all []string
	for _, pattern := range patterns {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, paths...)
	}
	return all
}
