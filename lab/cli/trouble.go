package cli

import (
	"context"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/cluster"
)

// newTrouble returns the commands that make trouble in a lab on purpose, and end it.
func newTrouble() []*cobra.Command {
	return []*cobra.Command{
		troubleCommand("kill COMPONENT", "Kill a component, such as kube-apiserver or kubelet-node-1, which starts again a second later", cluster.Kill),
		troubleCommand("cut NODE", "Cut a node off the network; what runs there goes on", cluster.Cut),
		troubleCommand("mend NODE", "Give a node that was cut off its network back", cluster.Mend),
	}
}

func troubleCommand(use, short string, do func(context.Context, cluster.Layout, cluster.State, string) error) *cobra.Command {
	var lab labFlags
	cmd := &cobra.Command{
		Use:   use,
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			layout, state, err := lab.load()
			if err != nil {
				return err
			}
			return do(cmd.Context(), layout, state, args[0])
		},
	}
	lab.add(cmd)
	return cmd
}
