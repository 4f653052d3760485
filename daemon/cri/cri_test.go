package cri_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"

	"kruise.io/kruise/daemon/cri"
	"kruise.io/kruise/daemon/cri/fake"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect makes a node with these runtimes.
func connect(t *testing.T, o cri.Options, runtimes ...*fake.Runtime) *cri.Node {
	t.Helper()
	var sockets []string
	for _, r := range runtimes {
		sockets = append(sockets, r.Socket())
	}
	node := cri.NewNode(sockets, o)
	t.Cleanup(func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	})
	return node
}

// first is the first runtime of a node.
func first(t *testing.T, node *cri.Node) *cri.Runtime {
	t.Helper()
	r, err := node.First(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// until repeats a call until it does not fail for want of a runtime.
func until(t *testing.T, call func() error) {
	t.Helper()
	for {
		err := call()
		if err == nil {
			return
		}
		if !cri.Unreachable(err) || t.Context().Err() != nil {
			t.Fatal(err)
		}
	}
}

func TestSocketsAreTriedInTheDocumentedOrderAndTheOwnOneFirst(t *testing.T) {
	want := []string{
		"/r/containerd.sock", "/r/containerd/containerd.sock", "/r/crio.sock", "/r/crio/crio.sock",
		"/r/cri-dockerd.sock", "/r/cri-dockerd/cri-dockerd.sock",
	}
	if got := cri.Sockets("/r", ""); !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if got := cri.Sockets("/r", "k3s/containerd.sock"); !slices.Equal(got, append([]string{"/r/k3s/containerd.sock"}, want...)) {
		t.Errorf("with a socket of its own, got %q", got)
	}
	if got := cri.Sockets("/r", "crio.sock"); got[0] != "/r/crio.sock" || len(got) != len(want) {
		t.Errorf("with one of the others first, got %q", got)
	}
}

func TestTheRuntimeOfAContainerIsFoundByTheSchemeOfItsID(t *testing.T) {
	containerd, crio := fake.New(t), fake.New(t)
	crio.Rename("cri-o", "1.34.0")
	node := connect(t, cri.Options{}, containerd, crio)

	for _, tc := range []struct{ containerID, socket string }{
		{"containerd://abc", containerd.Socket()},
		{"cri-o://abc", crio.Socket()},
	} {
		r, id, err := node.Of(t.Context(), tc.containerID)
		if err != nil || r.Socket() != tc.socket || id != "abc" {
			t.Errorf("%s: %v, container %q, %v", tc.containerID, r, id, err)
		}
	}
	_, _, err := node.Of(t.Context(), "docker://abc")
	if !cri.Unreachable(err) || !strings.Contains(err.Error(), "no container runtime called docker: the runtime at "+containerd.Socket()+" is containerd") {
		t.Errorf("a runtime that is not there: %v", err)
	}
	for _, bad := range []string{"", "abc", "://abc", "containerd://"} {
		if _, _, err := node.Of(t.Context(), bad); err == nil || cri.Unreachable(err) || !strings.Contains(err.Error(), bad) {
			t.Errorf("container ID %q: %v", bad, err)
		}
	}
}

func TestANodeWithoutASocketSaysWhereItLooked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "containerd.sock")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := cri.NewNode([]string{file, "/nowhere/crio.sock"}, cri.Options{}).First(t.Context())
	if !cri.Unreachable(err) || !strings.Contains(err.Error(), "there is no socket at any of "+file+", /nowhere/crio.sock") {
		t.Errorf("%v", err)
	}
}

func TestARuntimeThatIsRestartedAsAnotherVersionIsFoundAgain(t *testing.T) {
	runtime := fake.New(t)
	id := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
	node := connect(t, cri.Options{ReconnectWithin: 10 * time.Millisecond}, runtime)
	r := first(t, node)

	runtime.Down()
	if _, err := r.Containers(t.Context(), "pod"); !cri.Unreachable(err) {
		t.Errorf("while the runtime is down: %v", err)
	}
	if _, err := node.First(t.Context()); !cri.Unreachable(err) {
		t.Errorf("while the runtime is down, another one is looked for: %v", err)
	}
	runtime.Rename("containerd", "v9")
	runtime.Up()
	until(t, func() error {
		containers, err := r.Containers(t.Context(), "pod")
		if err == nil && containers["app"].ID != id {
			t.Errorf("after the restart: %v", containers)
		}
		return err
	})
	if about, err := r.About(t.Context()); err != nil || about.Version != "v9" {
		t.Errorf("%v, %v", about, err)
	}
}

func TestARuntimeWithoutVersion1OfTheInterfaceIsRefusedInWords(t *testing.T) {
	for _, method := range []string{"Version", "ImageFsInfo"} {
		runtime := fake.New(t)
		runtime.Break(method, fake.Fault{Code: codes.Unimplemented, Message: "unknown service"})
		_, err := connect(t, cri.Options{}, runtime).First(t.Context())
		if err == nil || !strings.Contains(err.Error(), runtime.Socket()+" does not serve version 1 of the Container Runtime Interface") {
			t.Errorf("%s is not served: %v", method, err)
		}
	}
}

func TestARuntimeThatHangsIsGivenUpInTimeAndTheNextOneIsTaken(t *testing.T) {
	hanging, other := fake.New(t), fake.New(t)
	hanging.Break("Version", fake.Fault{Hold: make(chan struct{})})
	node := connect(t, cri.Options{Timeout: 20 * time.Millisecond}, hanging)
	if _, err := node.First(t.Context()); !cri.Unreachable(err) {
		t.Errorf("%v", err)
	}
	if r := first(t, connect(t, cri.Options{Timeout: time.Second}, hanging, other)); r.Socket() != other.Socket() {
		t.Errorf("took %s", r.Socket())
	}
}

func TestOneSocketWithTwoNamesIsOneRuntime(t *testing.T) {
	runtime := fake.New(t)
	link := filepath.Join(t.TempDir(), "containerd.sock")
	if err := os.Symlink(runtime.Socket(), link); err != nil {
		t.Fatal(err)
	}
	node := cri.NewNode([]string{link, runtime.Socket()}, cri.Options{})
	t.Cleanup(func() { node.Close() })
	_, _, err := node.Of(t.Context(), "cri-o://abc")
	if err == nil || strings.Count(err.Error(), "is containerd") != 1 {
		t.Errorf("%v", err)
	}
}

func TestOfSeveralContainersOfOneNameTheNewestCounts(t *testing.T) {
	runtime := fake.New(t)
	old := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
	r := first(t, connect(t, cri.Options{}, runtime))
	if err := r.Stop(t.Context(), old, 3*time.Second); err != nil {
		t.Fatal(err)
	}
	if c := runtime.Container(old); !c.Exited() || !slices.Equal(c.Stops, []int64{3}) {
		t.Errorf("the stopped container is %+v", c)
	}
	young := runtime.Run(fake.Container{PodUID: "pod", Name: "app", Annotations: map[string]string{cri.HashAnnotation: "1f"}})
	runtime.Run(fake.Container{PodUID: "other", Name: "app"})
	containers, err := r.Containers(t.Context(), "pod")
	if err != nil || len(containers) != 1 || containers["app"].ID != young || !containers["app"].Running || containers["app"].Annotations[cri.HashAnnotation] != "1f" {
		t.Errorf("%+v, %v", containers, err)
	}
	if life, err := r.Life(t.Context(), young); err != nil || life.Started.UnixNano() != runtime.Container(young).Started {
		t.Errorf("%+v, %v", life, err)
	}
	if life, err := r.Life(t.Context(), old); err != nil || life.ExitCode != 137 {
		t.Errorf("the life of the stopped container: %+v, %v", life, err)
	}
}

func TestAStopCanBeRepeatedAndOneOfAContainerThatIsGoneSucceeds(t *testing.T) {
	runtime := fake.New(t)
	id := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
	runtime.Break("StopContainer", fake.Fault{Times: 1, After: true, Code: codes.Unavailable, Message: "connection lost"})
	r := first(t, connect(t, cri.Options{}, runtime))
	if err := r.Stop(t.Context(), id, 1500*time.Millisecond); !cri.Unreachable(err) {
		t.Errorf("the answer was lost: %v", err)
	}
	if err := r.Stop(t.Context(), id, time.Second); err != nil {
		t.Error(err)
	}
	if c := runtime.Container(id); !slices.Equal(c.Stops, []int64{2}) {
		t.Errorf("stopped with grace periods of %d seconds", c.Stops)
	}
	runtime.Remove(id)
	if err := r.Stop(t.Context(), id, time.Second); err != nil {
		t.Error(err)
	}
}

func TestACommandThatFailsOrTakesTooLongIsToldFromARuntimeThatDoes(t *testing.T) {
	runtime := fake.New(t)
	id := runtime.Run(fake.Container{PodUID: "pod", Name: "app", Says: func([]string) (string, int32) { return "no", 7 }})
	r := first(t, connect(t, cri.Options{Slack: 20 * time.Millisecond}, runtime))
	if out, err := r.Exec(t.Context(), id, []string{"false"}, time.Second); err != nil || out.ExitCode != 7 || string(out.Stdout) != "no" {
		t.Errorf("a command that fails: %+v, %v", out, err)
	}
	runtime.Break("ExecSync", fake.Fault{Times: 1, Code: codes.DeadlineExceeded, Message: "the command took too long"})
	if _, err := r.Exec(t.Context(), id, []string{"sleep"}, time.Minute); !errors.Is(err, cri.ErrCommandTimeout) {
		t.Errorf("a command that takes too long: %v", err)
	}
	runtime.Break("ExecSync", fake.Fault{Times: 1, Hold: make(chan struct{})})
	if _, err := r.Exec(t.Context(), id, []string{"sleep"}, 0); !cri.Unreachable(err) || !errors.Is(err, cri.ErrCommandTimeout) {
		t.Errorf("a runtime that hangs: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Exec(ctx, id, []string{"true"}, time.Minute); !cri.Unreachable(err) || errors.Is(err, cri.ErrCommandTimeout) {
		t.Errorf("a caller that gave up: %v", err)
	}
}

func TestTheAddressOfAPodIsThatOfItsSandbox(t *testing.T) {
	runtime := fake.New(t)
	runtime.Address("pod", "10.1.2.3")
	r := first(t, connect(t, cri.Options{}, runtime))
	if ip, err := r.PodIP(t.Context(), "pod"); err != nil || ip != "10.1.2.3" {
		t.Errorf("%q, %v", ip, err)
	}
	if ip, err := r.PodIP(t.Context(), "none"); err != nil || ip != "" {
		t.Errorf("a pod without a sandbox: %q, %v", ip, err)
	}
}

func TestAnImageIsFoundByItsNamesOncePulled(t *testing.T) {
	runtime := fake.New(t)
	runtime.AddImage(fake.Image{ID: "sha256:1", Tags: []string{"docker.io/library/nginx:1"}, Size: 42, Remote: true})
	r := first(t, connect(t, cri.Options{}, runtime))
	if _, found, err := r.Image(t.Context(), "docker.io/library/nginx:1"); found || err != nil {
		t.Errorf("before it is pulled: %t, %v", found, err)
	}
	ref, err := r.Pull(t.Context(), cri.Pull{Image: "docker.io/library/nginx:1", Credentials: cri.Credentials{Username: "me", Password: "secret"}})
	if err != nil || ref != "sha256:1" {
		t.Errorf("%q, %v", ref, err)
	}
	if i, found, err := r.Image(t.Context(), "docker.io/library/nginx:1"); !found || err != nil || i.ID != "sha256:1" || i.Size != 42 {
		t.Errorf("%+v, %t, %v", i, found, err)
	}
	if i := runtime.Image("sha256:1"); !slices.Equal(i.Pulls, []string{"me"}) {
		t.Errorf("pulled by %q", i.Pulls)
	}
	if _, err := r.Pull(t.Context(), cri.Pull{Image: "none"}); !cri.NotFound(err) || strings.Contains(err.Error(), "secret") {
		t.Errorf("an image that does not exist: %v", err)
	}
}

func TestAStateThatTheRuntimeLiesAboutIsWhatItSays(t *testing.T) {
	runtime := fake.New(t)
	id := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
	exited := criv1.ContainerState_CONTAINER_EXITED
	runtime.Lie(id, &exited)
	r := first(t, connect(t, cri.Options{}, runtime))
	if containers, err := r.Containers(t.Context(), "pod"); err != nil || containers["app"].Running {
		t.Errorf("%+v, %v", containers, err)
	}
}

func TestASocketThatNobodyServesIsUnreachable(t *testing.T) {
	folder, err := os.MkdirTemp("", "cri") //nolint:usetesting // a socket's path is short, and a test's folder is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "containerd.sock")
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	node := cri.NewNode([]string{socket}, cri.Options{})
	t.Cleanup(func() { node.Close() })
	if _, err := node.First(t.Context()); !cri.Unreachable(err) {
		t.Errorf("%v", err)
	}
}

func TestTheEnvironmentOfAContainerIsToldByTheRuntimeOrElseByTheContainer(t *testing.T) {
	runtime := fake.New(t)
	r := first(t, connect(t, cri.Options{}, runtime))
	for name, discreet := range map[string]bool{"told": false, "asked": true} {
		id := runtime.Run(fake.Container{PodUID: "pod", Name: name, Env: []string{"A=1", "B=x=y", "EMPTY="}, Discreet: discreet})
		env, err := r.Env(t.Context(), id)
		if err != nil || len(env) != 3 || env["A"] != "1" || env["B"] != "x=y" {
			t.Errorf("%s: %v, %v", name, env, err)
		}
		if asked := len(runtime.Container(id).Commands) > 0; asked != discreet {
			t.Errorf("%s: a command ran: %t", name, asked)
		}
	}
	mute := runtime.Run(fake.Container{PodUID: "pod", Name: "mute", Discreet: true, Says: func([]string) (string, int32) { return "", 127 }})
	if _, err := r.Env(t.Context(), mute); err == nil || !strings.Contains(err.Error(), "exit code 127") {
		t.Errorf("an image without the command: %v", err)
	}
}

func TestARuntimeThatWaitedInVainForSomebodyElseIsNotAway(t *testing.T) {
	for code, away := range map[codes.Code]bool{codes.DeadlineExceeded: false, codes.Canceled: false, codes.Unknown: false, codes.Unavailable: true} {
		runtime := fake.New(t)
		id := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
		r := first(t, connect(t, cri.Options{}, runtime))
		for _, method := range []string{"PullImage", "StopContainer"} {
			runtime.Break(method, fake.Fault{Code: code, Message: "dial tcp: i/o timeout"})
		}
		if _, err := r.Pull(t.Context(), cri.Pull{Image: "nginx"}); err == nil || cri.Unreachable(err) != away {
			t.Errorf("a pull that ends with %s: %v, and the runtime is away: %t", code, err, !away)
		}
		if err := r.Stop(t.Context(), id, time.Second); err == nil || cri.Unreachable(err) != away {
			t.Errorf("a stop that ends with %s: %v, and the runtime is away: %t", code, err, !away)
		}
	}
}

func TestACallThatTakesTooLongIsHeldAgainstARuntimeThatAnswersOtherwise(t *testing.T) {
	for _, hangs := range []bool{true, false} {
		runtime := fake.New(t)
		id := runtime.Run(fake.Container{PodUID: "pod", Name: "app"})
		r := first(t, connect(t, cri.Options{Timeout: time.Second, Slack: time.Millisecond}, runtime))
		runtime.Break("StopContainer", fake.Fault{Hold: make(chan struct{})})
		if hangs {
			runtime.Break("Version", fake.Fault{Hold: make(chan struct{})})
		}
		if err := r.Stop(t.Context(), id, 0); err == nil || cri.Unreachable(err) != hangs {
			t.Errorf("the runtime hangs: %t; the error is %v", hangs, err)
		}
	}
}
