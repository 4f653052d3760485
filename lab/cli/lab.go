package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/cluster"
	"kruise.io/kruise/lab/progress"
	"kruise.io/kruise/lab/simulate"
)

// labFlags say which lab a command is about.
type labFlags struct {
	name string
	dir  string
}

func (f *labFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.name, "name", "kruise", "name of the lab; labs of different names live side by side")
	cmd.Flags().StringVar(&f.dir, "data-dir", "",
		"folder of the lab (default: /var/lib/kruise-lab/NAME for root, ~/.local/share/kruise-lab/NAME for others)")
}

// folder returns the absolute path of the folder of the lab.
func (f *labFlags) folder() (string, error) {
	if f.dir == "" {
		return cluster.DefaultDir(f.name)
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", fmt.Errorf("--data-dir %s: %w", f.dir, err)
	}
	return dir, nil
}

// load returns the lab that the flags speak of.
func (f *labFlags) load() (cluster.Layout, cluster.State, error) {
	dir, err := f.folder()
	if err != nil {
		return cluster.Layout{}, cluster.State{}, err
	}
	state, err := cluster.Load(dir)
	if err != nil {
		return cluster.Layout{}, cluster.State{}, err
	}
	return state.Layout(dir), state, nil
}

func newUp() *cobra.Command {
	var lab labFlags
	var build buildFlags
	opts := cluster.Options{Nodes: 2}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring a lab up, or repair it; does nothing when it is up",
		Long: `Bring a lab up: build what is missing, start the control plane and the nodes, and wait until all is ready.
What is not given as a flag is as it was when the lab was up last.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := lab.folder()
			if err != nil {
				return err
			}
			opts.Name, opts.Dir, opts.Progress = lab.name, dir, progress.New(cmd.ErrOrStderr())
			if err := remember(cmd, &opts, &build); err != nil {
				return err
			}
			if opts.Parts, err = build.options(cmd); err != nil {
				return err
			}
			if opts.Executable, err = os.Executable(); err != nil {
				return fmt.Errorf("finding this program: %w", err)
			}
			if err := opts.Validate(); err != nil {
				return err
			}
			missing, err := opts.MissingTools(cmd.Context())
			if err != nil {
				return err
			}
			if err := build.requireTools(cmd, missing); err != nil {
				return err
			}
			layout, err := cluster.Up(cmd.Context(), opts)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "export KUBECONFIG=%s\n", layout.Kubeconfig())
			return err
		},
	}
	lab.add(cmd)
	build.add(cmd)
	cmd.Flags().IntVar(&opts.Nodes, "nodes", opts.Nodes, "number of real nodes; 0 needs no root")
	cmd.Flags().IntVar(&opts.Simulated, "simulated", 0, "number of simulated nodes")
	cmd.Flags().BoolVar(&opts.Audit, "audit", false, "record every request to the API server in log/audit.log")
	cmd.Flags().DurationVar(&opts.Heartbeat, "heartbeat", simulate.Heartbeat,
		"how often simulated nodes say that they are alive; any node is lost after five times as long")
	return cmd
}

// remember fills in what was not given as a flag from what the lab was like before.
func remember(cmd *cobra.Command, opts *cluster.Options, build *buildFlags) error {
	before, err := cluster.Load(opts.Dir)
	if errors.Is(err, cluster.ErrNoLab) {
		return nil
	}
	if err != nil {
		return err
	}
	for flag, fill := range map[string]func(){
		"nodes":      func() { opts.Nodes = before.Nodes },
		"simulated":  func() { opts.Simulated = before.Simulated },
		"audit":      func() { opts.Audit = before.Audit },
		"heartbeat":  func() { opts.Heartbeat = before.Heartbeat },
		"kubernetes": func() { build.kubernetes = before.Kubernetes },
	} {
		if !cmd.Flags().Changed(flag) {
			fill()
		}
	}
	return nil
}

func newDown() *cobra.Command {
	var lab labFlags
	var wipe bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Take a lab down and leave nothing behind but its data",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := lab.folder()
			if err != nil {
				return err
			}
			return cluster.Down(cmd.Context(), dir, wipe, progress.New(cmd.ErrOrStderr()))
		},
	}
	lab.add(cmd)
	cmd.Flags().BoolVar(&wipe, "wipe", false, "remove the data of the lab, too")
	return cmd
}

func newStatus() *cobra.Command {
	var lab labFlags
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the components and nodes of a lab; fails when something is dead",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			layout, state, err := lab.load()
			if err != nil {
				return err
			}
			return cluster.PrintStatus(cmd.Context(), cmd.OutOrStdout(), layout, state)
		},
	}
	lab.add(cmd)
	return cmd
}

func newKubeconfig() *cobra.Command {
	var lab labFlags
	cmd := &cobra.Command{
		Use:     "kubeconfig",
		Short:   "Print the path of the lab's kubeconfig file",
		Example: "export KUBECONFIG=$(kruise-lab kubeconfig)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			layout, _, err := lab.load()
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), layout.Kubeconfig())
			return err
		},
	}
	lab.add(cmd)
	return cmd
}
