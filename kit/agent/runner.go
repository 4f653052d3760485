package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/tools/cache"
)

// patience is how long what was begun may go on when the program is told to end.
const patience = 30 * time.Second

// Runner runs a program's informers and what works on their objects.
type Runner struct {
	// API is the client of the informers.
	API *Client

	informers []cache.SharedIndexInformer
	parts     []func(ctx context.Context) error
}

// Add adds a part of the program. It is begun once all objects have been seen, and returns when its context ends.
func (r *Runner) Add(part func(ctx context.Context) error) { r.parts = append(r.parts, part) }

// Run runs everything until the context ends, or until a part fails. What was begun is then waited for, for 30 seconds.
func (r *Runner) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done() // a program with nothing to do goes on, too
		return nil
	})
	var synced []cache.InformerSynced
	for _, informer := range r.informers {
		synced = append(synced, informer.HasSynced)
		group.Go(func() error {
			informer.RunWithContext(ctx)
			return nil
		})
	}
	if cache.WaitForCacheSync(ctx.Done(), synced...) {
		for _, part := range r.parts {
			group.Go(func() error { return part(ctx) })
		}
	}
	ended := make(chan error, 1)
	go func() { ended <- group.Wait() }()
	<-ctx.Done()
	select {
	case err := <-ended:
		return err
	case <-time.After(patience):
		return fmt.Errorf("what was begun has not ended within %s", patience)
	}
}

// Serve answers requests at an address until the context ends. The address "0" serves nothing.
func Serve(ctx context.Context, address string, handler http.Handler) error {
	if address == "0" {
		<-ctx.Done()
		return nil
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("serve at %s: %w", address, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, IdleTimeout: 90 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve at %s: %w", address, err)
	}
	return nil
}
