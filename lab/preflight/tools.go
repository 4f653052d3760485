package preflight

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// Tool is something that a machine must have before the lab can work there.
type Tool struct {
	// Name is how a user knows it: a program such as iptables, or what a header file belongs to.
	Name string
	// Package is the Debian package that brings it.
	Package string
	// Probe is a command that succeeds when the tool is there. Empty: a program with this name in the search path.
	Probe []string
}

// The tools that the lab knows. Which of them are needed depends on what is asked for.
func gcc() Tool { return Tool{Name: "gcc", Package: "gcc"} }
func libcDev() Tool {
	return Tool{Name: "C headers", Package: "libc6-dev", Probe: []string{"test", "-e", "/usr/include/stdlib.h"}}
}
func pkgConfig() Tool { return Tool{Name: "pkg-config", Package: "pkg-config"} }
func seccomp() Tool {
	return Tool{Name: "libseccomp headers", Package: "libseccomp-dev", Probe: []string{"pkg-config", "--exists", "libseccomp"}}
}

// ForC returns the tools that building the one part written partly in C needs.
func ForC() []Tool { return []Tool{gcc(), libcDev(), pkgConfig(), seccomp()} }

// ForNodes returns the tools that real nodes need: the ones that make their networks and namespaces, and the ones
// that kube-proxy and kubelet call.
func ForNodes() []Tool {
	return []Tool{
		{Name: "ip", Package: "iproute2"},
		{Name: "iptables", Package: "iptables"},
		{Name: "mount", Package: "mount"},
		{Name: "nsenter", Package: "util-linux"},
	}
}

// Missing returns those tools that this machine does not have.
func Missing(ctx context.Context, tools []Tool) []Tool {
	var missing []Tool
	for _, tool := range tools {
		if !tool.present(ctx) {
			missing = append(missing, tool)
		}
	}
	return missing
}

func (t Tool) present(ctx context.Context) bool {
	if len(t.Probe) > 0 {
		return exec.CommandContext(ctx, t.Probe[0], t.Probe[1:]...).Run() == nil
	}
	_, err := exec.LookPath(t.Name)
	return err == nil
}

// MissingError says which tools are missing and how to get them.
type MissingError struct {
	Tools []Tool
}

// Names returns the names of the tools in one line.
func (e MissingError) Names() string {
	names := make([]string, 0, len(e.Tools))
	for _, tool := range e.Tools {
		names = append(names, tool.Name)
	}
	return strings.Join(names, ", ")
}

func (e MissingError) Error() string {
	return fmt.Sprintf("this machine lacks %s: run\n  %s\n(or what installs the same on your distribution), or give --install-tools to have it done",
		e.Names(), strings.Join(AptGet(e.Tools), " "))
}

// AptGet returns the command that installs tools on Debian and its relatives.
func AptGet(tools []Tool) []string {
	var packages []string
	for _, tool := range tools {
		packages = append(packages, tool.Package)
	}
	slices.Sort(packages)
	return append([]string{"apt-get", "install", "--yes", "--no-install-recommends"}, slices.Compact(packages)...)
}

// Install installs tools with apt-get and writes what apt-get says to out. It refreshes the package lists when the
// first attempt fails, as they are often absent on a fresh machine.
func Install(ctx context.Context, tools []Tool, out io.Writer) error {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("there is no apt-get on this machine, so it cannot install anything: %w", MissingError{Tools: tools})
	}
	if err := Root("installing tools"); err != nil {
		return err
	}
	run := func(argv ...string) error {
		cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		cmd.Stdout, cmd.Stderr = out, out
		return cmd.Run()
	}
	install := AptGet(tools)
	if run(install...) == nil {
		return nil
	}
	if err := run("apt-get", "update"); err != nil {
		return fmt.Errorf("refreshing the package lists with apt-get update: %w", err)
	}
	if err := run(install...); err != nil {
		return fmt.Errorf("running %s: %w", strings.Join(install, " "), err)
	}
	return nil
}
