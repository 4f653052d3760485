package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"kruise.io/kruise/lab/install"
	"kruise.io/kruise/lab/parts"
)

func newInstall() *cobra.Command {
	var lab labFlags
	var build buildFlags
	var values []string
	cmd := &cobra.Command{
		Use:   "install",
		Short: "Build the product from this working copy and install it, or a change to it, as a user would",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			layout, state, err := lab.load()
			if err != nil {
				return err
			}
			build.kubernetes = state.Kubernetes
			opts, err := build.options(cmd)
			if err != nil {
				return err
			}
			programs, err := parts.Ensure(cmd.Context(), opts, parts.Kubectl, parts.Helm)
			if err != nil {
				return err
			}
			product, err := buildProduct(cmd, opts)
			if err != nil {
				return err
			}
			err = install.Run(cmd.Context(), install.Options{
				Kubeconfig: layout.Kubeconfig(),
				Registry:   layout.Registry(),
				Helm:       filepath.Join(programs, string(parts.Helm)),
				Chart:      filepath.Join(opts.Root, "deploy", "chart"),
				Bin:        product,
				Values:     values,
				Progress:   opts.Progress,
			})
			if err != nil {
				return err
			}
			return printNext(cmd, layout.Kubeconfig(), programs)
		},
	}
	lab.add(cmd)
	build.add(cmd)
	cmd.Flags().StringArrayVar(&values, "values", nil, "file with values for the chart; may be given more than once")
	return cmd
}

// buildProduct builds the programs of the product the way they run in a container: static, for Linux, and as make build does.
func buildProduct(cmd *cobra.Command, opts parts.Options) (string, error) {
	cache := opts.Cache
	if cache == "" {
		var err error
		if cache, err = parts.DefaultCache(); err != nil {
			return "", err
		}
	}
	bin := filepath.Join(cache, "product")
	return bin, opts.Progress.Do("building the product", func() error {
		build := exec.CommandContext(cmd.Context(), "go", "build", "-trimpath", "-tags", "grpcnotrace", "-ldflags", "-s -w",
			"-o", bin+"/", "./cmd/kruise-manager", "./cmd/kruise-daemon")
		build.Dir = opts.Root
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux")
		if output, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("building the product: %w\n%s", err, strings.TrimSpace(string(output)))
		}
		return nil
	})
}

// printNext prints what to try. The folder with kubectl is mentioned when this machine has none in its search path.
func printNext(cmd *cobra.Command, kubeconfig, programs string) error {
	if _, err := exec.LookPath(string(parts.Kubectl)); err == nil {
		programs = ""
	}
	next, err := install.Next(install.Tour{Kubeconfig: kubeconfig, Programs: programs})
	if err != nil {
		return err
	}
	_, err = fmt.Fprint(cmd.OutOrStdout(), next)
	return err
}
