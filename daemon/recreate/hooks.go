package recreate

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
)

// longestOutput bounds what is told of a command's output, and what is read of an answer, in bytes.
const longestOutput = 512

// hooks runs preStop hooks in the forms that kubelet knows.
type hooks struct {
	// nodeAddress is where pods in the network of the node are reached.
	nodeAddress string
}

// run runs the hook of a container of a request, if it has one, and returns within the grace period.
func (h hooks) run(ctx context.Context, runtime *cri.Runtime, id string, r *v1beta1.ContainerRecreateRequest, name string, grace time.Duration) error {
	i := slices.IndexFunc(r.Spec.Containers, func(c v1beta1.ContainerRecreateRequestContainer) bool { return c.Name == name })
	if i < 0 || r.Spec.Containers[i].PreStop == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	container, hook := &r.Spec.Containers[i], r.Spec.Containers[i].PreStop
	switch {
	case hook.Exec != nil:
		out, err := runtime.Exec(ctx, id, hook.Exec.Command, grace)
		if err == nil && out.ExitCode != 0 {
			text := strings.TrimSpace(string(append(out.Stdout, out.Stderr...)))
			err = fmt.Errorf("command %q ended with exit code %d: %s", hook.Exec.Command, out.ExitCode, text[:min(len(text), longestOutput)])
		}
		return err
	case hook.HTTPGet != nil:
		address, err := h.address(ctx, runtime, r, hook.HTTPGet.Host, hook.HTTPGet.Port, container.Ports)
		if err != nil {
			return err
		}
		return get(ctx, hook.HTTPGet, address)
	case hook.TCPSocket != nil:
		address, err := h.address(ctx, runtime, r, hook.TCPSocket.Host, hook.TCPSocket.Port, container.Ports)
		if err != nil {
			return err
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("open a connection: %w", err)
		}
		return conn.Close()
	case hook.Sleep != nil:
		select {
		case <-time.After(time.Duration(hook.Sleep.Seconds) * time.Second):
		case <-ctx.Done(): // the grace period is over, or the process ends
		}
	}
	return nil
}

// address is the host and port of a hook. Its own host wins over that of the pod.
func (h hooks) address(
	ctx context.Context, runtime *cri.Runtime, r *v1beta1.ContainerRecreateRequest,
	host string, port intstr.IntOrString, ports []corev1.ContainerPort,
) (string, error) {
	number := port.IntValue()
	if port.Type == intstr.String {
		if i := slices.IndexFunc(ports, func(p corev1.ContainerPort) bool { return p.Name == port.StrVal }); i >= 0 {
			number = int(ports[i].ContainerPort)
		}
	}
	if number <= 0 {
		return "", fmt.Errorf("the container has no port %q", port.String())
	}
	if host == "" {
		ip, err := runtime.PodIP(ctx, string(podOf(r)))
		if err != nil {
			return "", err
		}
		host = ip
	}
	if host == "" {
		host = h.nodeAddress
	}
	if host == "" {
		return "", errors.New("the pod is in the network of the node, whose address is not known (environment variable NODE_IP)")
	}
	return net.JoinHostPort(host, strconv.Itoa(number)), nil
}

// get asks as kubelet does: no certificate is checked, and any answer is good.
func get(ctx context.Context, action *corev1.HTTPGetAction, address string) error {
	scheme := strings.ToLower(string(action.Scheme))
	if scheme == "" {
		scheme = "http"
	}
	target, err := url.Parse(action.Path)
	if err != nil {
		return fmt.Errorf("path %q of the hook: %w", action.Path, err)
	}
	target.Scheme, target.Host = scheme, address
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", target, err)
	}
	request.Header.Set("User-Agent", "kruise-daemon")
	for _, header := range action.HTTPHeaders {
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
			continue
		}
		request.Header.Add(header.Name, header.Value)
	}
	transport := &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // a pod's certificate is for its users
	}
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(request)
	if err != nil {
		return fmt.Errorf("ask %s: %w", target, err)
	}
	defer answer.Body.Close()
	_, err = io.CopyN(io.Discard, answer.Body, longestOutput)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the answer of %s: %w", target, err)
	}
	return nil
}
