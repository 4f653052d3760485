package apiserver

import (
	"context"
	"fmt"
	"os"
	"testing"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
)

// Main is TestMain of packages that test on one server with the manager's webhooks, and without its controllers: these run
// when a test says so. It hands the server over before the first test, and returns the code to exit with.
func Main(m *testing.M, use func(*Server)) int {
	return MainWith(m, use, func(*manager.Options, *serve.Options) {})
}

// MainWith is Main with options of the webhooks' manager as the caller changes them.
func MainWith(m *testing.M, use func(*Server), change func(*manager.Options, *serve.Options)) int {
	ctx := context.Background()
	code := 0
	s, err := Start(ctx)
	if err == nil {
		use(s)
		code, err = s.runTests(ctx, m, change)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func (s *Server) runTests(ctx context.Context, m *testing.M, change func(*manager.Options, *serve.Options)) (code int, err error) {
	webhooks, err := s.RunWebhooks(ctx, change)
	if err == nil {
		code = m.Run()
		err = webhooks.Stop()
	}
	if stopped := s.Stop(); err == nil {
		err = stopped
	}
	return code, err
}
