package cluster

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"kruise.io/kruise/lab/images"
)

func TestANodeFindsItsFilesUnderTheUsualPaths(t *testing.T) {
	l := Layout{Name: "kruise", Index: 1, Dir: t.TempDir()}
	if err := writePKI(l, 2); err != nil {
		t.Fatal(err)
	}
	if err := writeNode(l, 2); err != nil {
		t.Fatal(err)
	}
	for file, wants := range map[string][]string{
		"lib/kubelet/config.yaml":                       {"10.97.0.10", "/kruise-lab-kruise-node-2", "failCgroupV1: false"},
		"lib/kubelet/kubeconfig":                        {"https://10.77.1.2:6443"},
		"lib/kubelet/pki/kubelet.crt":                   {"CERTIFICATE"},
		"lib/kubelet/pki/kubelet.key":                   {"PRIVATE KEY"},
		"lib/kruise-lab/containerd.toml":                {images.Pause, "restrict_oom_score_adj = true"},
		"lib/kruise-lab/cni/10-lab.conflist":            {"10.81.2.0/24"},
		"lib/kruise-lab/certs.d/_default/hosts.toml":    {`server = "http://10.77.1.2:5000"`},
		"lib/kruise-lab/certs.d/private.lab/hosts.toml": {`server = "http://10.77.1.2:5001"`},
		"lib/kruise-lab/kube-proxy.yaml":                {"clusterCIDR: 10.81.0.0/16", "bindAddress: 10.77.1.102"},
	} {
		data, err := os.ReadFile(filepath.Join(l.nodeVar("node-2"), file))
		if err != nil {
			t.Error(err)
			continue
		}
		for _, want := range wants {
			if !strings.Contains(string(data), want) {
				t.Errorf("%s does not contain %q", file, want)
			}
		}
	}
	if target, err := os.Readlink(filepath.Join(l.nodeVar("node-2"), "run")); err != nil || target != "/run" {
		t.Errorf("/var/run leads to %q, %v", target, err)
	}
	if err := writeNode(l, 2); err != nil {
		t.Errorf("a node that was there before cannot be written again: %v", err)
	}
}

func TestEveryConfigurationFileIsWellFormed(t *testing.T) {
	entries, err := templates.ReadDir("templates")
	if err != nil {
		t.Fatal(err)
	}
	l := Layout{Name: "kruise"}
	for _, entry := range entries {
		text, err := render(entry.Name(), settings{
			Address: l.Address(), Cgroup: "c", Dir: "/d", DNS: l.DNSAddress(), Kubeconfig: "/k", Pause: "p", Pods: l.PodRange(), Registry: l.Registry(),
		})
		if err != nil {
			t.Error(err)
			continue
		}
		if strings.Contains(string(text), "<no value>") || strings.Contains(string(text), "{{") {
			t.Errorf("%s is not filled in:\n%s", entry.Name(), text)
		}
		if extension := filepath.Ext(entry.Name()); extension != ".yaml" && extension != ".conflist" {
			continue
		}
		for document := range strings.SplitSeq(string(text), "\n---\n") {
			if err := yaml.UnmarshalStrict([]byte(document), &map[string]any{}); err != nil {
				t.Errorf("%s: %v", entry.Name(), err)
			}
		}
	}
}

func TestVolumesAreSeenByTheirNodeWhereverTheLabIs(t *testing.T) {
	for dir, hidden := range map[string]bool{"/var/lib/kruise-lab/kruise": true, "/srv/kruise": false, "/various": false} {
		l := Layout{Name: "kruise", Dir: dir}
		found := false
		for _, mount := range nodeMounts(l, State{Bin: "/bin"}, "node-1") {
			if mount.Bind == filepath.Join(dir, "volumes/node-1") {
				found = true
			}
		}
		if found != hidden {
			t.Errorf("volumes in %s are mounted: %t, want %t", dir, found, hidden)
		}
	}
}
