package stepped

import (
	"bytes"
	"io"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
)

// Write is a request of the controller that changed something, or tried to.
type Write struct {
	// Verb is POST, PATCH, PUT or DELETE.
	Verb string
	// Resource is what was written, with its subresource: pods, pods/status, controllerrevisions.
	Resource string
	// Name is the name of the object; empty for POST.
	Name string
}

// transport carries the requests of a controller. It records the writes, holds back watches, and loses answers.
type transport struct {
	next http.RoundTripper

	mu     sync.Mutex
	writes []Write
	thawed map[string]chan struct{} // by resource; closed when its watches may go on
	lose   int
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	resource, name := target(request.URL.Path)
	response, err := t.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if request.Method == http.MethodGet {
		if request.URL.Query().Get("watch") == "true" {
			response.Body = &heldBody{ReadCloser: response.Body, transport: t, resource: resource, closed: make(chan struct{})}
		}
		return response, nil
	}
	if resource == "events" {
		return response, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.writes = append(t.writes, Write{Verb: request.Method, Resource: resource, Name: name})
	if response.StatusCode == http.StatusCreated && resource == "pods" && t.lose > 0 {
		t.lose--
		return lost(response)
	}
	return response, nil
}

// lost replaces an answer by one that says that the request took too long.
func lost(response *http.Response) (*http.Response, error) {
	if err := response.Body.Close(); err != nil {
		return nil, err
	}
	const status = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Timeout","message":"the answer was lost","code":504}`
	response.StatusCode, response.Status = http.StatusGatewayTimeout, "504 Gateway Timeout"
	response.Header.Set("Content-Type", "application/json")
	response.Header.Del("Content-Length")
	response.ContentLength = int64(len(status))
	response.Body = io.NopCloser(bytes.NewReader([]byte(status)))
	return response, nil
}

// target reads from a path what a request is about: /api/v1/namespaces/<namespace>/pods/<name>/status and the like.
func target(urlPath string) (resource, name string) {
	parts := strings.Split(strings.Trim(urlPath, "/"), "/")
	if i := slices.Index(parts, "namespaces"); i >= 0 && len(parts) > i+2 {
		parts = parts[i+2:]
	} else if parts[0] == "apis" && len(parts) > 3 { // of the whole cluster
		parts = parts[3:]
	} else if parts[0] == "api" && len(parts) > 2 {
		parts = parts[2:]
	}
	resource = parts[0]
	if len(parts) > 1 {
		name = parts[1]
	}
	if len(parts) > 2 {
		resource = path.Join(resource, parts[2])
	}
	return resource, name
}

// heldBody is the stream of a watch, which can be held back.
type heldBody struct {
	io.ReadCloser
	transport *transport
	resource  string
	closed    chan struct{}
	once      sync.Once
}

// Read implements io.Reader. What it reads it hands on only once the watch may go on.
func (b *heldBody) Read(into []byte) (int, error) {
	n, err := b.ReadCloser.Read(into)
	b.transport.mu.Lock()
	thawed := b.transport.thawed[b.resource]
	b.transport.mu.Unlock()
	if thawed != nil {
		select {
		case <-thawed:
		case <-b.closed:
		}
	}
	return n, err
}

// Close implements io.Closer.
func (b *heldBody) Close() error {
	b.once.Do(func() { close(b.closed) })
	return b.ReadCloser.Close()
}

// freeze holds back the watches of a resource, thaw lets them go on.
func (t *transport) freeze(resource string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.thawed[resource] == nil {
		t.thawed[resource] = make(chan struct{})
	}
}

func (t *transport) frozen(resource string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.thawed[resource] != nil
}

func (t *transport) thaw(resource string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if thawed := t.thawed[resource]; thawed != nil {
		close(thawed)
		delete(t.thawed, resource)
	}
}
