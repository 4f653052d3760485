// Package daemon is kruise-daemon, the agent of a node: the list of everything that it does there.
//
// It promises that it looks at the objects of its own node alone, and that the list is complete: a feature runs if and only
// if it stands in the list, its gate is on and its kind is served. /healthz is ok once the process has seen all objects of
// its node; it stays ok while a container runtime is away, as restarting the daemon would not bring it back.
package daemon

import (
	"context"
	"errors"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/kit/program"
)

// Name is the name of the program and its user agent.
const Name = "kruise-daemon"

// Options is what the flags and the environment say.
type Options struct {
	program.Options

	// Addr serves /metrics and /healthz. "0" serves neither.
	Addr string
	// SocketRoot is the folder below which runtimes have their sockets, SocketFile a path below it that is tried first.
	SocketRoot, SocketFile string
	// Node is the name of the node, NodeAddress its address.
	Node, NodeAddress string
	// PullWorkers is how many pulls of images run at a time; 0 and less is no limit.
	PullWorkers int
	// PluginConfigFile names kubelet's plugins for credentials, which are in PluginFolder.
	PluginConfigFile, PluginFolder string
	// Gates are the feature gates.
	Gates Gates
}

// Command makes the command kruise-daemon. The environment is read through getenv.
func Command(getenv func(string) string) (*cobra.Command, error) {
	gates, err := NewGateSet()
	if err != nil {
		return nil, err
	}
	o := &Options{Options: program.NewOptions(":10222"), Node: getenv("NODE_NAME"), NodeAddress: getenv("NODE_IP")}
	return program.Command(program.Program{
		Name:    Name,
		Short:   "Works on one node for kruise-manager: restarts containers and pulls images, beside kubelet.",
		Options: &o.Options,
		Ignored: ignoredFlags(),
		Flags: func(flags *pflag.FlagSet) {
			gates.AddFlag(flags)
			flags.StringVar(&o.Addr, "addr", ":10221", "Address that serves /metrics and /healthz; 0 serves neither.")
			flags.StringVar(&o.SocketRoot, "socket-root", "/hostvarrun", "Folder below which the container runtimes of the node have their sockets.")
			flags.StringVar(&o.SocketFile, "socket-file", "", "Path below --socket-root of the socket that is tried before all others, such as containerd/containerd.sock.")
			flags.IntVar(&o.PullWorkers, "max-workers-for-pull-image", -1, "Images that are pulled at a time; 0 and less is no limit.")
			flags.StringVar(&o.PluginConfigFile, "plugin-config-file", "/kruise/CredentialProviderPlugin.yaml",
				"File with kubelet's CredentialProviderConfig, whose plugins are asked for credentials. No file, no plugins. It is read at the start.")
			flags.StringVar(&o.PluginFolder, "plugin-bin-dir", "/kruise/plugins", "Folder of those plugins.")
		},
		Validate: func() error {
			if o.Node == "" {
				return errors.New("environment variable NODE_NAME: must be the name of the node that this process runs on")
			}
			return nil
		},
		Run: func(ctx context.Context, config *rest.Config) error {
			for _, warning := range gates.Warnings() {
				log.FromContext(ctx).Info("WARNING: " + warning)
			}
			o.Gates = ReadGates(gates)
			return Run(ctx, config, o)
		},
	}, getenv), nil
}

// ignoredFlags lists flags with which OpenKruise is deployed and that mean nothing here.
func ignoredFlags() []program.IgnoredFlag {
	return []program.IgnoredFlag{
		{Name: "logtostderr", Bool: true, Why: "logs always go to the standard error stream"},
	}
}
