package cli

import (
	"os"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/machine"
)

// newKeepMachine returns the command that kruise-lab runs itself with, to keep the programs of one machine running.
func newKeepMachine() *cobra.Command {
	return &cobra.Command{
		Use:    machine.Command + " SPEC",
		Short:  "Keep the programs of a machine running (for internal use)",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			spec, err := machine.Read(args[0])
			if err != nil {
				return err
			}
			// The first file after the three standard ones is the permission to go on.
			const firstExtraFile = 3
			return machine.Keep(cmd.Context(), spec, os.NewFile(firstExtraFile, "permit"), cmd.ErrOrStderr())
		},
	}
}
