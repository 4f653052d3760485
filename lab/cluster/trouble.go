package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"kruise.io/kruise/lab/machine"
)

// Trouble that is made on purpose, to see what comes of it.

// Kill ends a component at once, as a crash would. Its machine starts it again about a second later.
func Kill(ctx context.Context, l Layout, state State, component string) error {
	all, err := Components(l, state)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("there is no component %q: the lab %s is down", component, l.Name)
	}
	var names []string
	for _, c := range all {
		if c.Name != component {
			names = append(names, c.Name)
			continue
		}
		if c.PID == 0 {
			return fmt.Errorf("the component %s does not run", component)
		}
		identity, err := machine.Identify(c.PID)
		if err != nil {
			return err
		}
		return identity.Kill(ctx)
	}
	return fmt.Errorf("there is no component %q: the components are %s", component, strings.Join(names, ", "))
}

// Cut makes a node lose every packet from and to it, as if its cable were pulled. What runs there goes on. A node that is
// cut off stays so until Mend, or until the lab is started anew.
func Cut(ctx context.Context, l Layout, state State, node string) error {
	return eachCut(l, state, node, func(control int, rule []string) error {
		if iptables(ctx, control, append([]string{"--check"}, rule...)) == nil {
			return nil
		}
		return iptables(ctx, control, append([]string{"--insert"}, rule...))
	})
}

// Mend gives a node its network back. A node that has it is left alone.
func Mend(ctx context.Context, l Layout, state State, node string) error {
	return eachCut(l, state, node, func(control int, rule []string) error {
		if iptables(ctx, control, append([]string{"--check"}, rule...)) != nil {
			return nil
		}
		return iptables(ctx, control, append([]string{"--delete"}, rule...))
	})
}

// eachCut goes through the rules that cut a node off. They are on the control plane's machine, where the link to the node ends
// in a device of the node's name.
func eachCut(l Layout, state State, node string, do func(control int, rule []string) error) error {
	var nodes []string
	for i := range state.Nodes {
		nodes = append(nodes, l.NodeName(i+1))
	}
	control := state.Machines[controlPlane]
	switch {
	case !slices.Contains(nodes, node):
		return fmt.Errorf("there is no real node %q in the lab %s: its nodes are %s", node, l.Name, strings.Join(nodes, ", "))
	case !control.Alive():
		return fmt.Errorf("the lab %s is down: kruise-lab up starts it again", l.Name)
	}
	for _, rule := range [][]string{
		{"INPUT", "--in-interface", node}, {"OUTPUT", "--out-interface", node},
		{"FORWARD", "--in-interface", node}, {"FORWARD", "--out-interface", node},
	} {
		if err := do(control.PID, append(rule, "--jump", "DROP")); err != nil {
			return err
		}
	}
	return nil
}

// iptables runs the program of that name in the network of a process. It waits for others that run it.
func iptables(ctx context.Context, pid int, args []string) error {
	argv := append([]string{"--target", strconv.Itoa(pid), "--net", "--", "iptables", "--wait"}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", argv...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return errors.Join(fmt.Errorf("iptables %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String())), ctx.Err())
	}
	return nil
}
