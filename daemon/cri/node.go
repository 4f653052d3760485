package cri

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
)

// Node is the runtimes of this node. Make it with NewNode.
type Node struct {
	paths   []string
	options Options

	mu       sync.Mutex
	runtimes map[string]*Runtime // by socket
}

// NewNode makes a node whose runtimes have their sockets at some of the paths. Nothing is connected before it is needed,
// and a runtime may appear later.
func NewNode(paths []string, o Options) *Node {
	return &Node{paths: paths, options: o.withDefaults(), runtimes: map[string]*Runtime{}}
}

// First is the first runtime that answers, in the order of the paths.
func (n *Node) First(ctx context.Context) (*Runtime, error) {
	return n.find(ctx, "", func(About) bool { return true })
}

// Of is the runtime that a container belongs to, and the container's ID there: for containerd://abc, the runtime that
// calls itself containerd, and abc.
func (n *Node) Of(ctx context.Context, containerID string) (*Runtime, string, error) {
	scheme, id, ok := strings.Cut(containerID, "://")
	if !ok || scheme == "" || id == "" {
		return nil, "", fmt.Errorf("container ID %q does not have the form <runtime>://<id>", containerID)
	}
	r, err := n.find(ctx, scheme, func(a About) bool { return a.Name == scheme })
	return r, id, err
}

// Close ends all connections.
func (n *Node) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	var failures []error
	for socket, r := range n.runtimes {
		failures = append(failures, r.close())
		delete(n.runtimes, socket)
	}
	return errors.Join(failures...)
}

// find asks the runtimes in turn for one that is wanted. The error of none says of every socket why it is not the one.
func (n *Node) find(ctx context.Context, name string, wanted func(About) bool) (*Runtime, error) {
	var failures []error
	for _, socket := range present(n.paths) {
		r, err := n.connect(socket)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		about, err := r.About(ctx)
		switch {
		case err != nil:
			failures = append(failures, err)
		case wanted(about):
			return r, nil
		default:
			failures = append(failures, fmt.Errorf("the runtime at %s is %s", socket, about.Name))
		}
	}
	if failures == nil {
		failures = append(failures, fmt.Errorf("there is no socket at any of %s", strings.Join(n.paths, ", ")))
	}
	return nil, &noRuntimeError{name, errors.Join(failures...)}
}

func (n *Node) connect(socket string) (*Runtime, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if r := n.runtimes[socket]; r != nil {
		return r, nil
	}
	r, err := dial(socket, n.options)
	if err != nil {
		return nil, err
	}
	n.runtimes[socket] = r
	return r, nil
}

// noRuntimeError is the error of a node without the runtime that is wanted. It may come.
type noRuntimeError struct {
	name string
	why  error
}

// Error implements error.
func (e *noRuntimeError) Error() string {
	if e.name == "" {
		return "no container runtime: " + e.why.Error()
	}
	return "no container runtime called " + e.name + ": " + e.why.Error()
}

// Unwrap is what errors.Is and errors.As look into.
func (e *noRuntimeError) Unwrap() error { return e.why }
