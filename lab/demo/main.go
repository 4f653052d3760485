// Command demo is the server that the walk-throughs run: small, harmless and easy to tell apart. Its page shows which version
// answers, in which pod, since when, and the value of the environment variable "test", so that an update in place can be
// watched from outside. It stops at once when it is told to. With -share several of it serve on one port, and one that stops
// answers what it was asked before, so that another one can take over. With -mark it serves nothing, but adds the time to a file: a hook
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

	"golang.org/x/sys/unix"
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
	share := flag.Bool("share", os.Getenv("SHARE_PORT") == "true", "share the port with others; the environment variable SHARE_PORT sets the default")
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
	var config net.ListenConfig
	if *share {
		config.Control = shared
	}
	listener, err := config.Listen(ctx, "tcp", net.JoinHostPort("", *port))
	if err != nil {
		return fmt.Errorf("listen on port %s: %w", *port, err)
	}
	page := page{Version: version, Pod: either(os.Getenv("POD_NAME"), host), Test: os.Getenv("test"), Started: time.Now()}
	fmt.Printf("demo %s serves on %s as %s\n", page.Version, listener.Addr(), page.Pod)
	return serve(ctx, listener, page, *share)
}

// shared lets several programs listen on one port.
func shared(_, _ string, c syscall.RawConn) error {
	var err error
	if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) }); e != nil {
		return e
	}
	return err
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
	stopped := make(chan error, 1)
	defer context.AfterFunc(ctx, func() {
		if finish {
			stopped <- server.Shutdown(context.WithoutCancel(ctx))
			return
		}
		stopped <- server.Close()
	})()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	}
	return <-stopped
}
