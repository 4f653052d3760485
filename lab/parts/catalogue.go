package parts

import (
	"fmt"
	"strings"
)

// source says where a part comes from and how it is built.
type source struct {
	part Part
	// module is the folder under modules/ that pins it.
	module string
	// upstream is the Go module whose version is the version of the part.
	upstream string
	// pkg is the main package.
	pkg string
	// tags are build tags. The one part with seccomp is also the one that needs C.
	tags string
	// stamp returns the linker's -X settings that make the program report its version.
	stamp func(version string) []string
}

const kubernetesModule = "k8s.io/kubernetes"

// catalogue is the list of all parts.
func catalogue() []source {
	const (
		etcd         = "go.etcd.io/etcd/server/v3"
		containerd   = "github.com/containerd/containerd/v2"
		runc         = "github.com/opencontainers/runc"
		cni          = "github.com/containernetworking/plugins"
		distribution = "github.com/distribution/distribution/v3"
		coredns      = "github.com/coredns/coredns"
		kwok         = "sigs.k8s.io/kwok"
		helm         = "helm.sh/helm/v4"
		// These snapshotters need C libraries or tools and are of no use here.
		lean = "no_btrfs,no_devmapper,no_zfs"
	)
	kubernetes := func(part Part) source {
		return source{part: part, module: "kubernetes", upstream: kubernetesModule,
			pkg: kubernetesModule + "/cmd/" + string(part), stamp: stampKubernetes}
	}
	plugin := func(part Part, kind string) source {
		return source{part: part, module: "cni", upstream: cni, pkg: cni + "/plugins/" + kind + "/" + string(part),
			stamp: set(cni + "/pkg/utils/buildversion.BuildVersion")}
	}
	return []source{
		{part: Etcd, module: "etcd", upstream: etcd, pkg: etcd, stamp: set()},
		kubernetes(KubeAPIServer),
		kubernetes(KubeControllerManager),
		kubernetes(KubeScheduler),
		kubernetes(Kubelet),
		kubernetes(KubeProxy),
		kubernetes(Kubectl),
		{part: Containerd, module: "containerd", upstream: containerd, pkg: containerd + "/cmd/containerd", tags: lean, stamp: set(containerd + "/version.Version")},
		{part: ContainerdShim, module: "containerd", upstream: containerd, pkg: containerd + "/cmd/containerd-shim-runc-v2", tags: lean, stamp: set(containerd + "/version.Version")},
		{part: Ctr, module: "containerd", upstream: containerd, pkg: containerd + "/cmd/ctr", tags: lean, stamp: set(containerd + "/version.Version")},
		{part: Runc, module: "runc", upstream: runc, pkg: runc, tags: "seccomp", stamp: set()},
		plugin(PTP, "main"),
		plugin(Loopback, "main"),
		plugin(HostLocal, "ipam"),
		plugin(Portmap, "meta"),
		{part: Registry, module: "registry", upstream: distribution, pkg: distribution + "/cmd/registry", stamp: set(distribution + "/version.version")},
		// Our own main package in the nested module: CoreDNS with the plugins that a lab uses.
		{part: CoreDNS, module: "coredns", upstream: coredns, pkg: "kruise.io/kruise/lab/parts/modules/coredns", stamp: set()},
		{part: Kwok, module: "kwok", upstream: kwok, pkg: kwok + "/cmd/kwok", stamp: set(kwok + "/pkg/consts.Version")},
		{part: Helm, module: "helm", upstream: helm, pkg: helm + "/cmd/helm", stamp: set(helm + "/internal/version.version")},
	}
}

// needsC tells whether a part is partly written in C: runc enters namespaces before Go starts, and refuses every
// container when it is built without seccomp.
func (s source) needsC() bool { return s.tags == "seccomp" }

// set returns a stamp that gives the version to some variables.
func set(variables ...string) func(string) []string {
	return func(version string) []string {
		var settings []string
		for _, variable := range variables {
			settings = append(settings, variable+"="+version)
		}
		return settings
	}
}

// stampKubernetes makes a program of Kubernetes report its version. A kubelet without it reports one that the
// API server and other tools take for a very old one.
func stampKubernetes(version string) []string {
	var settings []string
	major, minor, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ = strings.Cut(minor, ".")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		settings = append(settings, pkg+".gitVersion="+version, pkg+".gitMajor="+major, pkg+".gitMinor="+minor, pkg+".gitTreeState=clean")
	}
	return settings
}

// ldflags returns what the linker is told: no symbol tables, and the version.
func (s source) ldflags(version string) string {
	flags := []string{"-s", "-w"}
	for _, setting := range s.stamp(version) {
		flags = append(flags, fmt.Sprintf("-X %s", setting))
	}
	return strings.Join(flags, " ")
}
