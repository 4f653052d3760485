package probe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/daemon/cri/fake"
)

func TestWhatACommandFindsIsReportedWhenItChangesAndToldOnce(t *testing.T) {
	n := newNode(t)
	a := &answers{words: map[string]string{"p": "idle"}}
	id := n.runs(a)
	n.hand(exec("p"))
	n.found("m#p", "Succeeded idle")
	version := n.object().ResourceVersion
	a.set("p", "idle again")
	n.attempts(id, 20)
	if got := n.object().ResourceVersion; got != version {
		t.Error("the status was written although the probe found the same")
	}
	a.set("p", "!busy")
	n.found("m#p", "Failed busy")
	a.set("p", "idle")
	n.found("m#p", "Succeeded idle")
	n.attempts(id, 5)
	if want := []string{
		"a KruiseProbeSucceeded: m#p of container main succeeded", "a KruiseProbeFailed: m#p of container main failed: busy",
		"a KruiseProbeSucceeded: m#p of container main succeeded",
	}; !slices.Equal(n.events, want) {
		t.Errorf("told %q, want %q", n.events, want)
	}
}

func TestSeveralProbesOfOneContainerAreToldApart(t *testing.T) {
	n := newNode(t)
	n.runs(&answers{words: map[string]string{"p": "yes", "q": "!no"}})
	n.hand(exec("p"), exec("q"))
	n.found("m#p", "Succeeded yes")
	n.found("m#q", "Failed no")
	if got := n.state("m#p"); got != "Succeeded yes" {
		t.Errorf("the first probe is said to have %s", got)
	}
}

func TestThresholdsCountAttemptsInARow(t *testing.T) {
	n := newNode(t)
	a := &answers{words: map[string]string{"p": "yes"}}
	id := n.runs(a)
	n.hand(exec("p", func(s *v1alpha1.ContainerProbeSpec) { s.SuccessThreshold, s.FailureThreshold = 3, 4 }))
	n.attempts(id, 1)
	if n.commands(id) < 3 && n.state("m#p") != "" {
		t.Errorf("after %d attempts it is said that %s", n.commands(id), n.state("m#p"))
	}
	n.found("m#p", "Succeeded yes")
	a.set("p", "!no")
	before := n.commands(id)
	n.found("m#p", "Failed no")
	if got := n.commands(id) - before; got < 4 {
		t.Errorf("it was said to have failed after %d attempts", got)
	}
}

func TestAProbeIsMadeInItsOwnTime(t *testing.T) {
	n := newNode(t)
	id := n.runs(&answers{words: map[string]string{"p": "yes"}})
	// The container was made long ago, as far as the node's clock says, so only the period counts.
	n.hand(exec("p", func(s *v1alpha1.ContainerProbeSpec) { s.PeriodSeconds = 10 }))
	n.found("m#p", "Succeeded yes")
	begun, made := n.clock.Now(), n.commands(id)
	n.attempts(id, 3)
	if took := n.clock.Since(begun); took < 20*time.Second {
		t.Errorf("%d more attempts took %s", n.commands(id)-made, took)
	}
	// A period that is changed counts at once.
	n.hand(exec("p"))
	begun, made = n.clock.Now(), n.commands(id)
	n.attempts(id, 5)
	if took := n.clock.Since(begun); took > 30*time.Second {
		t.Errorf("%d more attempts with a period of a second took %s", n.commands(id)-made, took)
	}
}

func TestAProbeWaitsForItsInitialDelayAfterEachStartOfTheContainer(t *testing.T) {
	n := newNode(t)
	n.clock.SetTime(time.Unix(0, n.runtime.Container(n.runs(&answers{words: map[string]string{}})).Created))
	a := &answers{words: map[string]string{"p": "yes"}}
	id := n.runs(a)
	n.hand(exec("p", func(s *v1alpha1.ContainerProbeSpec) { s.InitialDelaySeconds = 30 }))
	begun := n.clock.Now()
	n.found("m#p", "Succeeded yes")
	if took := n.clock.Since(begun); took < 30*time.Second || n.commands(id) == 0 {
		t.Errorf("it was probed %d times after %s", n.commands(id), took)
	}
}

func TestWhatWasFoundStandsWhileAContainerStartsAnew(t *testing.T) {
	n := newNode(t)
	a := &answers{words: map[string]string{"p": "yes"}}
	old := n.runs(a)
	n.hand(exec("p", func(s *v1alpha1.ContainerProbeSpec) { s.FailureThreshold = 50 }))
	n.found("m#p", "Succeeded yes")
	n.runtime.Exit(old)
	b := &answers{words: map[string]string{"p": "!not yet"}}
	id := n.runs(b)
	n.attempts(id, 5)
	if got := n.state("m#p"); got != "Succeeded yes" {
		t.Errorf("after a restart it is said that %s", got)
	}
	n.found("m#p", "Failed not yet")
	if got := n.commands(old); got > n.commands(id) {
		t.Errorf("the old container was probed %d times", got)
	}
}

func TestAContainerThatDoesNotRunIsNotKnownOf(t *testing.T) {
	n := newNode(t)
	id := n.runs(&answers{words: map[string]string{"p": "yes"}})
	n.hand(exec("p"), exec("q"))
	n.found("m#p", "Succeeded yes")
	n.runtime.Exit(id)
	for _, name := range []string{"m#p", "m#q"} {
		// One that was under way when the container ended says what the runtime said of that.
		n.until(name+" is not known of", func() bool { return strings.HasPrefix(n.state(name), "Unknown ") })
	}
	if want := []string{"a KruiseProbeSucceeded: m#p of container main succeeded", "a KruiseProbeSucceeded: m#q of container main succeeded"}; len(n.events) > len(want) {
		t.Errorf("told %q, at most %q is worth telling", n.events, want)
	}
}

func TestADaemonThatStartsAgainWritesAndTellsNothingThatIsKnown(t *testing.T) {
	n := newNode(t)
	a := &answers{words: map[string]string{"p": "yes", "q": "!no"}}
	id := n.runs(a)
	n.hand(exec("p"), exec("q"))
	n.found("m#p", "Succeeded yes")
	n.found("m#q", "Failed no")
	version, told := n.object().ResourceVersion, len(n.events)
	n.restart()
	n.look()
	n.attempts(id, 10)
	if got := n.object().ResourceVersion; got != version || len(n.events) != told {
		t.Errorf("version %s after %s, told %q", got, version, n.events[told:])
	}
	a.set("p", "!now it fails")
	n.found("m#p", "Failed now it fails")
}

func TestARuntimeThatDoesNotAnswerIsNoFailureOfTheContainer(t *testing.T) {
	n := newNode(t)
	n.runs(&answers{words: map[string]string{"p": "yes"}})
	n.hand(exec("p"))
	n.found("m#p", "Succeeded yes")
	n.runtime.Down()
	n.until("nothing is known", func() bool { return strings.HasPrefix(n.state("m#p"), "Unknown ") })
	n.runtime.Up()
	n.found("m#p", "Succeeded yes")
	n.runtime.Break("ExecSync", fake.Fault{Code: codes.Unavailable, Message: "broken"})
	n.until("nothing is known", func() bool { return strings.HasPrefix(n.state("m#p"), "Unknown ") })
	n.runtime.Mend("ExecSync")
	n.found("m#p", "Succeeded yes")
}

func TestACommandThatHangsHoldsUpNoOtherAndFails(t *testing.T) {
	n := newNode(t)
	id := n.runs(&answers{words: map[string]string{"p": "yes", "q": "yes"}})
	hold := make(chan struct{})
	defer close(hold)
	n.runtime.Break("ExecSync", fake.Fault{Times: 1, Hold: hold})
	hasty := func(s *v1alpha1.ContainerProbeSpec) { s.TimeoutSeconds = 1 }
	n.hand(exec("p", hasty), exec("q", hasty))
	n.until("one of the two is found", func() bool { return n.state("m#p") == "Succeeded yes" || n.state("m#q") == "Succeeded yes" })
	failed := func(name string) bool { return n.state(name) == "Failed the command did not end within 1s" }
	n.until("the other is found to have failed, or well again", func() bool {
		return failed("m#p") || failed("m#q") || n.state("m#p") == n.state("m#q")
	})
	n.attempts(id, 2)
}

func TestOnlyWhatTheNodeIsHandedIsProbed(t *testing.T) {
	n := newNode(t)
	a := &answers{words: map[string]string{"p": "yes", "q": "yes"}}
	id := n.runs(a)
	n.hand(exec("p"), exec("q"))
	n.found("m#p", "Succeeded yes")
	n.found("m#q", "Succeeded yes")
	n.hand(exec("q"))
	n.until("the probe that was taken away is no longer in the status", func() bool { return n.state("m#p") == "" })
	if got := n.state("m#q"); got != "Succeeded yes" {
		t.Errorf("the other is said to have %q", got)
	}
	a.set("q", "!other")
	changed := exec("q")
	changed.Probe.Exec.Command = []string{"p"}
	n.hand(changed)
	n.attempts(id, 5)
	if got := n.state("m#q"); got != "Succeeded yes" {
		t.Errorf("a command that was changed is said to have %q", got)
	}
	if err := n.api.Delete(t.Context(), n.object()); err != nil {
		t.Fatal(err)
	}
	n.look()
	n.controller.workers.mu.Lock()
	defer n.controller.workers.mu.Unlock()
	if left := len(n.controller.workers.all); left > 0 {
		t.Errorf("%d probes are made without an object", left)
	}
}

func TestPagesAndPortsAreProbedAtTheAddressOfThePod(t *testing.T) {
	status, body, host := http.StatusOK, "", ""
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/local":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
		default:
			host = r.Host + " " + r.Header.Get("X-Probe") + " " + r.URL.RawQuery
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	port := func(s *httptest.Server) intstr.IntOrString {
		return intstr.FromInt(s.Listener.Addr().(*net.TCPAddr).Port)
	}
	page := func(s *httptest.Server, scheme corev1.URIScheme, path string) *v1alpha1.ContainerProbeSpec {
		spec := &v1alpha1.ContainerProbeSpec{}
		spec.HTTPGet = &corev1.HTTPGetAction{Scheme: scheme, Path: path, Port: port(s), HTTPHeaders: []corev1.HTTPHeader{{Name: "Host", Value: "shop"}, {Name: "X-Probe", Value: "yes"}}}
		return spec
	}
	open := &v1alpha1.ContainerProbeSpec{}
	open.TCPSocket = &corev1.TCPSocketAction{Port: port(plain)}
	closed := open.DeepCopy()
	closed.TCPSocket.Port = intstr.FromInt(1)
	for name, tc := range map[string]struct {
		spec   *v1alpha1.ContainerProbeSpec
		status int
		body   string
		want   string
	}{
		"a page":                          {page(plain, "HTTP", "/x?a=b"), 200, "fine", "0 fine"},
		"a page over TLS":                 {page(secure, "HTTPS", "/"), 200, "fine", "0 fine"},
		"a page that is not there":        {page(plain, "HTTP", "/"), 404, "none", "1 404 Not Found: none"},
		"a redirect on the same host":     {page(plain, "HTTP", "/local"), 200, "fine", "0 fine"},
		"a redirect elsewhere":            {page(plain, "HTTP", "/away"), 200, "", `0 <a href="http://elsewhere.invalid/">Found</a>.`},
		"a page that says much":           {page(plain, "HTTP", "/"), 200, strings.Repeat("é", 600), "0 " + strings.Repeat("é", 512)},
		"a page that is no text":          {page(plain, "HTTP", "/"), 200, "a\xff\xfeb", "0 ab"},
		"a port that is open":             {open, 200, "", "0 "},
		"a port that is closed":           {closed, 200, "", "1 dial tcp 127.0.0.1:1: connect: connection refused"},
		"a probe that is none":            {&v1alpha1.ContainerProbeSpec{}, 200, "", "2 the probe has none of exec, httpGet and tcpSocket"},
		"a page of a server that is sick": {page(plain, "HTTP", "/"), 503, "", "1 503 Service Unavailable:"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body = tc.status, tc.body
			outcome, message := attempt(t.Context(), tc.spec, "127.0.0.1", nil, "")
			if got := fmt.Sprintf("%d %s", outcome, message); got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
		})
	}
	attempt(t.Context(), page(plain, "HTTP", "/x?a=b"), "127.0.0.1", nil, "")
	if host != "shop yes a=b" {
		t.Errorf("the page was asked for as %q", host)
	}
}
