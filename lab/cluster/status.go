package cluster

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"

	"kruise.io/kruise/lab/machine"
	"kruise.io/kruise/lab/simulate"
)

// Component is one program of a lab, and what it does at the moment.
type Component struct {
	Machine string
	Name    string
	PID     int
	Age     time.Duration
}

// Components lists the programs that a lab should have, with a process ID of 0 for those that do not run.
func Components(l Layout, state State) ([]Component, error) {
	var all []Component
	var names []string
	for name := range state.Machines {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		spec, err := machine.Read(l.machine(name))
		if err != nil {
			return nil, err
		}
		running, err := state.Machines[name].Children()
		if err != nil {
			return nil, err
		}
		for _, p := range spec.Programs {
			component := Component{Machine: name, Name: p.Name}
			for _, child := range running {
				if strings.HasSuffix(p.Command[0], "/"+child.Program) {
					component.PID, component.Age = child.PID, child.Age
				}
			}
			all = append(all, component)
		}
	}
	return all, nil
}

// PrintStatus writes tables of components and nodes for people. It returns an error when the lab is not healthy.
func PrintStatus(ctx context.Context, out io.Writer, l Layout, state State) error {
	components, err := Components(l, state)
	if err != nil {
		return err
	}
	if len(components) == 0 {
		return fmt.Errorf("the lab %s is down: kruise-lab up starts it again", l.Name)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "COMPONENT\tMACHINE\tSTATE\tPID\tAGE")
	dead := 0
	for _, c := range components {
		if c.PID == 0 {
			dead++
			fmt.Fprintf(table, "%s\t%s\tdead\t-\t-\n", c.Name, c.Machine)
			continue
		}
		fmt.Fprintf(table, "%s\t%s\trunning\t%d\t%s\n", c.Name, c.Machine, c.PID, duration.HumanDuration(c.Age))
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	if dead > 0 {
		return fmt.Errorf("%d of %d components do not run: kruise-lab up repairs what can be repaired", dead, len(components))
	}
	return printNodes(ctx, out, l)
}

func printNodes(ctx context.Context, out io.Writer, l Layout) error {
	client, err := Client(l)
	if err != nil {
		return err
	}
	version, err := client.Discovery().ServerVersion()
	if err != nil {
		return fmt.Errorf("asking the API server: %w", err)
	}
	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing nodes: %w", err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(table, "\nNODE\tREADY\tADDRESS\tZONE\tKUBELET\tRUNTIME\n")
	simulated, ready := 0, 0
	for _, node := range nodes.Items {
		if node.Labels[simulate.Label] == simulate.LabelValue {
			simulated++
			if nodeReady(&node) {
				ready++
			}
			continue
		}
		address := ""
		if len(node.Status.Addresses) > 0 {
			address = node.Status.Addresses[0].Address
		}
		fmt.Fprintf(table, "%s\t%t\t%s\t%s\t%s\t%s\n", node.Name, nodeReady(&node), address,
			node.Labels[corev1.LabelTopologyZone], node.Status.NodeInfo.KubeletVersion, node.Status.NodeInfo.ContainerRuntimeVersion)
	}
	if simulated > 0 {
		fmt.Fprintf(table, "sim-...\t%d of %d\t\t\t\tsimulated\n", ready, simulated)
	}
	fmt.Fprintf(table, "\nAPI server\t%s (%s)\nkubeconfig\t%s\n", l.APIServer(), version.GitVersion, l.Kubeconfig())
	if err := table.Flush(); err != nil {
		return fmt.Errorf("printing the status: %w", err)
	}
	return nil
}
