// Command demo is the server that the walk-throughs run: small, harmless and easy to tell apart. Its page shows which version
// answers, in which pod, since when, and the value of the environment variable "test", so that an update in place can be
// watched from outside. It stops at once when it is told to. With -share one that starts takes
// over the port of one that runs beside it, and that one answers what it was asked before it stops. With -mark it serves nothing, but adds the time to a file: a hook
// that leaves a trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// version is stamped by the linker: -X main.version=1.10.2.
var version = "unversioned"

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run() error {
	port := flag.String("port", either(os.Getenv("PORT"), "8080"), "port to serve on; the environment variable PORT sets the default")
	mark := flag.String("mark", "", "file to add the time to, instead of serving")
	share := flag.String("share", os.Getenv("SHARE"), "folder by which one takes over from another; the environment variable SHARE sets the default")
	flag.Parse()
	if *mark != "" {
		return leave(*mark)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("read the host name: %w", err)
	}
	listener, err := listen(ctx, net.JoinHostPort("", *port), *share)
	if err != nil {
		return fmt.Errorf("listen on port %s: %w", *port, err)
	}
	page := page{Version: version, Pod: either(os.Getenv("POD_NAME"), host), Test: os.Getenv("test"), Started: time.Now()}
	fmt.Printf("demo %s serves on %s as %s\n", page.Version, listener.Addr(), page.Pod)
	return serve(ctx, listener, page, *share != "")
}

// leave adds the time to a file.
func leave(mark string) (err error) {
	file, err := os.OpenFile(mark, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("leave a mark: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = fmt.Fprintln(file, time.Now().UTC().Format(time.RFC3339))
	return err
}

func either(value, fallback string) string {
	if value == "" {
		return fallback
	}
	return value
}

// serve answers until ctx ends and then stops, without waiting for open requests unless it is to finish them.
func serve(ctx context.Context, listener net.Listener, p page, finish bool) error {
	server := &http.Server{Handler: p.handler(), ReadHeaderTimeout: 5 * time.Second}
	open := &counted{Listener: listener}
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		var err error
		if finish {
			// The server's own way to stop drops what it has accepted and not read yet.
			server.SetKeepAlivesEnabled(false)
			err = listener.Close()
			open.wait()
		}
		stopped <- errors.Join(err, server.Close())
	})()
	if err := server.Serve(open); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	if err := <-stopped; !errors.Is(err, net.ErrClosed) { // it is closed twice
		return err
	}
	return nil
}
