package cli

import (
	"fmt"
	"log/slog"

	"github.com/go-logr/logr"
	"github.com/spf13/cobra"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"kruise.io/kruise/lab/cluster"
	"kruise.io/kruise/lab/storage"
)

// newProvisioner returns the command that the control plane's machine of every lab runs.
func newProvisioner() *cobra.Command {
	var kubeconfig, directory string
	cmd := &cobra.Command{
		Use:    cluster.ProvisionerCommand,
		Short:  "Serve persistent volumes (for internal use)",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
			if err != nil {
				return fmt.Errorf("reading the kubeconfig %s: %w", kubeconfig, err)
			}
			ctx := log.IntoContext(cmd.Context(), logr.FromSlogHandler(slog.NewTextHandler(cmd.ErrOrStderr(), nil)))
			return storage.Run(ctx, config, storage.Options{Directory: directory})
		},
	}
	cmd.Flags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	cmd.Flags().StringVar(&directory, "directory", "", "folder with a folder for each node")
	return cmd
}
