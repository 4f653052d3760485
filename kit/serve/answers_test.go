package serve

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestAProcessWaitsForTheAPIServer(t *testing.T) {
	const enough = 3
	for name, test := range map[string]struct {
		first int // the code of all answers before the last
		last  int
		asked int32
	}{
		"that is not ready yet":              {first: http.StatusInternalServerError, last: http.StatusOK, asked: enough},
		"that is shutting down":              {first: http.StatusServiceUnavailable, last: http.StatusOK, asked: enough},
		"that drops the connection":          {first: 0, last: http.StatusOK, asked: enough},
		"and not for one that answers":       {first: http.StatusOK, asked: 1},
		"and not for one that tells nothing": {first: http.StatusForbidden, asked: 1},
		"and not for one of long ago":        {first: http.StatusNotFound, asked: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var asked atomic.Int32
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				code := test.first
				if asked.Add(1) == enough {
					code = test.last
				}
				if r.URL.Path != "/readyz" {
					t.Errorf("asked for %s", r.URL)
				}
				if code == 0 {
					panic(http.ErrAbortHandler)
				}
				w.WriteHeader(code)
			}))
			defer server.Close()
			if err := answers(t.Context(), &rest.Config{Host: server.URL}, time.Millisecond); err != nil {
				t.Fatal(err)
			}
			if got := asked.Load(); got != test.asked {
				t.Errorf("asked %d times, want %d", got, test.asked)
			}
		})
	}
}

func TestAProcessThatWaitsForTheAPIServerEndsWhenItIsTold(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close() // the connection is refused
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	config := &rest.Config{Host: server.URL, WrapTransport: func(transport http.RoundTripper) http.RoundTripper {
		return transportFunc(func(r *http.Request) (*http.Response, error) {
			if asked++; asked == 3 {
				cancel()
			}
			return transport.RoundTrip(r)
		})
	}}
	if err := answers(ctx, config, time.Millisecond); !errors.Is(err, context.Canceled) || asked != 3 {
		t.Errorf("asked %d times, got %v", asked, err)
	}
}

func TestWhatIsNoOutageIsLeftToOthersToTell(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler()) // with a certificate that nobody trusts
	defer server.Close()
	if err := answers(t.Context(), &rest.Config{Host: server.URL}, time.Millisecond); err != nil {
		t.Errorf("got %v", err)
	}
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
