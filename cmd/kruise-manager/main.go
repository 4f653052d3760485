// Command kruise-manager runs the controllers and webhooks of the workload kinds.
package main

import (
	"context"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"kruise.io/kruise/manager"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", manager.Name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cmd, err := manager.Command(os.Getenv)
	if err != nil {
		return err
	}
	return cmd.ExecuteContext(ctx)
}
