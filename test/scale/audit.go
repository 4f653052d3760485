package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// request is a sort of request: whose, what and to which resource.
type request struct{ agent, verb, resource string }

// read says whether the request reads. A watch is neither read nor write: it is begun once, and again when the API server
// ends it.
func (r request) read() bool { return r.verb == "get" || r.verb == "list" }

// write says whether the request changes anything.
func (r request) write() bool { return !r.read() && r.verb != "watch" }

// ofPods says whether the request is about pods.
func (r request) ofPods() bool { return r.resource == "pods" || strings.HasPrefix(r.resource, "pods/") }

// outcome counts requests of one sort.
type outcome struct{ all, conflicts, failed int }

// tally counts requests.
type tally map[request]outcome

// sum adds up what matches.
func (t tally) sum(match func(request) bool) outcome {
	var out outcome
	for r, o := range t {
		if match(r) {
			out.all += o.all
			out.conflicts += o.conflicts
			out.failed += o.failed
		}
	}
	return out
}

// auditLog reads the API server's record of requests, a stretch at a time.
type auditLog struct {
	path   string
	offset int64
}

// skip leaves out what is there already.
func (a *auditLog) skip() error {
	info, err := os.Stat(a.path)
	if err != nil {
		return fmt.Errorf("reading the audit log: %w", err)
	}
	a.offset = info.Size()
	return nil
}

// next counts what came since the last call. A line that is not complete yet is left for the next call.
func (a *auditLog) next() (tally, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	} else if info.Size() < a.offset {
		return nil, fmt.Errorf("the audit log %s is shorter than it was: its end was put aside and is not counted", a.path)
	}
	if _, err := file.Seek(a.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	counts := tally{}
	for lines := bufio.NewReaderSize(file, 1<<20); ; {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return counts, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if err := counts.add(line); err != nil {
			return nil, fmt.Errorf("%s, at byte %d: %w", a.path, a.offset, err)
		}
		a.offset += int64(len(line))
	}
}

// add counts one line of the log. A request is counted once: a watch when it begins, any other when it ends.
func (t tally) add(line []byte) error {
	var event struct {
		Stage     string `json:"stage"`
		Verb      string `json:"verb"`
		UserAgent string `json:"userAgent"`
		Object    struct {
			Resource    string `json:"resource"`
			Subresource string `json:"subresource"`
		} `json:"objectRef"`
		Status struct {
			Code int `json:"code"`
		} `json:"responseStatus"`
	}
	if err := json.Unmarshal(line, &event); err != nil {
		return err
	}
	counted := "ResponseComplete"
	if event.Verb == "watch" {
		counted = "ResponseStarted"
	}
	if event.Stage != counted || event.Object.Resource == "" {
		return nil
	}
	resource := event.Object.Resource
	if event.Object.Subresource != "" {
		resource += "/" + event.Object.Subresource
	}
	r := request{agentName(event.UserAgent), event.Verb, resource}
	o := t[r]
	o.all++
	switch {
	case event.Status.Code == http.StatusConflict:
		o.conflicts++
	case event.Status.Code >= http.StatusBadRequest:
		o.failed++
	}
	t[r] = o
	return nil
}

// agentName is the program that a user agent speaks for; for a controller of kube-controller-manager, that controller.
func agentName(agent string) string {
	if _, account, ok := strings.Cut(agent, "system:serviceaccount:kube-system:"); ok {
		return account
	}
	name, _, _ := strings.Cut(agent, "/")
	return name
}
