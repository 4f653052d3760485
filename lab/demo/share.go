package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// listen listens on an address, or takes the listening socket over from the one that has it: they meet at a socket in the
// folder share. Both then accept from one queue, and nobody who asks is lost when one of them stops.
func listen(ctx context.Context, address, share string) (net.Listener, error) {
	if share == "" {
		return new(net.ListenConfig).Listen(ctx, "tcp", address)
	}
	meeting := filepath.Join(share, "listener")
	listener, err := takeOver(ctx, meeting)
	if err != nil { // nobody is there
		if listener, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err != nil {
			return nil, err
		}
	}
	return listener, handOver(ctx, listener, meeting)
}

// takeOver asks for the listening socket.
func takeOver(ctx context.Context, meeting string) (net.Listener, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", meeting)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	peer, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, fmt.Errorf("%T is no unix socket", conn)
	}
	const oneSocket = 4 // bytes of its number
	rights := make([]byte, syscall.CmsgSpace(oneSocket))
	_, n, _, _, err := peer.ReadMsgUnix(make([]byte, 1), rights)
	if err != nil {
		return nil, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	if err != nil {
		return nil, err
	}
	if len(messages) != 1 {
		return nil, fmt.Errorf("%d messages came with the answer, want one with a socket", len(messages))
	}
	sockets, err := syscall.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	if len(sockets) != 1 {
		return nil, fmt.Errorf("%d sockets were handed over, want one", len(sockets))
	}
	file := os.NewFile(uintptr(sockets[0]), "listener")
	defer file.Close()
	return net.FileListener(file)
}

// handOver gives the listening socket to whoever asks for it, until ctx ends. Whoever took it over is asked from then on.
func handOver(ctx context.Context, listener net.Listener, meeting string) error {
	tcp, ok := listener.(*net.TCPListener)
	if !ok {
		return fmt.Errorf("%T cannot be handed over", listener)
	}
	if err := os.Remove(meeting); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("take over from the one before: %w", err)
	}
	place, err := new(net.ListenConfig).Listen(ctx, "unix", meeting)
	if err != nil {
		return fmt.Errorf("wait for a successor: %w", err)
	}
	if unix, ok := place.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the successor meets others at the same place
	}
	context.AfterFunc(ctx, func() { _ = place.Close() })
	go func() {
		for {
			conn, err := place.Accept()
			if err != nil {
				return
			}
			if err := give(tcp, conn); err != nil {
				fmt.Fprintln(os.Stderr, "demo: hand over:", err)
			}
		}
	}()
	return nil
}

func give(listener *net.TCPListener, conn net.Conn) error {
	defer conn.Close()
	peer, ok := conn.(*net.UnixConn)
	if !ok {
		return fmt.Errorf("%T is no unix socket", conn)
	}
	file, err := listener.File()
	if err != nil {
		return err
	}
	defer file.Close()
	_, _, err = peer.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(file.Fd())), nil)
	return err
}

// counted is a listener that knows which of its connections are open, those included that a server has not looked at yet.
type counted struct {
	net.Listener
	open sync.WaitGroup
}

// Accept implements net.Listener.
func (c *counted) Accept() (net.Conn, error) {
	c.open.Add(1)
	conn, err := c.Listener.Accept()
	if err != nil {
		c.open.Done()
		return nil, err
	}
	return &countedConn{Conn: conn, closed: sync.OnceFunc(c.open.Done)}, nil
}

func (c *counted) wait() { c.open.Wait() }

type countedConn struct {
	net.Conn
	closed func()
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}
