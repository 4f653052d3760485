package main

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestOneTakesOverFromAnotherAndNobodyWhoAsksIsLost(t *testing.T) {
	folder := t.TempDir()
	begin := func(version, address string) (string, context.CancelFunc, chan error) {
		ctx, stop := context.WithCancel(t.Context())
		listener, err := listen(ctx, address, folder)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- serve(ctx, listener, page{Version: version, Started: time.Unix(0, 0)}, true) }()
		return listener.Addr().String(), stop, ended
	}
	address, stop, ended := begin("one", "127.0.0.1:0")
	asks := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	ask := func() string {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := asks.Do(request)
		if err != nil {
			t.Fatalf("a request is lost: %v", err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatalf("an answer is lost: %v", err)
		}
		version, _, _ := strings.Cut(strings.TrimPrefix(string(body), "version: "), "\n")
		return version
	}
	for _, next := range []string{"two", "three"} {
		_, stopNext, endedNext := begin(next, address)
		for ask() != next { // both answer
		}
		stop()
		for done := false; !done; {
			ask()
			select {
			case err := <-ended:
				if done = true; err != nil {
					t.Errorf("the one before %s: %v", next, err)
				}
			default:
			}
		}
		for range 50 {
			if got := ask(); got != next {
				t.Fatalf("%s answers after its end", got)
			}
		}
		stop, ended = stopNext, endedNext
	}
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
