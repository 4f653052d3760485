// Command kubectl-kruise is the plugin of kubectl that says why a workload is stuck, and what a change of it would do.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/cli-runtime/pkg/genericiooptions"
	// Kubeconfigs may name a login plugin of client-go.
	_ "k8s.io/client-go/plugin/pkg/client/auth"

	"kruise.io/kruise/kubectl"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	streams := genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}
	err := kubectl.Command(streams, time.Now).ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, kubectl.ErrorText(err))
		os.Exit(1)
	}
}
