// Package simulate describes nodes and kubelets that are only played, by KWOK, so that one small machine can show a cluster of
// thousands of pods.
//
// The stages in the folder stages play a kubelet as closely as a controller can tell: containers start and report image and
// container IDs; a container whose image changed stops, is not ready, and starts again beside its undisturbed neighbours; the
// Ready condition follows the containers and the readiness gates in both directions; conditions of other writers are left
// alone; a pod that finalizers hold back stops first and goes when they are gone; generations are reported as observed.
//
// What is not played: probes (a container that runs is ready), hooks, volumes, and the order of starting. Annotations of a pod
// slow it down, each with a duration such as 2s: lab.kruise.io/start-delay, lab.kruise.io/restart-delay,
// lab.kruise.io/stop-delay, and lab.kruise.io/run-for for pods that are to end by themselves. A change to the pod begins a
// running delay anew. An image with the tag "absent" cannot be pulled; a tag that ends in "-same" is the same image as the tag
// without that ending.
package simulate

import (
	"embed"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// Label and LabelValue mark a simulated node. Pods that must really run keep away from nodes with it.
const (
	Label      = "type"
	LabelValue = "kwok"
)

// Addresses of simulated pods and nodes come from the range that is set aside for benchmarks (RFC 2544), so none of them can
// be a real host.
const (
	podRange   = "198.18.0.0/16"
	nodePrefix = "198.19"
	maxNodes   = 250 * 250
)

//go:embed stages
var stages embed.FS

// Nodes makes n simulated nodes, spread over zones z1, z2, … in turn (at least one). Each can hold 1000 pods and has room for
// them; none has a taint of its own.
func Nodes(n, zones int) ([]*corev1.Node, error) {
	if n < 0 || n > maxNodes {
		return nil, fmt.Errorf("number of simulated nodes %d: must be between 0 and %d", n, maxNodes)
	}
	if zones < 1 {
		return nil, fmt.Errorf("number of zones %d: must be at least 1", zones)
	}
	nodes := make([]*corev1.Node, 0, n)
	for i := range n {
		nodes = append(nodes, node(i, zones))
	}
	return nodes, nil
}

func node(i, zones int) *corev1.Node {
	name := fmt.Sprintf("sim-%d", i+1)
	room := corev1.ResourceList{
		corev1.ResourceCPU:              resource.MustParse("1000"),
		corev1.ResourceMemory:           resource.MustParse("4Ti"),
		corev1.ResourceEphemeralStorage: resource.MustParse("4Ti"),
		corev1.ResourcePods:             resource.MustParse("1000"),
	}
	return &corev1.Node{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Node"},
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{
				Label:                          LabelValue,
				corev1.LabelHostname:           name,
				corev1.LabelOSStable:           "linux",
				corev1.LabelArchStable:         "amd64",
				corev1.LabelInstanceTypeStable: "simulated",
				corev1.LabelTopologyRegion:     "lab",
				corev1.LabelTopologyZone:       fmt.Sprintf("z%d", i%zones+1),
			},
		},
		Status: corev1.NodeStatus{
			Capacity:    room,
			Allocatable: room,
			Addresses: []corev1.NodeAddress{
				{Type: corev1.NodeInternalIP, Address: fmt.Sprintf("%s.%d.%d", nodePrefix, i/250, i%250+1)},
				{Type: corev1.NodeHostName, Address: name},
			},
			NodeInfo: corev1.NodeSystemInfo{
				Architecture: "amd64", OperatingSystem: "linux",
				OSImage: "simulated", KernelVersion: "simulated", KubeletVersion: "v0.0.0-simulated", ContainerRuntimeVersion: "simulated://0",
			},
		},
	}
}

// Config is the configuration file for KWOK: its options and the stages.
func Config() ([]byte, error) {
	documents := []string{options()}
	query, err := read("prelude.jq")
	if err != nil {
		return nil, err
	}
	template, err := read("prelude.tmpl")
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"node.yaml", "pod.yaml"} {
		text, err := read(name)
		if err != nil {
			return nil, err
		}
		for i, document := range strings.Split(text, "\n---\n") {
			stage, err := expand(document, query, template)
			if err != nil {
				return nil, fmt.Errorf("stage %d of %s: %w", i+1, name, err)
			}
			documents = append(documents, stage)
		}
	}
	return []byte(strings.Join(documents, "---\n")), nil
}

func read(name string) (string, error) {
	text, err := stages.ReadFile("stages/" + name)
	if err != nil {
		return "", fmt.Errorf("read the simulation's stages: %w", err)
	}
	return string(text), nil
}

// expand puts the shared definitions in front of every query and every template that uses them, since KWOK reads each for
// itself.
func expand(document, query, template string) (string, error) {
	var stage struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       map[string]any `json:"spec"`
	}
	if err := yaml.UnmarshalStrict([]byte(document), &stage); err != nil {
		return "", err
	}
	rewrite(stage.Spec, func(field, text string) string {
		switch {
		case field == "key":
			return query + text
		case field == "template" && strings.HasPrefix(text, "{{ template "):
			return template + text
		}
		return text
	})
	out, err := yaml.Marshal(stage)
	return string(out), err
}

// rewrite replaces every text below value by what change makes of it.
func rewrite(value any, change func(field, text string) string) {
	switch value := value.(type) {
	case map[string]any:
		for field, inner := range value {
			if text, ok := inner.(string); ok {
				value[field] = change(field, text)
				continue
			}
			rewrite(inner, change)
		}
	case []any:
		for _, inner := range value {
			rewrite(inner, change)
		}
	}
}

func options() string {
	return strings.Join([]string{
		"apiVersion: config.kwok.x-k8s.io/v1alpha1",
		"kind: KwokConfiguration",
		"options:",
		"  manageNodesWithLabelSelector: " + Label + "=" + LabelValue,
		"  cidr: " + strconv.Quote(podRange),
		"  nodeLeaseParallelism: 4",
		"  nodePlayStageParallelism: 4",
		"  podPlayStageParallelism: 16",
		"  podsOnNodeSyncParallelism: 4",
		"",
	}, "\n")
}

// Heartbeat is how often a kubelet renews the lease that says that its node is alive.
const Heartbeat = 10 * time.Second

// Args are the arguments of the kwok program. Each node renews its lease once in a heartbeat, of whole seconds; thousands of
// nodes that do it as often as kubelets keep an API server busy with nothing else.
func Args(kubeconfig, config string, heartbeat time.Duration) []string {
	// Four renewals fit into the duration of a lease, as with a kubelet.
	return []string{"--kubeconfig", kubeconfig, "--config", config, fmt.Sprintf("--node-lease-duration-seconds=%d", 4*int(heartbeat.Seconds()))}
}
