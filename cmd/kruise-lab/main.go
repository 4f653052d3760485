// Command kruise-lab brings up a real Kubernetes cluster on one Linux machine, to try Kruise in and to test it.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"kruise.io/kruise/lab/cli"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := cli.New().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "kruise-lab:", err)
		os.Exit(1)
	}
}
