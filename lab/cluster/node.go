package cluster

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"kruise.io/kruise/lab/images"
	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/parts"
)

// programsInNode is where a node sees the programs of the lab.
const programsInNode = "/var/lib/kruise-lab/bin"

// nodeMachine describes the machine of a real node, counted from 1, and writes the configuration of its programs. A
// node has a /var and a /run of its own, so all paths in it are the usual ones: pods with host paths, and what runs
// in them, find the kubelet, the container runtime and the logs where they are on any node.
func nodeMachine(l Layout, state State, n int) (machine.Spec, error) {
	name := l.NodeName(n)
	if err := writeNode(l, n); err != nil {
		return machine.Spec{}, err
	}
	ready := []machine.Condition{{URL: l.APIServer() + "/readyz"}}
	runtime := []machine.Condition{{Socket: "/run/containerd/containerd.sock"}}
	return machine.Spec{
		Name:     name,
		Isolated: true,
		Mounts:   nodeMounts(l, state, name),
		Sysctls:  map[string]string{"net/ipv4/ip_forward": "1"},
		Path:     searchPath(programsInNode),
		Programs: []machine.Program{
			program(l, programsInNode, parts.Containerd, name, nil, "--config=/var/lib/kruise-lab/containerd.toml"),
			program(l, programsInNode, parts.KubeProxy, name, ready,
				"--config=/var/lib/kruise-lab/kube-proxy.yaml", "--hostname-override="+name),
			program(l, programsInNode, parts.Kubelet, name, append(ready, runtime...),
				"--config=/var/lib/kubelet/config.yaml",
				"--kubeconfig=/var/lib/kubelet/kubeconfig",
				"--hostname-override="+name,
				"--node-ip="+l.NodeAddress(n).String(),
				"--node-labels=topology.kubernetes.io/region=lab,topology.kubernetes.io/zone="+zone(n),
				"--v=2"),
		},
	}, nil
}

// nodeMounts gives a node what is its own and hides what is the host's.
func nodeMounts(l Layout, state State, name string) []machine.Mount {
	mounts := []machine.Mount{
		{Type: "tmpfs", Target: "/run"},
		{Bind: state.Bin, Target: filepath.Join(l.nodeVar(name), "lib/kruise-lab/bin")},
	}
	// What is below /var is hidden by the node's own.
	volumes := filepath.Join(l.volumes(), name)
	if inVar, hidden := strings.CutPrefix(volumes, "/var/"); hidden {
		mounts = append(mounts, machine.Mount{Bind: volumes, Target: filepath.Join(l.nodeVar(name), inVar)})
	}
	mounts = append(mounts, machine.Mount{Bind: l.nodeVar(name), Target: "/var"})
	// Kubelet insists on these settings of the whole kernel. On the node it finds them as it likes them, and the
	// host keeps its own.
	for setting, value := range map[string]string{
		"vm/overcommit_memory": "1", "kernel/panic": "10", "kernel/panic_on_oops": "1",
		"kernel/keys/root_maxkeys": "1000000", "kernel/keys/root_maxbytes": "25000000",
	} {
		target := filepath.Join("/proc/sys", setting)
		if _, err := os.Stat(target); err == nil {
			mounts = append(mounts, machine.Mount{Text: value + "\n", Target: target})
		}
	}
	return mounts
}

// zone spreads real nodes over the same zones as simulated ones.
func zone(n int) string {
	return fmt.Sprintf("z%d", (n-1)%zones+1)
}

// writeNode fills the /var of a node.
func writeNode(l Layout, n int) error {
	name := l.NodeName(n)
	root := l.nodeVar(name)
	volumes := filepath.Join(l.volumes(), name)
	dirs := []string{volumes}
	for _, dir := range []string{"cache", "lib/containerd", "lib/kruise-lab/bin", "log/pods", "log/containers", "spool", "tmp"} {
		dirs = append(dirs, filepath.Join(root, dir))
	}
	if inVar, hidden := strings.CutPrefix(volumes, "/var/"); hidden {
		dirs = append(dirs, filepath.Join(root, inVar))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("making the folders of node %s: %w", name, err)
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o777|os.ModeSticky); err != nil {
		return fmt.Errorf("making the folders of node %s: %w", name, err)
	}
	for link, target := range map[string]string{"run": "/run", "lock": "/run/lock"} {
		if err := os.Symlink(target, filepath.Join(root, link)); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("making the folders of node %s: %w", name, err)
		}
	}
	for file, source := range map[string]string{
		"lib/kubelet/kubeconfig":               l.pki(name + ".kubeconfig"),
		"lib/kubelet/pki/ca.crt":               l.pki("ca.crt"),
		"lib/kubelet/pki/kubelet.crt":          l.pki(name + ".crt"),
		"lib/kubelet/pki/kubelet.key":          l.pki(name + ".key"),
		"lib/kruise-lab/kube-proxy.kubeconfig": l.pki("proxy.kubeconfig"),
	} {
		data, err := os.ReadFile(source)
		if err != nil {
			return fmt.Errorf("giving node %s its certificates: %w", name, err)
		}
		if err := write(filepath.Join(root, file), data); err != nil {
			return err
		}
	}
	if err := write(filepath.Join(root, "lib/kubelet/resolv.conf"), []byte("nameserver "+l.DNSAddress().String()+"\n")); err != nil {
		return err
	}
	for file, s := range map[string]settings{
		"lib/kubelet/config.yaml":                                   {DNS: l.DNSAddress(), Cgroup: l.NodeCgroup(name)},
		"lib/kruise-lab/kube-proxy.yaml":                            {Kubeconfig: "/var/lib/kruise-lab/kube-proxy.kubeconfig", Address: l.NodeAddress(n), Pods: l.PodRange()},
		"lib/kruise-lab/containerd.toml":                            {Pause: images.Pause},
		"lib/kruise-lab/cni/10-lab.conflist":                        {Pods: l.NodePodRange(n)},
		"lib/kruise-lab/certs.d/_default/hosts.toml":                {Registry: l.Registry()},
		"lib/kruise-lab/certs.d/" + PrivateRegistry + "/hosts.toml": {Registry: l.privateRegistry()},
	} {
		if err := writeConfig(filepath.Join(root, file), templateOf(file), s); err != nil {
			return err
		}
	}
	return nil
}

// templateOf returns the template of a configuration file of a node.
func templateOf(file string) string {
	switch base := filepath.Base(file); base {
	case "config.yaml":
		return "kubelet.yaml"
	case "10-lab.conflist":
		return "cni.conflist"
	default:
		return base
	}
}
