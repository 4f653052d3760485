// Command kruise-daemon works on one node for kruise-manager.
package main

import (
	"context"
	"fmt"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"kruise.io/kruise/daemon"
)

func main() {
	if err := run(signals.SetupSignalHandler()); err != nil {
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
