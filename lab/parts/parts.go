// Package parts builds the programs that a Kubernetes cluster is made of, from Go modules and with nothing but the Go
// toolchain (and a C compiler for runc). It promises that what it returns is exactly what the go.mod and go.sum in
// modules/ pin, that a program is built once for each combination of version, pins, flags and toolchain and found in
// the cache afterwards, and that two builds at once, or one that is interrupted, never leave a broken program behind.
//
// Each upstream project is a Go module of its own under modules/, so that no dependency of Kubernetes or containerd
// ever meets the dependencies of the product.
package parts

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kruise.io/kruise/lab/preflight"
	"kruise.io/kruise/lab/progress"
)

// Part is one program, by the name of its binary.
type Part string

// The parts of a lab.
const (
	Etcd                  Part = "etcd"
	KubeAPIServer         Part = "kube-apiserver"
	KubeControllerManager Part = "kube-controller-manager"
	KubeScheduler         Part = "kube-scheduler"
	Kubelet               Part = "kubelet"
	KubeProxy             Part = "kube-proxy"
	Kubectl               Part = "kubectl"
	Containerd            Part = "containerd"
	ContainerdShim        Part = "containerd-shim-runc-v2"
	Ctr                   Part = "ctr"
	Runc                  Part = "runc"
	PTP                   Part = "ptp"
	Loopback              Part = "loopback"
	HostLocal             Part = "host-local"
	Portmap               Part = "portmap"
	Registry              Part = "registry"
	CoreDNS               Part = "coredns"
	Kwok                  Part = "kwok"
	Helm                  Part = "helm"
)

// ControlPlane returns the parts that every cluster needs, and kubectl.
func ControlPlane() []Part {
	return []Part{Etcd, KubeAPIServer, KubeControllerManager, KubeScheduler, Kubectl}
}

// Nodes returns what real nodes need on top of the control plane.
func Nodes() []Part {
	return []Part{Kubelet, KubeProxy, Containerd, ContainerdShim, Ctr, Runc, PTP, Loopback, HostLocal, Portmap, Registry, CoreDNS}
}

// All returns every part.
func All() []Part {
	var all []Part
	for _, s := range catalogue() {
		all = append(all, s.part)
	}
	return all
}

// Options say where parts come from and go to.
type Options struct {
	// Root is the working copy of the repository, whose nested modules pin the parts.
	Root string
	// Cache is the folder for what is built. Empty: DefaultCache.
	Cache string
	// Kubernetes is the version of Kubernetes, such as 1.35.4. Empty: the one that the repository pins.
	Kubernetes string
	// Progress hears about builds. Nothing is said about what is in the cache already.
	Progress *progress.Reporter
}

// DefaultCache returns the folder of the lab in the user's cache folder.
func DefaultCache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the cache folder of this user: %w", err)
	}
	return filepath.Join(dir, "kruise-lab"), nil
}

// Ensure builds those parts that the cache does not have and returns a folder that has all of them. The folder may
// hold other parts of the same versions as well. It is stable: while the pins stay as they are, so does its path.
func Ensure(ctx context.Context, opts Options, wanted ...Part) (string, error) {
	b, err := newBuilder(ctx, opts, catalogue())
	if err != nil {
		return "", err
	}
	return b.ensure(ctx, wanted)
}

// ensure is Ensure once the pins are known.
func (b *builder) ensure(ctx context.Context, wanted []Part) (string, error) {
	missing, err := b.missing(wanted)
	if err != nil {
		return "", err
	}
	if err := b.checkMachine(ctx, missing); err != nil {
		return "", err
	}
	if slices.ContainsFunc(missing, func(s source) bool { return s.upstream == kubernetesModule }) {
		b.opts.Progress.Say("Kubernetes is not in the cache yet: building it takes some minutes, once")
	}
	for _, s := range missing {
		if err := b.build(ctx, s); err != nil {
			return "", err
		}
	}
	return b.link(wanted)
}

// MissingTools returns what this machine lacks to build those parts that the cache does not have.
func MissingTools(ctx context.Context, opts Options, wanted ...Part) ([]preflight.Tool, error) {
	b, err := newBuilder(ctx, opts, catalogue())
	if err != nil {
		return nil, err
	}
	missing, err := b.missing(wanted)
	if err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(missing, source.needsC) {
		return nil, nil
	}
	return preflight.Missing(ctx, preflight.ForC()), nil
}

// Named turns names, as a user types them, into parts.
func Named(names ...string) ([]Part, error) {
	all := All()
	var found []Part
	for _, name := range names {
		if !slices.Contains(all, Part(name)) {
			return nil, fmt.Errorf("there is no part %q: the parts are %s", name, join(all))
		}
		found = append(found, Part(name))
	}
	return found, nil
}

func join(parts []Part) string {
	names := make([]string, 0, len(parts))
	for _, part := range parts {
		names = append(names, string(part))
	}
	return strings.Join(names, ", ")
}
