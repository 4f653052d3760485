package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func start(t *testing.T) (url string, stop context.CancelFunc, done <-chan error) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	p := page{Version: "1.10.2", Pod: "demo-clone-abcde", Test: "<foo>", Started: time.Unix(0, 0)}
	go func() { ended <- serve(ctx, listener, p, false) }()
	return "http://" + listener.Addr().String(), cancel, ended
}

func get(t *testing.T, url, accept string) (status int, contentType, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, response.Header.Get("Content-Type"), string(content)
}

func TestThePageTellsWhichVersionAnswersInWhichPod(t *testing.T) {
	url, stop, _ := start(t)
	defer stop()
	_, _, text := get(t, url, "*/*")
	if want := "version: 1.10.2\npod: demo-clone-abcde\nstarted: 1970-01-01T00:00:00Z\ntest: <foo>\n"; text != want {
		t.Errorf("a plain client read %q, want %q", text, want)
	}
	_, contentType, page := get(t, url, "text/html,*/*")
	if !strings.HasPrefix(contentType, "text/html") || !strings.Contains(page, "<td>1.10.2</td>") {
		t.Errorf("a browser got %s: %s", contentType, page)
	}
	if !strings.Contains(page, "&lt;foo&gt;") {
		t.Errorf("the value of test is not escaped for a browser: %s", page)
	}
}

func TestTheServerIsHealthyFromTheStart(t *testing.T) {
	url, stop, _ := start(t)
	defer stop()
	if status, _, body := get(t, url+"/healthz", "*/*"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/healthz answered %d %q", status, body)
	}
	if status, _, _ := get(t, url+"/nothing", "*/*"); status != http.StatusNotFound {
		t.Errorf("an unknown path answered %d", status)
	}
}

func TestTheServerEndsWithoutAnErrorWhenItIsToldTo(t *testing.T) {
	_, stop, done := start(t)
	stop()
	if err := <-done; err != nil {
		t.Errorf("serve ended with %v", err)
	}
}

func TestAMarkIsATimeThatIsAddedToAFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mark")
	for range 2 {
		if err := leave(file); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	marks := strings.Fields(string(text))
	if len(marks) != 2 {
		t.Fatalf("the file holds %q", text)
	}
	for _, mark := range marks {
		if _, err := time.Parse(time.RFC3339, mark); err != nil {
			t.Error(err)
		}
	}
}
