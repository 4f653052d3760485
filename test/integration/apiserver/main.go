package apiserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
)

// Step readies a server for the tests of a package. What it runs is ended by AtEnd.
type Step func(context.Context, *Server) error

// Main is TestMain of packages that test on one server: it starts the server, hands it over, takes the steps, runs the tests, and
// ends the process with their code, or with 1 and a message where anything else failed.
func Main(m *testing.M, into **Server, steps ...Step) {
	code, err := run(context.Background(), m, into, steps)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(ctx context.Context, m *testing.M, into **Server, steps []Step) (code int, err error) {
	s, err := Start(ctx)
	if err != nil {
		return 1, err
	}
	defer func() {
		for _, end := range slices.Backward(s.atEnd) {
			err = errors.Join(err, end())
		}
		err = errors.Join(err, s.Stop())
	}()
	*into = s
	for _, step := range steps {
		if err := step(ctx, s); err != nil {
			return 1, err
		}
	}
	return m.Run(), nil
}

// AtEnd has something ended before Main stops the server, what began last first.
func (s *Server) AtEnd(end func() error) { s.atEnd = append(s.atEnd, end) }

// Manager is a step that runs a manager as long as the tests, with options as the caller changes them: by default its webhooks alone.
func Manager(change func(*manager.Options, *serve.Options)) Step { return ManagerAs("", change) }

// ManagerAs is Manager with the rights of a user, or of an administrator where none is named.
func ManagerAs(user string, change func(*manager.Options, *serve.Options)) Step {
	return func(ctx context.Context, s *Server) error {
		replica, err := s.As(user).RunWebhooks(ctx, change)
		if err == nil {
			s.AtEnd(replica.Stop)
		}
		return err
	}
}

// Webhooks is a step that runs a manager with its webhooks, and without its controllers: these run when a test says so.
func Webhooks() Step { return Manager(func(*manager.Options, *serve.Options) {}) }

// Installed is a step that makes what the chart makes beside a manager with controllers, and gives a user the manager's rights.
func Installed(user string) Step {
	return func(ctx context.Context, s *Server) error {
		for _, object := range []client.Object{
			namespace("kruise-daemon-config"),
			&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: "kruise-webhook-certs"}},
		} {
			if err := s.Client.Create(ctx, object); err != nil {
				return fmt.Errorf("creating %T %s: %w", object, object.GetName(), err)
			}
		}
		return s.Grant(ctx, user)
	}
}

// Managed runs a manager on the port that the API server calls, with options as the caller changes them, and returns what stops it;
// it stops with the test at the latest.
func (s *Server) Managed(t *testing.T, change func(*manager.Options, *serve.Options)) (stop func()) {
	t.Helper()
	replica, err := s.RunWebhooks(context.WithoutCancel(t.Context()), change)
	if err != nil {
		t.Fatal(err)
	}
	stop = func() {
		if err := replica.Stop(); err != nil {
			t.Errorf("the manager did not stop as it should: %v", err)
		}
	}
	t.Cleanup(stop)
	return stop
}

// Eventually waits for a state of the world, for a minute.
func Eventually(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	err := wait.PollUntilContextTimeout(tb.Context(), 20*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		tb.Fatalf("not seen within a minute: %s", what)
	}
}
