package apiserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// egress has the API server send to a socket what it sends to Services.
const egress = `{"apiVersion": "apiserver.k8s.io/v1beta1", "kind": "EgressSelectorConfiguration", "egressSelections": [
	{"name": "cluster", "connection": {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": %q}}}}]}`

// network is what the API server reaches Services through. There is one, that of the managers: each connection to it goes to one of
// the replicas behind it, in turn.
type network struct {
	folder string
	server http.Server
	ended  chan error

	mu     sync.Mutex
	behind []*Replica
	turn   int
	open   map[*Replica][]net.Conn
}

func newNetwork(ctx context.Context) (*network, error) {
	folder, err := os.MkdirTemp("", "kruise-network-")
	if err != nil {
		return nil, fmt.Errorf("making the network of a cluster: %w", err)
	}
	n := &network{folder: folder, ended: make(chan error, 1), open: map[*Replica][]net.Conn{}}
	socket := filepath.Join(folder, "socket")
	listener, err := (&net.ListenConfig{}).Listen(ctx, "unix", socket)
	if err == nil {
		err = os.WriteFile(n.configuration(), fmt.Appendf(nil, egress, socket), 0o600)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making the network of a cluster: %w", err), os.RemoveAll(folder))
	}
	n.server = http.Server{Handler: n, ReadHeaderTimeout: time.Minute}
	go func() { n.ended <- n.server.Serve(listener) }()
	return n, nil
}

// configuration is the file by which the API server knows the network.
func (n *network) configuration() string { return filepath.Join(n.folder, "egress.json") }

// close ends the network and every connection through it.
func (n *network) close() error {
	n.lead(nil)
	err := n.server.Close()
	if end := <-n.ended; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return errors.Join(err, os.RemoveAll(n.folder))
}

// lead leads to these replicas from now on, the first one first, and cuts the connections to others.
func (n *network) lead(behind []*Replica) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.behind, n.turn = behind, 0
	for r, open := range n.open {
		if slices.Contains(behind, r) {
			continue
		}
		for _, c := range open {
			_ = c.Close() // whoever reads from it hears of it
		}
		delete(n.open, r)
	}
}

// connect opens a connection to the replica whose turn it is.
func (n *network) connect(ctx context.Context) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.behind) == 0 {
		return nil, errors.New("no replica is behind the Service")
	}
	r := n.behind[n.turn%len(n.behind)]
	n.turn++
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address(r.WebhookPort))
	if err == nil {
		n.open[r] = append(n.open[r], c)
	}
	return c, err
}

// ServeHTTP implements http.Handler: it answers what asks for a connection.
func (n *network) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	to, err := n.connect(r.Context())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer to.Close()
	from, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	go func() {
		defer to.Close()
		_, _ = io.Copy(to, from)
	}()
	_, _ = io.Copy(from, to)
}

// Behind puts replicas behind the Service of the managers, in place of those that stood there, to which every connection is cut.
// Those that are opened from now on go to each of them in turn, the first one first. Replicas are called by their Service where
// their WebhookHost is empty.
func (s *Server) Behind(replicas ...*Replica) { s.network.lead(replicas) }

// service is the Service of the managers.
func service() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ownNamespace, Name: "kruise-webhook-service"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 443}}},
	}
}
