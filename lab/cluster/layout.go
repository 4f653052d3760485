package cluster

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"regexp"
	"strconv"
)

const (
	// MaxNodes is how many real nodes a lab can have.
	MaxNodes = 100
	// labs is how many labs can live on one machine, by the address ranges that there are for them.
	labs = 16

	// Machines beside the nodes.
	controlPlane = "control-plane"
	simulator    = "simulator"
	// Ports on the address of the control plane's machine, which it has for itself.
	apiPort      = 6443
	registryPort = 5000
	privatePort  = 5001
	// Ports of labs without real nodes start here, since they share 127.0.0.1 with each other and everybody else.
	firstSharedPort   = 21000
	sharedPortsPerLab = 10
)

// Layout answers where things of one lab are: names, addresses, ports and files. It is computed from the name and
// index of the lab and never stored, so two labs differ in all of it.
type Layout struct {
	Name string
	// Index tells labs apart: 0 to 15.
	Index int
	// Shared is set for a lab without real nodes, which shares the network of the host.
	Shared bool
	// Dir is the folder of everything that the lab keeps.
	Dir string
}

// ValidateName says what is wrong with the name of a lab.
func ValidateName(name string) error {
	if !regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$`).MatchString(name) {
		return fmt.Errorf("--name %q: want at most 30 lower case letters, digits and dashes, with no dash at either end", name)
	}
	return nil
}

// HostLink is the name of the host's link to the lab. Interface names have at most 15 characters, so it cannot hold
// the name of the lab.
func (l Layout) HostLink() string { return "kruiselab" + strconv.Itoa(l.Index) }

// MachineRange has the addresses of the host's link, the control plane and the nodes.
func (l Layout) MachineRange() netip.Prefix { return ten(24, 77, l.Index, 0) }

// PodRange has the addresses of all pods.
func (l Layout) PodRange() netip.Prefix { return ten(16, 80+l.Index, 0, 0) }

// ServiceRange has the addresses of all services.
func (l Layout) ServiceRange() netip.Prefix { return ten(16, 96+l.Index, 0, 0) }

// HostAddress is the address of the host as the lab sees it.
func (l Layout) HostAddress() netip.Addr { return ten(24, 77, l.Index, 1).Addr() }

// Address is where the control plane and the registry listen.
func (l Layout) Address() netip.Addr {
	if l.Shared {
		return netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return ten(24, 77, l.Index, 2).Addr()
}

// NodeName is the name of a real node, counted from 1.
func (l Layout) NodeName(n int) string { return "node-" + strconv.Itoa(n) }

// NodeAddress is the address of a real node, counted from 1.
func (l Layout) NodeAddress(n int) netip.Addr { return ten(24, 77, l.Index, 100+n).Addr() }

// NodePodRange has the addresses of the pods on a real node, counted from 1.
func (l Layout) NodePodRange(n int) netip.Prefix { return ten(24, 80+l.Index, n, 0) }

// NodeCgroup is the control group above all pods of a node.
func (l Layout) NodeCgroup(node string) string { return "kruise-lab-" + l.Name + "-" + node }

// APIServerAddress is the address of the kubernetes service: the first of the service range.
func (l Layout) APIServerAddress() netip.Addr { return l.ServiceRange().Addr().Next() }

// DNSAddress is the address of the cluster's name service.
func (l Layout) DNSAddress() netip.Addr { return ten(16, 96+l.Index, 0, 10).Addr() }

// Ports of the control plane. Those of a lab that shares the network of the host are all its own.
func (l Layout) port(own, shared int) uint16 {
	if l.Shared {
		return uint16(firstSharedPort + sharedPortsPerLab*l.Index + shared)
	}
	return uint16(own)
}

// APIServer is the URL of the API server.
func (l Layout) APIServer() string {
	return "https://" + netip.AddrPortFrom(l.Address(), l.port(apiPort, 0)).String()
}

// Registry is the host and port of the lab's registry, which stands in for every public one.
func (l Layout) Registry() string {
	return netip.AddrPortFrom(l.Address(), l.port(registryPort, 3)).String()
}

// PrivateRegistry is the host in the names of images that nodes pull with a user and a password only: PrivateUser and
// PrivatePassword.
const (
	PrivateRegistry = "private.lab"
	PrivateUser     = "lab"
	PrivatePassword = "open-sesame"
)

// privateRegistry is the host and port of the registry that stands in for PrivateRegistry. It has what the other one has.
func (l Layout) privateRegistry() string {
	return netip.AddrPortFrom(l.Address(), l.port(privatePort, 4)).String()
}

// SharedPorts are the ports on 127.0.0.1 that a lab without real nodes needs.
func (l Layout) SharedPorts() []uint16 {
	var ports []uint16
	for offset := range 3 {
		ports = append(ports, l.port(0, offset))
	}
	return ports
}

// Files and folders of the lab.

func (l Layout) pki(file string) string     { return filepath.Join(l.Dir, "pki", file) }
func (l Layout) etc(file string) string     { return filepath.Join(l.Dir, "etc", file) }
func (l Layout) furnished() string          { return l.etc("furnished") }
func (l Layout) etcdSocket() string         { return filepath.Join(l.Dir, "etcd.sock") }
func (l Layout) machine(name string) string { return filepath.Join(l.Dir, "machines", name+".json") }
func (l Layout) nodeVar(node string) string { return filepath.Join(l.Dir, "nodes", node, "var") }

// volumes has a folder for each node with the persistent volumes on it. Nodes see it under the same path.
func (l Layout) volumes() string { return filepath.Join(l.Dir, "volumes") }

// Log is the log file of a component.
func (l Layout) Log(component string) string { return filepath.Join(l.Dir, "log", component+".log") }

// Kubeconfig is the file that lets its reader do everything in the cluster.
func (l Layout) Kubeconfig() string { return filepath.Join(l.Dir, "kubeconfig") }

// AuditLog is the API server's record of all requests.
func (l Layout) AuditLog() string { return l.Log("audit") }

// ten returns the prefix 10.b.c.d/bits.
func ten(bits, b, c, d int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(b), byte(c), byte(d)}), bits)
}
