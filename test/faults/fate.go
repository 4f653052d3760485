package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// arm is something that happens before a later request.
type arm struct {
	left int
	line string
}

// rule refuses writes until it is lifted.
type rule struct{ verb, kind, reason string }

// fate is what a script has for one request.
type fate struct {
	err   error
	after bool // the request is carried out all the same
	crash bool // the process dies once it is
}

// doRequests arms faults.
func (m *machine) doRequests(verb, rest string) error {
	switch verb {
	case "allow":
		m.rules = nil
	case "refuse":
		words := strings.Fields(rest)
		if len(words) != 3 || failures[words[2]] == nil {
			return errors.New("want a verb, a kind and an error")
		}
		m.rules = append(m.rules, rule{words[0], words[1], words[2]})
	case "at":
		number, line, _ := strings.Cut(rest, " ")
		n, err := strconv.Atoi(number)
		m.armed = append(m.armed, arm{n, line})
		return err
	case "crash-after":
		m.fate.crash = true
	default: // fail and lose
		if failures[rest] == nil {
			return fmt.Errorf("there is no error %q", rest)
		}
		m.fate.err, m.fate.after = failures[rest](), verb == "lose"
	}
	return nil
}

// fateOf does what the script has for the time before a request, and returns what it has for the request itself.
func (m *machine) fateOf(r *request) fate {
	m.fate = fate{}
	var now []string
	for i := range m.armed {
		if m.armed[i].left--; m.armed[i].left <= 0 {
			now = append(now, m.armed[i].line)
		}
	}
	m.armed = slices.DeleteFunc(m.armed, func(a arm) bool { return a.left <= 0 })
	for _, line := range now {
		m.tracef(">> %s", line)
		if err := m.do(line); err != nil {
			m.must(fmt.Errorf("at a request: %s: %w", line, err))
		}
	}
	for _, rule := range m.rules {
		if r.verb == rule.verb && r.kind == rule.kind {
			m.fate = fate{err: failures[rule.reason]()}
		}
	}
	if m.fate != (fate{}) {
		m.faults++
	}
	return m.fate
}

// failures are the errors that a client may see, by their names in scripts.
var failures = map[string]func() error{
	"Timeout":       func() error { return apierrors.NewTimeoutError("the request took too long", 0) },
	"ServerTimeout": func() error { return apierrors.NewServerTimeout(resourceOf(kindPod), "write", 0) },
	"Internal":      func() error { return apierrors.NewInternalError(errors.New("etcdserver: request timed out")) },
	"Unavailable":   func() error { return apierrors.NewServiceUnavailable("the server is shutting down") },
	"TooMany":       func() error { return apierrors.NewTooManyRequests("try again later", 1) },
	"Forbidden": func() error {
		return apierrors.NewForbidden(resourceOf(kindPod), "", errors.New("exceeded quota: pods"))
	},
	"Conflict": func() error {
		return apierrors.NewConflict(resourceOf(kindPod), "", errors.New("the object has been modified"))
	},
	"EOF":      func() error { return &url.Error{Op: "Post", URL: "https://api", Err: io.ErrUnexpectedEOF} },
	"Reset":    func() error { return &url.Error{Op: "Post", URL: "https://api", Err: syscall.ECONNRESET} },
	"Deadline": func() error { return &url.Error{Op: "Post", URL: "https://api", Err: context.DeadlineExceeded} },
}
