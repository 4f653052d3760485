// Command kruise-daemon works on one node for kruise-manager.
package main

import (
	"context"
	"fmt"
	"os"

	ctrl "sigs.k8s.io/controller-runtime"

	"kruise.io/kruise/daemon"
)

func main() {
	if err := run(ctrl.SetupSignalHandler()); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", daemon.Name, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cmd, err := daemon.Command(os.Getenv)
	if err != nil {
		return err
	}
	return cmd.ExecuteContext(ctx)
}
