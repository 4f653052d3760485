// Package kubectl is the plugin of kubectl for workloads of ours: kubectl kruise.
//
// Its commands are thin: they read objects, ask plan what the controller would, and print. They promise to write nothing to
// the cluster, and to print in plain text that a terminal, a log and a chat show alike.
package kubectl

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"kruise.io/kruise/kubectl/kinds"
	"kruise.io/kruise/kubectl/live"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/workload"
)

// Name is the name of the program. kubectl finds it by that.
const Name = "kubectl-kruise"

// plugin is what the commands share.
type plugin struct {
	genericiooptions.IOStreams
	flags *genericclioptions.ConfigFlags
	now   func() time.Time
	gates string // of the manager
}

// Command makes the command. now is the clock: pods are judged by it.
func Command(streams genericiooptions.IOStreams, now func() time.Time) *cobra.Command {
	p := &plugin{IOStreams: streams, flags: genericclioptions.NewConfigFlags(true), now: now}
	root := &cobra.Command{
		Use:   Name,
		Short: "Say why a workload is stuck, and what a change of it would do",
		Long: "kubectl kruise says in words how a workload stands and what it waits for, and plays a rollout to its end before it is begun.\n" +
			"It only reads.",
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl kruise"},
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetOut(streams.Out)
	root.SetErr(streams.ErrOut)
	p.flags.AddFlags(root.PersistentFlags())
	root.PersistentFlags().StringVar(&p.gates, "feature-gates", "", "feature gates that kruise-manager runs with (value featureGates of its chart), which decide how it acts")
	root.AddCommand(p.explain(), p.plan(), p.version())
	return root
}

func (p *plugin) version() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of this program", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			version := "unknown"
			if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
				version = info.Main.Version
			}
			_, err := fmt.Fprintln(p.Out, version)
			return err
		},
	}
}

// cluster connects to the cluster that the flags name, and finds the namespace.
func (p *plugin) cluster() (*live.Cluster, string, error) {
	namespace, _, err := p.flags.ToRawKubeConfigLoader().Namespace()
	if err != nil {
		return nil, "", err
	}
	config, err := p.flags.ToRESTConfig()
	if err != nil {
		return nil, "", err
	}
	cluster, err := live.Connect(config)
	return cluster, namespace, err
}

// read reads the workload that arguments name, and what belongs to it.
func (p *plugin) read(ctx context.Context, args []string) (kinds.Workload, kinds.Owned, error) {
	kind, name, err := nameOf(args)
	if err != nil {
		return nil, kinds.Owned{}, err
	}
	cluster, namespace, err := p.cluster()
	if err != nil {
		return nil, kinds.Owned{}, err
	}
	return cluster.Read(ctx, kind, namespace, name)
}

// options are those of the manager, as its feature gates set them: for workloads and for budgets. Gates that decide nothing here may
// be named, too, so that the value of the chart can be passed on as it is.
func (p *plugin) options() (o workload.Options, budgets disruption.Options, err error) {
	asked := map[string]bool{}
	for entry := range strings.SplitSeq(p.gates, ",") {
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		name, value, _ := strings.Cut(entry, "=")
		on, err := strconv.ParseBool(value)
		if err != nil {
			return o, budgets, fmt.Errorf("--feature-gates has %q: it must be GATE=true or GATE=false", entry)
		}
		asked[name] = on
	}
	o.SetGates(func(g workload.Gate) bool {
		on, isAsked := asked[g.Name]
		return isAsked && on || !isAsked && g.On
	})
	deletions, isAsked := asked[disruption.GateDeletions]
	budgets = disruption.Options{
		Deletions: deletions || !isAsked, Changes: asked[disruption.GateChanges], ResizesApart: asked[disruption.GateResizesApart],
	}
	return o, budgets, nil
}
