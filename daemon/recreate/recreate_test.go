package recreate

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	criv1 "k8s.io/cri-api/pkg/apis/runtime/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri/fake"
	"kruise.io/kruise/plan/restart"
)

var errLost = errors.New("the connection was lost")

func TestAContainerIsStoppedAfterItsHookAndTheRequestEndsWhenKubeletHasStartedItAgain(t *testing.T) {
	n := newNode(t)
	app, other := n.runs("app"), n.runs("other")
	n.ask("one", nil, app)
	n.until("the container is stopped", n.stopped(app))
	n.kubelet("app")
	n.until("the request has ended", n.completed("one"))
	n.once(app, 1, 20)
	if s := n.state("one"); s.Phase != v1beta1.ContainerRecreateRequestSucceeded || !s.IsKilled || s.ContainerID != "containerd://"+app {
		t.Errorf("%+v", s)
	}
	if c := n.runtime.Container(other); c.Exited() {
		t.Error("its neighbour was stopped")
	}
	if want := []string{"web Killing: Stopping container app for ContainerRecreateRequest one"}; !slices.Equal(n.events, want) {
		t.Errorf("events %q", n.events)
	}
}

func TestADaemonThatIsKilledBetweenHookAndStopDoesNotRunTheHookAgain(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Break("StopContainer", fake.Fault{Hold: make(chan struct{})})
	n.ask("one", nil, app)
	n.until("the hook has run", func() bool { return len(n.runtime.Container(app).Commands) == 1 })
	n.runtime.AwaitHeld("StopContainer")
	n.kill()
	n.runtime.Mend("StopContainer")
	n.process.stopping.SetTime(n.state("one").StopTime.Add(7 * time.Second))
	n.until("the container is stopped", n.stopped(app))
	n.kubelet("app")
	n.until("the request has ended", n.completed("one"))
	n.once(app, 1, 13)
}

func TestADaemonThatIsKilledInTheHookLeavesItAtThat(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Break("ExecSync", fake.Fault{Hold: make(chan struct{})})
	n.ask("one", nil, app)
	n.until("the stop is begun", func() bool { a, _ := n.process.controller.stopper.Known(n.request("one")); return a["app"].Running })
	n.runtime.AwaitHeld("ExecSync")
	n.kill()
	n.runtime.Mend("ExecSync")
	n.process.stopping.SetTime(n.state("one").StopTime.Add(time.Hour))
	n.until("the container is stopped", n.stopped(app))
	n.once(app, 0, 2)
}

func TestADaemonThatIsKilledAfterTheStopDoesNotStopAgain(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.ask("one", nil, app)
	n.until("the container is stopped", n.stopped(app))
	n.kill()
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	successor := n.kubelet("app")
	n.until("the request has ended", n.completed("one"))
	n.once(app, 1, 20)
	if c := n.runtime.Container(successor); c.Exited() {
		t.Error("its successor was stopped, too")
	}
}

func TestARuntimeThatIsDownIsWaitedFor(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Down()
	n.ask("one", nil, app)
	n.until("it is told", func() bool {
		return strings.HasPrefix(n.request("one").Status.Message, "the container runtime does not answer: ")
	})
	if s := n.state("one"); s.StopTime != nil {
		t.Errorf("%+v", s)
	}
	n.runtime.Up()
	n.until("the container is stopped", n.stopped(app))
	n.once(app, 1, 20)
}

func TestARuntimeThatRestartsInTheMiddleOfAStopIsAskedAgainAndTheHookIsNotRunAgain(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Break("StopContainer", fake.Fault{Hold: make(chan struct{})})
	n.ask("one", nil, app)
	n.until("the hook has run", func() bool { return len(n.runtime.Container(app).Commands) == 1 })
	n.runtime.AwaitHeld("StopContainer")
	n.runtime.Down()
	n.runtime.Mend("StopContainer")
	n.runtime.Up()
	n.until("the container is stopped", n.stopped(app))
	n.kubelet("app")
	n.until("the request has ended", n.completed("one"))
	n.once(app, 1, 20)
}

func TestAStopWhoseAnswerIsLostIsMadeAgainAndDoesNothing(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Break("StopContainer", fake.Fault{Times: 3, After: true, Code: codes.Unavailable, Message: "gone"})
	n.ask("one", nil, app)
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	n.once(app, 1, 20)
}

func TestAHookWhoseAnswerIsLostIsNotRunAgain(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.runtime.Break("ExecSync", fake.Fault{Times: 1, After: true, Code: codes.Unavailable, Message: "gone"})
	n.ask("one", nil, app)
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	n.once(app, 1, 20)
	if !slices.ContainsFunc(n.events, func(e string) bool {
		return strings.HasPrefix(e, "web FailedPreStopHook: PreStopHook of container app failed: ")
	}) {
		t.Errorf("events %q", n.events)
	}
}

func TestAHookThatFailsIsToldAndTheContainerIsStoppedAllTheSame(t *testing.T) {
	n := newNode(t)
	app := n.runtime.Run(fake.Container{PodUID: "1", Name: "app", Says: func([]string) (string, int32) { return "no such queue", 3 }})
	n.ask("one", nil, app)
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	n.once(app, 1, 20)
	if want := `web FailedPreStopHook: PreStopHook of container app failed: command ["drain"] ended with exit code 3: no such queue`; !slices.Contains(n.events, want) {
		t.Errorf("events %q", n.events)
	}
}

func TestWhileTheAPIServerIsAwayNothingIsBegunAndWhatWasBegunIsDoneOnce(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.ask("one", nil, app)
	n.write = func(func() error) error { return errLost }
	for range 20 {
		n.look()
	}
	if c := n.runtime.Container(app); c.Exited() || len(c.Commands) > 0 {
		t.Fatalf("%+v", c)
	}
	n.write = nil
	n.until("the stop is written down", func() bool { return n.state("one").StopTime != nil })
	n.write = func(func() error) error { return errLost }
	n.until("the container is stopped", n.stopped(app))
	successor := n.runs("app")
	for range 20 {
		n.look()
	}
	n.write = nil
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	n.once(app, 1, 20)
	if n.runtime.Container(successor).Exited() {
		t.Error("its successor was stopped, too")
	}
}

func TestAWriteWhoseAnswerIsLostIsStillOurs(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.write = func(carryOut func() error) error { return errors.Join(carryOut(), errLost) }
	n.ask("one", nil, app)
	n.until("the container is stopped", n.stopped(app))
	n.once(app, 1, 20)
}

func TestARuntimeThatLiesAboutAContainerIsBelievedUntilItSaysOtherwise(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	exited, running := criv1.ContainerState_CONTAINER_EXITED, criv1.ContainerState_CONTAINER_RUNNING
	n.runtime.Lie(app, &exited)
	n.ask("one", nil, app)
	n.until("its successor is waited for", func() bool { return n.state("one").Message == "waits for kubelet to start it again" })
	n.runtime.Lie(app, &running)
	n.until("the stop is known", func() bool { return n.state("one").IsKilled })
	for range 20 { // it still says that it runs
		n.look()
	}
	n.once(app, 1, 20)
}

func TestAContainerThatTheRuntimeRefusesToStopHasFailed(t *testing.T) {
	for _, code := range []codes.Code{codes.Internal, codes.DeadlineExceeded, codes.Canceled} {
		n := newNode(t)
		app := n.runs("app")
		n.runtime.Break("StopContainer", fake.Fault{Code: code, Message: "it does not die"})
		n.ask("one", nil, app)
		n.until("the request has ended", n.completed("one"))
		if s := n.state("one"); s.Phase != v1beta1.ContainerRecreateRequestFailed || !strings.Contains(s.Message, "it does not die") {
			t.Errorf("%s: %+v", code, s)
		}
		if c := n.runtime.Container(app); len(c.Commands) != 1 {
			t.Errorf("%s: the hook ran %d times", code, len(c.Commands))
		}
		if !slices.ContainsFunc(n.events, func(e string) bool {
			return strings.HasPrefix(e, "web FailedKillContainer: Container app: could not be stopped: ")
		}) {
			t.Errorf("%s: events %q", code, n.events)
		}
	}
}

func TestASecondRequestForAPodWaitsForTheFirstAndThenBegins(t *testing.T) {
	n := newNode(t)
	app, log := n.runs("app"), n.runs("log")
	n.ask("one", nil, app)
	n.look()
	n.ask("two", func(r *v1beta1.ContainerRecreateRequest) {
		r.CreationTimestamp.Time = r.CreationTimestamp.Add(time.Hour)
	}, log)
	n.until("the second waits", func() bool { return n.request("two").Status.Message == "waits for request one for the same pod" })
	n.until("the container is stopped", n.stopped(app))
	n.kubelet("app")
	n.until("the first has ended", n.completed("one"))
	for range 20 {
		n.look()
	}
	if n.runtime.Container(log).Exited() {
		t.Error("the second began before the first was tidied up after")
	}
	first := n.request("one")
	if err := n.api.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	n.until("the second is carried out", n.stopped(log))
}

func TestAContainerThatIsNotStartedAgainEndsTheRequest(t *testing.T) {
	n := newNode(t)
	app := n.runtime.Run(fake.Container{PodUID: "1", Name: "app", ExitCode: 143})
	n.ask("one", func(r *v1beta1.ContainerRecreateRequest) {
		r.Spec.Containers[0].RestartPolicy = corev1.ContainerRestartPolicyNever
	}, app)
	n.until("the request has ended", n.completed("one"))
	if s := n.state("one"); s.Phase != v1beta1.ContainerRecreateRequestFailed || !s.IsKilled || !strings.Contains(s.Message, "Never") {
		t.Errorf("%+v", s)
	}
}

func TestADaemonThatIsToldToEndFinishesItsStopsAndBeginsNone(t *testing.T) {
	n := newNode(t)
	app, log := n.runs("app"), n.runs("log")
	s := NewStopper(Options{Runtimes: n.process.controller.runtimes}, func(types.NamespacedName) {}) // not started as the node's is
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Start(ctx) }()
	hold := make(chan struct{})
	n.runtime.Break("StopContainer", fake.Fault{Times: 1, Hold: hold})
	n.ask("one", nil, app, log)
	r := n.request("one")
	if !s.Begin(t.Context(), r, restart.Stop{Name: "app", ID: "containerd://" + app}) {
		t.Fatal("the stop was not begun")
	}
	cancel()
	for closed := false; !closed; {
		s.mu.Lock()
		closed = s.closed
		s.mu.Unlock()
	}
	if s.Begin(t.Context(), r, restart.Stop{Name: "log", ID: "containerd://" + log}) {
		t.Error("a stop was begun")
	}
	close(hold)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !n.runtime.Container(app).Exited() || n.runtime.Container(log).Exited() {
		t.Error("the stop that was under way was not finished, or another was begun")
	}
}

func TestAStopThatIsWrittenDownWhileThatOfTheContainerBeforeIsUnderWayIsBegunAfterwards(t *testing.T) {
	n := newNode(t)
	app := n.runs("app")
	n.ask("one", nil, app)
	r, s := n.request("one"), n.process.controller.stopper
	begin := func(id string) bool {
		s.Remember(r, []v1beta1.ContainerRecreateState{{Name: "app", ContainerID: "containerd://" + id, StopTime: ptr.To(metav1.Now())}})
		return s.Begin(t.Context(), r, restart.Stop{Name: "app", ID: "containerd://" + id, Hook: true})
	}
	hold := make(chan struct{})
	n.runtime.Break("StopContainer", fake.Fault{Times: 1, Hold: hold})
	if !begin(app) {
		t.Fatal("the first stop was not begun")
	}
	n.runtime.AwaitHeld("StopContainer")
	n.runtime.Exit(app) // of itself, and kubelet starts it again
	next := n.runs("app")
	if begin(next) {
		t.Fatal("two stops are under way")
	}
	close(hold)
	for running := true; running; {
		attempts, _ := s.Known(r)
		running = attempts["app"].Running
	}
	if !s.Begin(t.Context(), r, restart.Stop{Name: "app", ID: "containerd://" + next, Hook: true}) {
		t.Fatal("the second stop was not begun")
	}
	if c := n.runtime.Await(next, fake.Container.Exited); len(c.Commands) != 1 {
		t.Errorf("its hook ran %d times", len(c.Commands))
	}
}
