package lab

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"kruise.io/kruise/lab/cluster"
)

// demo is a small server with a pod on every node, and a service in front of it.
const demo = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: demo}
spec:
  selector: {matchLabels: {app: demo}}
  template:
    metadata: {labels: {app: demo}}
    spec:
      containers:
      - {name: demo, image: openkruise/demo:1.10.2}
---
apiVersion: v1
kind: Service
metadata: {name: demo}
spec:
  selector: {app: demo}
  ports: [{port: 80, targetPort: 8080}]
`

func TestALabThatWasUpAndIsDownLeavesNothing(t *testing.T) {
	l := newLab(t, "e2e-life")
	before := l.host(t)
	l.run("up", "--nodes", "2")
	l.apply(demo)
	l.do("rollout", "status", "daemonset", "demo", "--timeout=2m")
	address := l.do("get", "service", "demo", "--output=jsonpath={.spec.clusterIP}")
	l.eventually("the host reaches the service", func() error { return get("http://" + address) })
	if during := l.host(t); cmp.Equal(before["processes"], during["processes"]) || cmp.Equal(before["links"], during["links"]) ||
		cmp.Equal(before["control groups"], during["control groups"]) {
		t.Error("a running lab cannot be seen: this test could not fail")
	}
	l.run("down")
	if diff := cmp.Diff(before, l.host(t)); diff != "" {
		t.Errorf("left behind (-before +after):\n%s", diff)
	}
	l.run("up")
	l.do("rollout", "status", "daemonset", "demo", "--timeout=2m")
	l.run("down", "--wipe")
	if _, err := os.Stat(l.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the data is still there: %v", err)
	}
	if diff := cmp.Diff(before, l.host(t)); diff != "" {
		t.Errorf("left behind after the second time (-before +after):\n%s", diff)
	}
}

func TestWhatDiesInALabComesBack(t *testing.T) {
	l := newLab(t, "e2e-repair")
	l.run("up", "--nodes", "2")
	if said := l.run("up"); !strings.Contains(said, "is up already") {
		t.Errorf("up of a lab that is up says %q", said)
	}
	// A program is started again by its keeper, as by the init system of any machine.
	for _, component := range []string{"kubelet-node-1", "kube-apiserver"} {
		was := l.pid(component)
		if was == 0 {
			t.Fatalf("%s does not run", component)
		}
		l.run("kill", component)
		l.eventually(component+" is back", func() error {
			if now := l.pid(component); now == 0 || now == was {
				return fmt.Errorf("its process is %d and was %d", now, was)
			}
			return nil
		})
	}
	l.eventually("the lab is well", func() error { _, err := l.try("status"); return err })
	// A machine is started again by up.
	for _, name := range []string{"node-2", "control-plane"} {
		keeper := l.state().Machines[name]
		if err := unix.Kill(keeper.PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		l.eventually(name+" is gone", func() error {
			if keeper.Alive() {
				return errors.New("it is alive")
			}
			return nil
		})
		if _, err := l.try("status"); err == nil {
			t.Errorf("the status is good without %s", name)
		}
		l.run("up")
		l.run("status")
	}
}

func TestTwoLabsLiveSideBySide(t *testing.T) {
	one, other := newLab(t, "e2e-one"), newLab(t, "e2e-other")
	addresses := map[*lab]string{}
	for _, l := range []*lab{one, other} {
		l.run("up", "--nodes", "1")
		l.apply(demo)
		l.do("rollout", "status", "daemonset", "demo", "--timeout=2m")
		addresses[l] = l.do("get", "service", "demo", "--output=jsonpath={.spec.clusterIP}")
	}
	for _, address := range addresses {
		one.eventually("the host reaches the service", func() error { return get("http://" + address) })
	}
	one.run("down")
	other.eventually("the host reaches the service of the lab that stays", func() error { return get("http://" + addresses[other]) })
	other.run("status")
}

// pid is the process of a component of the lab, or 0 when it does not run.
func (l *lab) pid(component string) int {
	l.t.Helper()
	state := l.state()
	all, err := cluster.Components(state.Layout(l.dir), state)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, c := range all {
		if c.Name == component {
			return c.PID
		}
	}
	return 0
}

// answerTime is how long one attempt to reach something may take.
const answerTime = 5 * time.Second

// get asks for a page of the demo server, without any proxy.
func get(url string) error {
	return ask(&http.Transport{DisableKeepAlives: true}, url)
}

func ask(transport *http.Transport, url string) error {
	client := http.Client{Timeout: answerTime, Transport: transport}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	page, err := io.ReadAll(response.Body)
	if err := errors.Join(err, response.Body.Close()); err != nil {
		return err
	}
	if !strings.Contains(string(page), "version: 1.10.2") {
		return fmt.Errorf("%s answered %q", url, page)
	}
	return nil
}
