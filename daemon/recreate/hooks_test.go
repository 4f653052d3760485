package recreate

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/cri/fake"
)

// hook runs one hook of a pod whose address is that of this machine.
func hook(t *testing.T, h hooks, runtime *fake.Runtime, action v1beta1.ContainerPreStop, ports ...corev1.ContainerPort) error {
	t.Helper()
	node := cri.NewNode([]string{runtime.Socket()}, cri.Options{})
	t.Cleanup(func() { node.Close() })
	r, err := node.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	request := &v1beta1.ContainerRecreateRequest{}
	request.Labels = map[string]string{v1beta1.ContainerRecreateRequestPodUIDKey: "1"}
	request.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{{Name: "app", PreStop: &action, Ports: ports}}
	return h.run(t.Context(), r, "app-id", request, "app", time.Minute)
}

// port is the port of a server.
func port(t *testing.T, address string) int {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestAHookOverHTTPAsksThePodAsItIsWritten(t *testing.T) {
	runtime := fake.New(t)
	runtime.Address("1", "127.0.0.1")
	for _, secure := range []bool{false, true} {
		asked := make(chan *http.Request, 1)
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked <- r
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound) // not followed: it leads out of the pod
		}))
		scheme := corev1.URISchemeHTTP
		if server.Start(); secure {
			server.Close()
			server = httptest.NewTLSServer(server.Config.Handler)
			scheme = corev1.URISchemeHTTPS
		}
		t.Cleanup(server.Close)
		err := hook(t, hooks{}, runtime, v1beta1.ContainerPreStop{HTTPGet: &corev1.HTTPGetAction{
			Path: "/drain?wait=1", Port: intstr.FromString("web"), Scheme: scheme,
			HTTPHeaders: []corev1.HTTPHeader{{Name: "host", Value: "shop.example"}, {Name: "X-Why", Value: "restart"}},
		}}, corev1.ContainerPort{Name: "web", ContainerPort: int32(port(t, server.URL))})
		if err != nil {
			t.Fatal(err)
		}
		if r := <-asked; r.URL.String() != "/drain?wait=1" || r.Host != "shop.example" || r.Header.Get("X-Why") != "restart" {
			t.Errorf("asked %s of %s with %v", r.URL, r.Host, r.Header)
		}
	}
}

func TestAHookOverTCPConnectsToThePodOrToTheNodeWhereThePodHasNoAddress(t *testing.T) {
	runtime := fake.New(t)
	runtime.Address("1", "")
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	action := v1beta1.ContainerPreStop{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt(listener.Addr().(*net.TCPAddr).Port)}}
	if err := hook(t, hooks{nodeAddress: "127.0.0.1"}, runtime, action); err != nil {
		t.Fatal(err)
	}
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if err := hook(t, hooks{}, runtime, action); err == nil || !strings.Contains(err.Error(), "NODE_IP") {
		t.Errorf("without an address: %v", err)
	}
	action.TCPSocket.Port = intstr.FromString("none")
	if err := hook(t, hooks{nodeAddress: "127.0.0.1"}, runtime, action); err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("a port that the container does not have: %v", err)
	}
}

func TestAHookThatSleepsEndsWithItsTimeOrWithTheGracePeriod(t *testing.T) {
	runtime := fake.New(t)
	if err := hook(t, hooks{}, runtime, v1beta1.ContainerPreStop{Sleep: &corev1.SleepAction{Seconds: 0}}); err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	request := &v1beta1.ContainerRecreateRequest{}
	request.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{{Name: "app", PreStop: &v1beta1.ContainerPreStop{Sleep: &corev1.SleepAction{Seconds: 1 << 20}}}}
	if err := (hooks{}).run(ctx, nil, "", request, "app", time.Hour); err != nil {
		t.Error(err)
	}
}
