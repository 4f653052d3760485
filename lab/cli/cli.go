// Package cli is the command line of the lab. Each command reads its flags, calls the package that does the work and
// prints what it returns; nothing is decided here.
package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/checkout"
	"kruise.io/kruise/lab/parts"
	"kruise.io/kruise/lab/preflight"
	"kruise.io/kruise/lab/progress"
)

// New returns the kruise-lab command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use:   "kruise-lab",
		Short: "A real Kubernetes cluster on one Linux machine, built from Go modules",
		// An error of the work is no question about usage, and main prints it.
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newUp(), newDown(), newStatus(), newKubeconfig(), newLogs(), newLoadImage(), newInstall(), newParts(), newKeepMachine(), newProvisioner())
	root.AddCommand(newTrouble()...)
	return root
}

// buildFlags are shared by the commands that may have to build parts.
type buildFlags struct {
	cache        string
	kubernetes   string
	installTools bool
}

func (f *buildFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.cache, "cache", "", "folder for what is built (default: kruise-lab in the user's cache folder)")
	cmd.Flags().StringVar(&f.kubernetes, "kubernetes", "", "version of Kubernetes, such as 1.35.4 (default: the one that the repository pins)")
	cmd.Flags().BoolVar(&f.installTools, "install-tools", false, "install missing tools with apt-get")
}

// options turns the flags into the options of a build that reports to the error stream, so that the output stays
// free for results.
func (f *buildFlags) options(cmd *cobra.Command) (parts.Options, error) {
	root, err := checkout.Root()
	if err != nil {
		return parts.Options{}, err
	}
	return parts.Options{Root: root, Cache: f.cache, Kubernetes: f.kubernetes, Progress: progress.New(cmd.ErrOrStderr())}, nil
}

// requireTools installs missing tools when the user asked for it, and otherwise says which they are.
func (f *buildFlags) requireTools(cmd *cobra.Command, missing []preflight.Tool) error {
	if len(missing) == 0 {
		return nil
	}
	if !f.installTools {
		return preflight.MissingError{Tools: missing}
	}
	cmd.PrintErrf("installing tools: %s\n", preflight.MissingError{Tools: missing}.Names())
	return preflight.Install(cmd.Context(), missing, cmd.ErrOrStderr())
}

func newParts() *cobra.Command {
	var flags buildFlags
	cmd := &cobra.Command{
		Use:   "parts [NAME...]",
		Short: "Build parts of the lab, all of them by default, and print the folder that holds them",
		RunE: func(cmd *cobra.Command, names []string) error {
			wanted, err := parts.Named(names...)
			if err != nil {
				return err
			}
			if len(wanted) == 0 {
				wanted = parts.All()
			}
			opts, err := flags.options(cmd)
			if err != nil {
				return err
			}
			missing, err := parts.MissingTools(cmd.Context(), opts, wanted...)
			if err != nil {
				return err
			}
			if err := flags.requireTools(cmd, missing); err != nil {
				return err
			}
			bin, err := parts.Ensure(cmd.Context(), opts, wanted...)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), bin)
			return err
		},
	}
	flags.add(cmd)
	return cmd
}
