package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// claim is a pod with a volume that is made for it.
const claim = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: keeper}
spec:
  nodeSelector: {kubernetes.io/hostname: node-1}
  containers:
  - {name: demo, image: openkruise/demo:1.10.2, volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

// late is one more service in front of the demo server, at an address that is known before.
const late = `
apiVersion: v1
kind: Service
metadata: {name: late}
spec:
  clusterIP: %s
  selector: {app: demo}
  ports: [{port: 80, targetPort: 8080}]
`

func TestALabWorksAsAnyCluster(t *testing.T) {
	l := newLab(t, "e2e-use")
	l.run("up", "--nodes", "2", "--simulated", "3", "--audit")
	l.apply(demo)
	l.do("rollout", "status", "daemonset", "demo", "--timeout=2m")
	service := l.do("get", "service", "demo", "--output=jsonpath={.spec.clusterIP}")
	pods := strings.Fields(l.do("get", "pods", "--selector=app=demo", "--field-selector=spec.nodeName!=sim-1,spec.nodeName!=sim-2,spec.nodeName!=sim-3",
		"--output=jsonpath={.items[*].status.podIP}"))
	if len(pods) != 2 {
		t.Fatalf("there are %d pods on 2 real nodes", len(pods))
	}
	places := map[string]int{"the host": os.Getpid(), "the control plane": l.state().Machines["control-plane"].PID}
	for _, node := range []string{"node-1", "node-2"} {
		places[node] = l.state().Machines[node].PID
		places["a pod on "+node] = l.inContainer(node, "/demo")
	}
	for place, pid := range places {
		for _, address := range append(pods, service) {
			port := ":8080"
			if address == service {
				port = ":80"
			}
			l.eventually(place+" reaches "+address, func() error { return getFrom(t.Context(), pid, address+port) })
		}
		if place == "the host" {
			continue // It has its own name servers.
		}
		l.eventually(place+" resolves names", func() error {
			found, err := lookupFrom(t.Context(), pid, l.state().Layout(l.dir).DNSAddress().String(), "demo.default.svc.cluster.local.")
			if err == nil && found != service {
				err = fmt.Errorf("the name leads to %s, and the service is %s", found, service)
			}
			return err
		})
	}
	t.Run("logs and commands", func(t *testing.T) {
		pod := l.do("get", "pods", "--selector=app=demo", "--field-selector=spec.nodeName=node-2", "--output=name")
		if log := l.do("logs", pod); !strings.Contains(log, "demo 1.10.2 serves") {
			t.Errorf("the log says %q", log)
		}
		if answer := l.do("exec", pod, "--", "/demo", "-help"); !strings.Contains(answer, "port to serve on") {
			t.Errorf("a command in a container answers %q", answer)
		}
	})
	t.Run("volumes", func(t *testing.T) {
		l.apply(claim)
		l.do("wait", "pod", "keeper", "--for=condition=Ready", "--timeout=2m")
		if found := list(t, filepath.Join(l.dir, "volumes", "node-*", "volumes", "*")); len(found) != 1 {
			t.Errorf("the volume is not where it should be: %v", found)
		}
	})
	t.Run("a node that is cut off", func(t *testing.T) {
		there := l.do("get", "pods", "--selector=app=demo", "--field-selector=spec.nodeName=node-2", "--output=jsonpath={.items[0].status.podIP}")
		here := l.do("get", "pods", "--selector=app=demo", "--field-selector=spec.nodeName=node-1", "--output=jsonpath={.items[0].status.podIP}")
		control := l.state().Machines["control-plane"].PID
		for range 2 { // The second time nothing is left to do.
			l.run("cut", "node-2")
		}
		for place, pid := range map[string]int{"the control plane": control, "node-1": l.state().Machines["node-1"].PID} {
			if getFrom(t.Context(), pid, there+":8080") == nil {
				t.Errorf("%s reaches a pod on the node that is cut off", place)
			}
		}
		l.eventually("the other node is in reach", func() error { return getFrom(t.Context(), os.Getpid(), here+":8080") })
		for range 2 {
			l.run("mend", "node-2")
		}
		l.eventually("the pod is in reach again", func() error { return getFrom(t.Context(), control, there+":8080") })
	})
	t.Run("a service that was asked for before it was there", func(t *testing.T) {
		control := l.state().Machines["control-plane"].PID
		address := l.state().Layout(l.dir).DNSAddress().Next().String()
		// The same port again, as a port of many requests comes again by chance.
		const port = 24680
		for place, pid := range map[string]int{"the host": os.Getpid(), "the control plane": control} {
			l.eventually(place+" is refused while there is no service", func() error {
				if err := getFromPort(t.Context(), pid, port, address+":80"); !errors.Is(err, unix.ECONNREFUSED) {
					return fmt.Errorf("it was not refused, but ended with %q", fmt.Sprint(err))
				}
				return nil
			})
		}
		l.apply(fmt.Sprintf(late, address))
		for place, pid := range map[string]int{"the host": os.Getpid(), "the control plane": control} {
			l.eventually(place+" reaches the service", func() error { return getFromPort(t.Context(), pid, port, address+":80") })
		}
	})
	t.Run("every request is recorded", func(t *testing.T) {
		record, err := os.ReadFile(filepath.Join(l.dir, "log", "audit.log"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(record), `"requestURI":"/apis/apps/v1/namespaces/default/daemonsets`) || strings.Contains(string(record), `"stage":"RequestReceived"`) {
			t.Error("the record lacks a request, or has one more than once")
		}
	})
}

// inContainer returns the process ID of a program in a container on a node.
func (l *lab) inContainer(node, program string) int {
	l.t.Helper()
	for _, dir := range list(l.t, "/proc/[0-9]*") {
		command, _ := os.ReadFile(filepath.Join(dir, "cmdline")) // Gone meanwhile: not the one.
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		if strings.HasPrefix(string(command), program) && strings.Contains(string(groups), "/kruise-lab-"+l.name+"-"+node+"/") {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				l.t.Fatal(err)
			}
			return pid
		}
	}
	l.t.Fatalf("no container on %s runs %s", node, program)
	return 0
}

// getFrom asks for the demo's page from the network of a process.
func getFrom(ctx context.Context, pid int, address string) error {
	return getFromPort(ctx, pid, 0, address)
}

// getFromPort does so from a certain port; 0 is any.
func getFromPort(ctx context.Context, pid, port int, address string) error {
	conn, err := dialFrom(ctx, pid, net.Dialer{LocalAddr: &net.TCPAddr{Port: port}}, "tcp", address)
	if err != nil {
		return err
	}
	return ask(&http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(context.Context, string, string) (net.Conn, error) { return conn, nil },
	}, "http://"+address)
}

// lookupFrom resolves a name from the network of a process.
func lookupFrom(ctx context.Context, pid int, server, name string) (string, error) {
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return dialFrom(ctx, pid, net.Dialer{}, network, net.JoinHostPort(server, "53"))
	}}
	addresses, err := resolver.LookupHost(ctx, name)
	if err != nil {
		return "", err
	}
	return strings.Join(addresses, " "), nil
}

// dialFrom connects from the network of a process. The thread that has been there is never used for anything else.
func dialFrom(ctx context.Context, pid int, dialer net.Dialer, network, address string) (net.Conn, error) {
	type result struct {
		conn net.Conn
		err  error
	}
	results := make(chan result)
	go func() {
		// Not unlocked: the runtime ends the thread together with the goroutine.
		runtime.LockOSThread()
		conn, err := dialThere(ctx, pid, dialer, network, address)
		results <- result{conn, err}
	}()
	r := <-results
	return r.conn, r.err
}

func dialThere(ctx context.Context, pid int, dialer net.Dialer, network, address string) (net.Conn, error) {
	there, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return nil, err
	}
	if err := errors.Join(unix.Setns(int(there.Fd()), unix.CLONE_NEWNET), there.Close()); err != nil {
		return nil, err
	}
	dialer.Timeout = answerTime
	return dialer.DialContext(ctx, network, address)
}
