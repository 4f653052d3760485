package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/plan/probe"
)

const (
	// longestMessage is how much of what a probe says is kept, in bytes.
	longestMessage = 1024
	// mostRedirects is how many redirects a probe follows.
	mostRedirects = 10
)

// attempt makes a probe once, and returns what it came to and what was said.
func attempt(ctx context.Context, spec *v1alpha1.ContainerProbeSpec, address string, runtime *cri.Runtime, container string) (probe.Outcome, string) {
	limit := time.Duration(max(spec.TimeoutSeconds, 1)) * time.Second
	switch {
	case spec.Exec != nil:
		return execute(ctx, spec.Exec, runtime, container, limit)
	case spec.HTTPGet != nil:
		return get(ctx, spec.HTTPGet, address, limit)
	case spec.TCPSocket != nil:
		return connect(ctx, net.JoinHostPort(address, spec.TCPSocket.Port.String()), limit)
	default:
		return probe.Trouble, "the probe has none of exec, httpGet and tcpSocket"
	}
}

// execute runs a command in the container. One that does not end in time has failed.
func execute(ctx context.Context, action *corev1.ExecAction, runtime *cri.Runtime, container string, limit time.Duration) (probe.Outcome, string) {
	output, err := runtime.Exec(ctx, container, action.Command, limit)
	switch {
	case errors.Is(err, cri.ErrCommandTimeout):
		return probe.Failure, fmt.Sprintf("the command did not end within %s", limit)
	case err != nil:
		return probe.Trouble, bounded(err.Error())
	}
	said := bounded(string(output.Stdout) + string(output.Stderr))
	if output.ExitCode != 0 {
		return probe.Failure, said
	}
	return probe.Success, said
}

// connect opens a connection.
func connect(ctx context.Context, address string, limit time.Duration) (probe.Outcome, string) {
	connection, err := (&net.Dialer{Timeout: limit}).DialContext(ctx, "tcp", address)
	if err != nil {
		return probe.Failure, bounded(err.Error())
	}
	if err := connection.Close(); err != nil { // it was open
		return probe.Success, bounded(err.Error())
	}
	return probe.Success, ""
}

// get asks for a page, as kubelet does: any status from 200 to 399 is a success, certificates are not checked, and a redirect
// to another host is not followed.
func get(ctx context.Context, action *corev1.HTTPGetAction, address string, limit time.Duration) (probe.Outcome, string) {
	target, err := url.Parse(action.Path)
	if err != nil {
		return probe.Trouble, bounded(err.Error())
	}
	target.Scheme, target.Host = strings.ToLower(string(action.Scheme)), net.JoinHostPort(address, strconv.Itoa(action.Port.IntValue()))
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return probe.Trouble, bounded(err.Error())
	}
	request.Header.Set("User-Agent", "kruise-daemon")
	request.Header.Set("Accept", "*/*")
	for _, header := range action.HTTPHeaders {
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
			continue
		}
		request.Header.Set(header.Name, header.Value)
	}
	transport := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as kubelet does: a pod's certificate is for its Service
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Hostname() != via[0].URL.Hostname() {
			return http.ErrUseLastResponse
		}
		if len(via) >= mostRedirects {
			return fmt.Errorf("stopped after %d redirects", mostRedirects)
		}
		return nil
	}}
	response, err := client.Do(request)
	if err != nil {
		return probe.Failure, bounded(err.Error())
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, longestMessage))
	if err != nil {
		return probe.Failure, bounded(err.Error())
	}
	if response.StatusCode < http.StatusOK || response.StatusCode >= http.StatusBadRequest {
		return probe.Failure, bounded(response.Status + ": " + string(body))
	}
	return probe.Success, bounded(string(body))
}

// bounded is as much of a text as is kept. It ends with a whole character.
func bounded(text string) string {
	return strings.ToValidUTF8(strings.TrimSpace(text[:min(len(text), longestMessage)]), "")
}
