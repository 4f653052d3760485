package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/parts"
)

// ProvisionerCommand is the name of the command of kruise-lab that serves persistent volumes.
const ProvisionerCommand = "provisioner"

// searchPath is where programs of the lab look for others: the parts first, and then what the host has.
func searchPath(bin string) string {
	return bin + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}

// controlPlaneMachine describes the machine that runs the control plane and writes the configuration of its programs.
func controlPlaneMachine(l Layout, state State, executable string) (machine.Spec, error) {
	for _, dir := range []string{l.etc(""), filepath.Join(l.Dir, "etcd"), l.volumes()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return machine.Spec{}, fmt.Errorf("making a folder of the lab: %w", err)
		}
	}
	if err := writeConfig(l.etc("audit-policy.yaml"), "audit-policy.yaml", settings{}); err != nil {
		return machine.Spec{}, err
	}
	ready := []machine.Condition{{URL: l.APIServer() + "/readyz"}}
	// These have their rights from objects in the cluster and would stumble for a while without them.
	furnished := append([]machine.Condition{{File: l.furnished()}}, ready...)
	apiServer := program(l, state.Bin, parts.KubeAPIServer, "", []machine.Condition{{Socket: l.etcdSocket()}}, apiServerFlags(l, state.Audit)...)
	// It waits for its clients to leave, up to half a minute, and all that it knows is in etcd.
	apiServer.Abrupt = true
	spec := machine.Spec{
		Name:     controlPlane,
		Isolated: !l.Shared,
		Path:     searchPath(state.Bin),
		Programs: []machine.Program{
			program(l, state.Bin, parts.Etcd, "", nil, etcdFlags(l)...),
			apiServer,
			program(l, state.Bin, parts.KubeControllerManager, "", ready, controllerManagerFlags(l, state)...),
			program(l, state.Bin, parts.KubeScheduler, "", ready, schedulerFlags(l)...),
			{
				Name:    "provisioner",
				Command: []string{executable, ProvisionerCommand, "--kubeconfig=" + l.pki("provisioner.kubeconfig"), "--directory=" + l.volumes()},
				Log:     l.Log("provisioner"),
				After:   furnished,
			},
		},
	}
	if l.Shared {
		return spec, nil
	}
	err := writeConfig(l.etc("kube-proxy.yaml"), "kube-proxy.yaml",
		settings{Kubeconfig: l.pki("proxy.kubeconfig"), Address: l.Address(), Pods: l.PodRange()})
	if err != nil {
		return machine.Spec{}, err
	}
	registries, err := registries(l, state)
	if err != nil {
		return machine.Spec{}, err
	}
	// This machine forwards between nodes, and its kube-proxy lets the API server reach services, such as those of
	// webhooks. A kube-proxy waits half a minute for a node of its name, so this one goes by the name of the first.
	// Nobody is told of a shorter way, as there is none.
	spec.Sysctls = map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/send_redirects": "0", "net/ipv4/conf/default/send_redirects": "0",
	}
	err = writeConfig(l.etc("Corefile"), "Corefile", settings{Kubeconfig: l.pki("dns.kubeconfig")})
	if err != nil {
		return machine.Spec{}, err
	}
	spec.Programs = append(append(spec.Programs, registries...),
		program(l, state.Bin, parts.CoreDNS, "", furnished, "-conf="+l.etc("Corefile")),
		program(l, state.Bin, parts.KubeProxy, "", ready,
			"--config="+l.etc("kube-proxy.yaml"), "--hostname-override="+l.NodeName(1)),
	)
	return spec, nil
}

// registries are one that everybody may pull from, and one that wants a user and a password for the very same images.
func registries(l Layout, state State) ([]machine.Program, error) {
	if err := writeConfig(l.etc("users.htpasswd"), "users.htpasswd", settings{}); err != nil {
		return nil, err
	}
	var programs []machine.Program
	for _, r := range []struct{ name, address, users string }{
		{"", l.Registry(), ""},
		{"private", l.privateRegistry(), l.etc("users.htpasswd")},
	} {
		p := program(l, state.Bin, parts.Registry, r.name, nil)
		file := l.etc(p.Name + ".yaml")
		if err := writeConfig(file, "registry.yaml", settings{Registry: r.address, Dir: filepath.Join(l.Dir, "registry"), Users: r.users}); err != nil {
			return nil, err
		}
		p.Command = append(p.Command, "serve", file)
		p.Env = []string{"OTEL_TRACES_EXPORTER=none"}
		programs = append(programs, p)
	}
	return programs, nil
}

// program describes a part that runs on a machine. The log of a program of a node has the node's name in it.
func program(l Layout, bin string, part parts.Part, node string, after []machine.Condition, args ...string) machine.Program {
	component := string(part)
	if node != "" {
		component += "-" + node
	}
	return machine.Program{
		Name:    component,
		Command: append([]string{filepath.Join(bin, string(part))}, args...),
		Log:     l.Log(component),
		After:   after,
	}
}

func etcdFlags(l Layout) []string {
	// Sockets in a folder of the lab need no port and keep everybody else out. Nothing here has to survive a power
	// cut, so writes need not wait for the disk.
	return []string{
		"--data-dir=" + filepath.Join(l.Dir, "etcd"),
		"--listen-client-urls=unix://" + l.etcdSocket(),
		"--advertise-client-urls=unix://" + l.etcdSocket(),
		"--listen-peer-urls=unix://" + l.etcdSocket() + ".peer",
		"--initial-advertise-peer-urls=unix://" + l.etcdSocket() + ".peer",
		"--initial-cluster=default=unix://" + l.etcdSocket() + ".peer",
		"--unsafe-no-fsync",
		"--quota-backend-bytes=8000000000",
		"--log-level=warn",
	}
}

func apiServerFlags(l Layout, audit bool) []string {
	flags := []string{
		"--etcd-servers=unix://" + l.etcdSocket(),
		"--bind-address=" + l.Address().String(),
		fmt.Sprintf("--secure-port=%d", l.port(apiPort, 0)),
		"--advertise-address=" + l.Address().String(),
		"--service-cluster-ip-range=" + l.ServiceRange().String(),
		"--tls-cert-file=" + l.pki("apiserver.crt"),
		"--tls-private-key-file=" + l.pki("apiserver.key"),
		"--client-ca-file=" + l.pki("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + l.pki("service-account.pub"),
		"--service-account-signing-key-file=" + l.pki("service-account.key"),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--kubelet-client-certificate=" + l.pki("apiserver-kubelet-client.crt"),
		"--kubelet-client-key=" + l.pki("apiserver-kubelet-client.key"),
		"--kubelet-certificate-authority=" + l.pki("ca.crt"),
		"--kubelet-preferred-address-types=InternalIP",
		"--requestheader-client-ca-file=" + l.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-username-headers=X-Remote-User",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--proxy-client-cert-file=" + l.pki("front-proxy-client.crt"),
		"--proxy-client-key-file=" + l.pki("front-proxy-client.key"),
		// Load tests are to find the limits of what they test, not these.
		"--max-requests-inflight=3000",
		"--max-mutating-requests-inflight=1500",
	}
	if l.Shared {
		// A loopback address is no valid endpoint of the kubernetes service, and there is no pod that would use it.
		flags = append(flags, "--endpoint-reconciler-type=none")
	}
	if audit {
		flags = append(flags, "--audit-policy-file="+l.etc("audit-policy.yaml"), "--audit-log-path="+l.AuditLog(),
			"--audit-log-maxsize="+strconv.Itoa(longestAuditLog))
	}
	return flags
}

// longestAuditLog is how long the record of requests may become, in megabytes, before the API server puts it aside and begins a new
// one. Whoever reads it while it grows would miss the end of the old one, so there is one file as long as any lab lives.
const longestAuditLog = 1 << 20

func controllerManagerFlags(l Layout, state State) []string {
	return append(clientFlags(l, "controller-manager", l.port(10257, 1)),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file="+l.pki("service-account.key"),
		"--root-ca-file="+l.pki("ca.crt"),
		"--cluster-signing-cert-file="+l.pki("ca.crt"),
		"--cluster-signing-key-file="+l.pki("ca.key"),
		"--service-cluster-ip-range="+l.ServiceRange().String(),
		"--flex-volume-plugin-dir="+filepath.Join(l.Dir, "volume-plugins"),
		"--node-monitor-grace-period="+state.patience().String(),
	)
}

func schedulerFlags(l Layout) []string {
	return clientFlags(l, "scheduler", l.port(10259, 2))
}

// clientFlags are shared by the controller manager and the scheduler. There is one of each, so none is elected.
func clientFlags(l Layout, user string, port uint16) []string {
	kubeconfig := l.pki(user + ".kubeconfig")
	return []string{
		"--kubeconfig=" + kubeconfig,
		"--authentication-kubeconfig=" + kubeconfig,
		"--authorization-kubeconfig=" + kubeconfig,
		"--bind-address=127.0.0.1",
		fmt.Sprintf("--secure-port=%d", port),
		"--leader-elect=false",
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
	}
}
