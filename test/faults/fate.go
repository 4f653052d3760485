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
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
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
	// webhook is the failurePolicy of a webhook that does not answer; empty: it answers.
	webhook admissionregistrationv1.FailurePolicyType
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
	case "webhook":
		m.fate.webhook = admissionregistrationv1.FailurePolicyType(rest)
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
	if m.fate.webhook != "" {
		m.webhook(r)
	}
	if m.fate != (fate{}) {
		m.faults++
	}
	return m.fate
}

// webhookTimeout is how long the API server waits for a webhook of ours, unless users say otherwise.
const webhookTimeout = 10

// webhook has the API server call a webhook of ours that does not answer, as while the managers are cut off from it or have too
// much to do. The request waits until the API server gives the call up. Everything else takes its course meanwhile. Then the
// failurePolicy decides: with Fail the request is refused in the API server's words, and nothing of it was carried out; with
// Ignore it is carried out, on what is there by then, as if there were no webhook. What the webhook would have done to the object
// is not modelled: others promise it. Of what the controllers under test write only pods have webhooks of ours (admission when
// they are created, budgets when they are changed or deleted), and their status has none: other requests are left alone.
func (m *machine) webhook(r *request) {
	if r.kind != kindPod || !r.writes() || r.sub == "status" {
		m.fate.webhook = ""
		return
	}
	m.tracef("%s: a webhook does not answer", r)
	for range webhookTimeout {
		m.hear()
		m.pass(time.Second)
	}
	if m.fate.webhook == admissionregistrationv1.Fail {
		m.fate.err, m.fate.after = failures["Webhook"](), false
	}
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
	"Webhook": func() error {
		return apierrors.NewInternalError(errors.New(`failed calling webhook "mpod.kb.io": failed to call webhook: ` +
			`Post "https://kruise-webhook-service.kruise-system.svc:443/mutate-pod?timeout=10s": context deadline exceeded`))
	},
	"EOF":      func() error { return &url.Error{Op: "Post", URL: "https://api", Err: io.ErrUnexpectedEOF} },
	"Reset":    func() error { return &url.Error{Op: "Post", URL: "https://api", Err: syscall.ECONNRESET} },
	"Deadline": func() error { return &url.Error{Op: "Post", URL: "https://api", Err: context.DeadlineExceeded} },
}
