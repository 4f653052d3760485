package fake

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Runtime is a container runtime. Make it with New.
type Runtime struct {
	criv1.UnimplementedRuntimeServiceServer
	criv1.UnimplementedImageServiceServer

	tb     testing.TB
	socket string

	mu         sync.Mutex
	changed    *sync.Cond
	server     *grpc.Server
	name       string
	version    string
	faults     map[string][]*Fault
	held       map[string]int // calls that are held, by method
	containers map[string]*Container
	sandboxes  map[string]string // address by pod UID
	images     map[string]*Image
	clock      int64 // nanoseconds since 1970, by which new things are dated; it grows with each
}

// Container is a container and what became of it.
type Container struct {
	ID, PodUID, Name string
	Attempt          uint32
	State            criv1.ContainerState
	Created, Started int64
	// ExitCode is that of a container that was stopped. Default: 137.
	ExitCode    int32
	Annotations map[string]string
	// Env is its environment, which the command env prints and, unless it is Discreet, the runtime tells.
	Env      []string
	Discreet bool
	// Stops are the grace periods of the stops that reached it while it ran, in seconds.
	Stops []int64
	// Commands are the commands that ran in it.
	Commands [][]string
	// Says is the answer to a command. Default: success without output; env prints Env.
	Says func(command []string) (stdout string, exitCode int32)
	// Shown, if not nil, is the state that the runtime claims, whatever is true.
	Shown *criv1.ContainerState
}

// Image is an image in the runtime or in a registry.
type Image struct {
	ID            string
	Tags, Digests []string
	Size          uint64
	// Remote says that it has to be pulled first.
	Remote bool
	// Users are who may pull it; none for everybody.
	Users []string
	// Pulls are the user names of the pulls that brought it, or brought it again.
	Pulls []string
}

// Fault is how calls of one method go wrong.
type Fault struct {
	// Times is how many calls it is about. 0: all.
	Times int
	// Code and Message are the answer. OK: the call is carried out and answered, once it is no longer held.
	Code    codes.Code
	Message string
	// After carries the call out before it answers with Code: the answer of a call that worked is lost.
	After bool
	// Hold, if not nil, keeps the call waiting until it is closed, or until the caller gives up.
	Hold <-chan struct{}
}

// New starts a runtime called containerd, which ends with the test.
func New(tb testing.TB) *Runtime {
	tb.Helper()
	folder, err := os.MkdirTemp("", "cri") //nolint:usetesting // a socket's path is short, and a test's folder is not
	if err != nil {
		tb.Fatalf("making a folder for the socket: %v", err)
	}
	r := &Runtime{
		tb: tb, socket: filepath.Join(folder, "containerd.sock"), name: "containerd", version: "v2.0.0",
		faults: map[string][]*Fault{}, held: map[string]int{}, containers: map[string]*Container{}, sandboxes: map[string]string{}, images: map[string]*Image{},
		clock: 1_000_000_000_000_000_000,
	}
	r.changed = sync.NewCond(&r.mu)
	r.Up()
	tb.Cleanup(func() {
		r.Down()
		if err := os.RemoveAll(folder); err != nil {
			tb.Errorf("removing the folder of the socket: %v", err)
		}
	})
	return r
}

// Socket is the path of the socket.
func (r *Runtime) Socket() string { return r.socket }

// Up starts serving, on a new socket.
func (r *Runtime) Up() {
	r.tb.Helper()
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		r.tb.Fatalf("listening: %v", err)
	}
	listener.SetUnlinkOnClose(false) // by then there may be another one
	server := grpc.NewServer(grpc.UnaryInterceptor(r.misbehave), grpc.WaitForHandlers(true))
	criv1.RegisterRuntimeServiceServer(server, r)
	criv1.RegisterImageServiceServer(server, r)
	r.mu.Lock()
	r.server = server
	r.mu.Unlock()
	go func() {
		if err := server.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) { // taken down before it was up
			r.tb.Errorf("serving: %v", err)
		}
	}()
}

// Down stops serving, once what is being carried out has been: calls under way lose their answers, and the socket is gone.
// Containers run on.
func (r *Runtime) Down() {
	r.mu.Lock()
	server := r.server
	r.server = nil
	r.mu.Unlock()
	if server == nil {
		return
	}
	server.Stop()
	if err := os.Remove(r.socket); err != nil {
		r.tb.Errorf("removing the socket: %v", err)
	}
}

// Rename makes the runtime call itself otherwise.
func (r *Runtime) Rename(name, version string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name, r.version = name, version
}

// Break makes calls of a method go wrong, like StopContainer. Faults of one method are used up in their order.
func (r *Runtime) Break(method string, f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults[method] = append(r.faults[method], &f)
}

// Mend ends all faults of a method.
func (r *Runtime) Mend(method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.faults, method)
}

// misbehave does to a call what was asked for.
func (r *Runtime) misbehave(ctx context.Context, req any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	fault := r.nextFault(filepath.Base(info.FullMethod))
	if fault == nil {
		return handle(ctx, req)
	}
	if fault.Hold != nil {
		r.hold(filepath.Base(info.FullMethod))
		select {
		case <-fault.Hold:
		case <-ctx.Done():
			return nil, status.FromContextError(ctx.Err()).Err()
		}
	}
	if fault.After || fault.Code == codes.OK {
		answer, err := handle(ctx, req)
		if err != nil || fault.Code == codes.OK {
			return answer, err
		}
	}
	return nil, status.Error(fault.Code, fault.Message)
}

func (r *Runtime) hold(method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held[method]++
	r.changed.Broadcast()
}

// AwaitHeld waits until a call of a method has been held.
func (r *Runtime) AwaitHeld(method string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.held[method] == 0 {
		r.changed.Wait()
	}
}

func (r *Runtime) nextFault(method string) *Fault {
	r.mu.Lock()
	defer r.mu.Unlock()
	faults := r.faults[method]
	if len(faults) == 0 {
		return nil
	}
	f := faults[0]
	if f.Times == 1 {
		r.faults[method] = faults[1:]
	}
	if f.Times > 1 {
		f.Times--
	}
	return f
}

// Run runs a container: the next one of its name in its pod. It returns the ID.
func (r *Runtime) Run(c Container) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, other := range r.containers {
		if other.PodUID == c.PodUID && other.Name == c.Name {
			c.Attempt = max(c.Attempt, other.Attempt+1)
		}
	}
	r.clock += 1_000_000_000
	if c.ID == "" {
		c.ID = fmt.Sprintf("%s-%s-%d", c.PodUID, c.Name, c.Attempt)
	}
	if c.Created == 0 {
		c.Created, c.Started = r.clock, r.clock
	}
	if c.ExitCode == 0 {
		c.ExitCode = 137
	}
	c.State = criv1.ContainerState_CONTAINER_RUNNING
	if _, known := r.sandboxes[c.PodUID]; !known {
		r.sandboxes[c.PodUID] = "127.0.0.1"
	}
	r.containers[c.ID] = &c
	r.changed.Broadcast()
	return c.ID
}

// Address gives a pod an address.
func (r *Runtime) Address(podUID, address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sandboxes[podUID] = address
}

// Lie makes the runtime claim a state of a container, or the true one again for nil.
func (r *Runtime) Lie(id string, shown *criv1.ContainerState) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id].Shown = shown
}

// Exit ends a container that nobody stopped.
func (r *Runtime) Exit(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.containers[id].State = criv1.ContainerState_CONTAINER_EXITED
	r.changed.Broadcast()
}

// Remove removes a container, as kubelet does with old ones.
func (r *Runtime) Remove(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.containers, id)
	r.changed.Broadcast()
}

// Container is a container as it is now.
func (r *Runtime) Container(id string) Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.copyOf(id)
}

// Await waits until a container is as it should be, and returns it.
func (r *Runtime) Await(id string, ready func(Container) bool) Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if c := r.copyOf(id); c.ID != "" && ready(c) {
			return c
		}
		r.changed.Wait()
	}
}

func (r *Runtime) copyOf(id string) Container {
	c := r.containers[id]
	if c == nil {
		return Container{}
	}
	out := *c
	out.Stops, out.Commands = slices.Clone(c.Stops), slices.Clone(c.Commands)
	return out
}

// Exited says whether the process of a container is gone.
func (c Container) Exited() bool { return c.State == criv1.ContainerState_CONTAINER_EXITED }

// AddImage puts an image into the runtime or, if it is remote, into the registry.
func (r *Runtime) AddImage(i Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[i.ID] = &i
}

// Image is an image as it is now.
func (r *Runtime) Image(id string) Image {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.images[id]; i != nil {
		out := *i
		out.Pulls = slices.Clone(i.Pulls)
		return out
	}
	return Image{}
}

// ids are the IDs of all containers, in order.
func (r *Runtime) ids() []string { return slices.Sorted(maps.Keys(r.containers)) }
