package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"kruise.io/kruise/lab/machine"
)

// The network of a lab is routed. The control plane's machine has its address on its loopback device, and one link to
// the host and one to each node. All links are point to point, so every packet takes the same way there and back,
// which the connection tracking of its kube-proxy needs. When a machine ends, its links and all routes over them go
// with it.

// connectHost links the control plane's machine with the host.
func connectHost(ctx context.Context, l Layout, control machine.Identity) error {
	link := l.HostLink()
	err := ip(ctx, 0,
		fmt.Sprintf("link add %s type veth peer name host netns %d", link, control.PID),
		fmt.Sprintf("addr add %s/32 dev %s", l.HostAddress(), link),
		fmt.Sprintf("link set %s up", link),
	)
	if err != nil {
		return err
	}
	err = ip(ctx, control.PID,
		"link set lo up",
		fmt.Sprintf("addr add %s/32 dev lo", l.Address()),
		"link set host up",
		fmt.Sprintf("route add %s/32 dev host src %s", l.HostAddress(), l.Address()),
		// Services have no address anywhere: kube-proxy redirects what the API server sends to them, webhooks above all, but
		// only after a route was found. Nothing takes this one. It is no route to the loopback device, where the kernel cannot
		// answer that a service has no endpoints.
		fmt.Sprintf("route add %s dev host src %s", l.ServiceRange(), l.Address()),
	)
	if err != nil {
		return err
	}
	if err := refuseServices(ctx, l, control); err != nil {
		return err
	}
	return ip(ctx, 0,
		fmt.Sprintf("route add %s/32 dev %s src %s", l.Address(), link, l.HostAddress()),
		fmt.Sprintf("route add %s via %s dev %s src %s", l.MachineRange(), l.Address(), link, l.HostAddress()),
		fmt.Sprintf("route add %s via %s dev %s src %s", l.PodRange(), l.Address(), link, l.HostAddress()),
		fmt.Sprintf("route add %s via %s dev %s src %s", l.ServiceRange(), l.Address(), link, l.HostAddress()),
	)
}

// refuseServices makes the control plane's machine refuse what is for a service and was not redirected, because kube-proxy does
// not know the service yet, or no longer. If it were let through, the connection would be remembered as one that is not
// redirected, for two minutes, and so would each one after it that happens to come from the same port.
func refuseServices(ctx context.Context, l Layout, control machine.Identity) error {
	for _, chain := range []string{"FORWARD", "OUTPUT"} {
		if err := iptables(ctx, control.PID, []string{"--append", chain, "--destination", l.ServiceRange().String(), "--jump", "REJECT"}); err != nil {
			return err
		}
	}
	return nil
}

// disconnectHost removes the host's link. It usually vanishes with the control plane's machine, but the kernel takes
// its time when connections there were not closed.
func disconnectHost(ctx context.Context, l Layout) error {
	if _, err := os.Stat(filepath.Join("/sys/class/net", l.HostLink())); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	err := ip(ctx, 0, "link delete "+l.HostLink())
	if _, statErr := os.Stat(filepath.Join("/sys/class/net", l.HostLink())); errors.Is(statErr, os.ErrNotExist) {
		return nil // Gone by itself meanwhile.
	}
	return err
}

// connectNode links the machine of a node, counted from 1, with the control plane's.
func connectNode(ctx context.Context, l Layout, n int, control, node machine.Identity) error {
	name := l.NodeName(n)
	err := ip(ctx, control.PID,
		fmt.Sprintf("link add %s type veth peer name eth0 netns %d", name, node.PID),
		fmt.Sprintf("link set %s up", name),
		fmt.Sprintf("route add %s/32 dev %s src %s", l.NodeAddress(n), name, l.Address()),
		fmt.Sprintf("route add %s via %s dev %s onlink", l.NodePodRange(n), l.NodeAddress(n), name),
	)
	if err != nil {
		return err
	}
	return ip(ctx, node.PID,
		"link set lo up",
		fmt.Sprintf("addr add %s/32 dev eth0", l.NodeAddress(n)),
		"link set eth0 up",
		fmt.Sprintf("route add %s/32 dev eth0 src %s", l.Address(), l.NodeAddress(n)),
		fmt.Sprintf("route add default via %s dev eth0 src %s", l.Address(), l.NodeAddress(n)),
	)
}

// ip runs commands of the ip program in the network of a process, or in this one when the process ID is 0.
func ip(ctx context.Context, pid int, commands ...string) error {
	argv := []string{"ip", "-batch", "-"}
	if pid != 0 {
		argv = append([]string{"nsenter", "--target", strconv.Itoa(pid), "--net", "--"}, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin = strings.NewReader(strings.Join(commands, "\n") + "\n")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("making links and routes with %q: %w: %s", strings.Join(commands, "; "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}
