package cri

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// largestMessage bounds an answer of a runtime, in bytes; it is the bound of kubelet.
const largestMessage = 16 << 20

// Options tune the port.
type Options struct {
	// Timeout limits calls that only ask. Default: 10 s.
	Timeout time.Duration
	// Slack is added to the time that a command or a stop is allowed in the runtime. Default: 30 s.
	Slack time.Duration
	// ReconnectWithin bounds the pauses between attempts to reach a runtime that is away. Default: 3 s.
	ReconnectWithin time.Duration
	// UserAgent is told to the runtime. Default: kruise-daemon.
	UserAgent string
}

func (o Options) withDefaults() Options {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Slack == 0 {
		o.Slack = 30 * time.Second
	}
	if o.ReconnectWithin == 0 {
		o.ReconnectWithin = 3 * time.Second
	}
	if o.UserAgent == "" {
		o.UserAgent = "kruise-daemon"
	}
	return o
}

// About is what a runtime says of itself.
type About struct {
	// Name is the scheme of its container IDs: containerd, cri-o, docker.
	Name string
	// Version is the version of the runtime.
	Version string
}

// Runtime is one container runtime. It is safe for concurrent use.
type Runtime struct {
	socket  string
	options Options
	conn    *grpc.ClientConn
	runtime criv1.RuntimeServiceClient
	images  criv1.ImageServiceClient

	mu    sync.Mutex
	about *About // nil until the runtime has answered, and again after a call that did not reach it
}

// dial makes a connection that is opened when it is first used, and again whenever it breaks.
func dial(socket string, o Options) (*Runtime, error) {
	r := &Runtime{socket: socket, options: o}
	pauses := backoff.DefaultConfig
	pauses.BaseDelay, pauses.MaxDelay = min(100*time.Millisecond, o.ReconnectWithin), o.ReconnectWithin
	conn, err := grpc.NewClient("unix://"+socket,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(largestMessage)),
		grpc.WithConnectParams(grpc.ConnectParams{Backoff: pauses, MinConnectTimeout: o.Timeout}),
		grpc.WithUserAgent(o.UserAgent),
		grpc.WithUnaryInterceptor(r.watch),
	)
	if err != nil {
		return nil, fmt.Errorf("connecting to the container runtime at %s: %w", socket, err)
	}
	r.conn, r.runtime, r.images = conn, criv1.NewRuntimeServiceClient(conn), criv1.NewImageServiceClient(conn)
	return r, nil
}

func (r *Runtime) close() error { return r.conn.Close() }

// watch forgets what the runtime said of itself when a call does not reach it: what comes back may be another version.
func (r *Runtime) watch(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, o...)
	if status.Code(err) == codes.Unavailable {
		r.mu.Lock()
		r.about = nil
		r.mu.Unlock()
	}
	return err
}

// About asks a runtime for its name and version, once for each time that it is reached anew, and makes sure that it serves
// both services of the interface.
func (r *Runtime) About(ctx context.Context) (About, error) {
	r.mu.Lock()
	known := r.about
	r.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	answer, err := r.runtime.Version(ctx, &criv1.VersionRequest{})
	if err == nil {
		_, err = r.images.ImageFsInfo(ctx, &criv1.ImageFsInfoRequest{})
	}
	switch {
	case status.Code(err) == codes.Unimplemented:
		return About{}, fmt.Errorf("the container runtime at %s does not serve version 1 of the Container Runtime Interface, which containerd has since 1.6 and CRI-O since 1.23: %w", r.socket, err)
	case err != nil:
		return About{}, r.failed("asking for the version", err)
	case answer.GetRuntimeName() == "":
		return About{}, fmt.Errorf("the container runtime at %s does not say its name", r.socket)
	}
	about := About{Name: answer.GetRuntimeName(), Version: answer.GetRuntimeVersion()}
	r.mu.Lock()
	r.about = &about
	r.mu.Unlock()
	return about, nil
}

// Socket is the path of the runtime's socket.
func (r *Runtime) Socket() string { return r.socket }

// ask calls the runtime for something that it answers at once.
func ask[Request, Answer any](ctx context.Context, r *Runtime, call func(context.Context, Request, ...grpc.CallOption) (Answer, error), request Request) (Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, r.options.Timeout)
	defer cancel()
	return call(ctx, request)
}

func (r *Runtime) failed(what string, err error) error {
	return fmt.Errorf("%s: the container runtime at %s: %w", what, r.socket, err)
}

// answerError is what the runtime itself said of a call.
type answerError struct{ said error }

// Error implements error.
func (e *answerError) Error() string { return e.said.Error() }

// Unwrap is what errors.Is and errors.As look into.
func (e *answerError) Unwrap() error { return e.said }

// blame tells the runtime that does not answer a call from one that waited in vain for somebody else: containerd ends a pull
// with DeadlineExceeded when the registry is what cannot be reached, and a stop when the process does not die. Where the code
// can mean both, the runtime is asked for something else.
func (r *Runtime) blame(ctx context.Context, err error) error {
	if code := codeOf(err); code != codes.DeadlineExceeded && code != codes.Canceled {
		return err
	}
	if _, silent := ask(ctx, r, r.runtime.Version, &criv1.VersionRequest{}); silent != nil {
		return err
	}
	return &answerError{err}
}

// Unreachable says whether a call failed because the runtime did not answer: it is away, restarts or hangs. The call may have
// been carried out or not; it can be made again once the runtime is back.
func Unreachable(err error) bool {
	if answer := (*answerError)(nil); errors.As(err, &answer) {
		return false
	}
	if none := (*noRuntimeError)(nil); errors.As(err, &none) {
		return true
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return true
	}
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	return false
}

// NotFound says whether the runtime does not know what was asked for.
func NotFound(err error) bool { return codeOf(err) == codes.NotFound }

// codeOf is the code of the first error in the tree that has a gRPC status; OK when there is none.
func codeOf(err error) codes.Code {
	var s interface{ GRPCStatus() *status.Status }
	if errors.As(err, &s) {
		return s.GRPCStatus().Code()
	}
	return codes.OK
}
