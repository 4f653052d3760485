package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	clocktesting "k8s.io/utils/clock/testing"
)

// server is an API server that serves pods and events, in JSON, and nothing else.
type server struct {
	*testing.T
	client *Client

	mu       sync.Mutex
	requests []string // method, path and body of each that is neither about what is served nor a watch
	lists    chan string
	changes  chan string // events of the watch of pods
}

func serve(t *testing.T) *server {
	t.Helper()
	s := &server{T: t, lists: make(chan string, 10), changes: make(chan string, 10)}
	http1 := httptest.NewServer(s)
	t.Cleanup(http1.Close)
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	var err error
	if s.client, err = NewClient(&rest.Config{Host: http1.URL, QPS: -1}, scheme); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.http.CloseIdleConnections)
	return s
}

const (
	coreResources  = `{"kind":"APIResourceList","resources":[{"name":"pods/status","kind":"Pod","namespaced":true},{"name":"pods","kind":"Pod","namespaced":true},{"name":"nodes","kind":"Node"}]}`
	eventResources = `{"kind":"APIResourceList","resources":[{"name":"events","kind":"Event","namespaced":true}]}`
	onePod         = `{"kind":"Pod","apiVersion":"v1","metadata":{"name":"web","namespace":"shop","uid":"1","resourceVersion":"7","managedFields":[{"manager":"x"}]},"spec":{"nodeName":"n"}}`
)

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body, _ := io.ReadAll(r.Body)
	switch path := r.URL.Path; {
	case path == "/api/v1":
		fmt.Fprint(w, coreResources)
		return
	case path == "/apis/events.k8s.io/v1":
		fmt.Fprint(w, eventResources)
		return
	case path == "/api/v1/pods" && r.URL.Query().Get("watch") != "":
		s.watch(w, r)
		return
	case path == "/api/v1/pods":
		s.lists <- r.URL.Query().Get("fieldSelector")
		fmt.Fprintf(w, `{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"9"},"items":[%s]}`, onePod)
		return
	case strings.HasPrefix(path, "/api/v1/namespaces/shop/pods/web"):
		fmt.Fprint(w, onePod)
	case strings.HasPrefix(path, "/apis/events.k8s.io/v1/namespaces/"):
		s.event(w, r, body)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path+" "+string(body))
}

// event answers with the event that came, under a name.
func (s *server) event(w http.ResponseWriter, r *http.Request, body []byte) {
	var event eventsv1.Event
	if err := json.Unmarshal(body, &event); r.Method == http.MethodPatch && err != nil {
		s.Error(err)
	}
	event.TypeMeta = metav1.TypeMeta{Kind: "Event", APIVersion: "events.k8s.io/v1"}
	event.Name, event.Namespace = "web.1", "shop"
	if err := json.NewEncoder(w).Encode(event); err != nil {
		s.Error(err)
	}
}

func (s *server) watch(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("sendInitialEvents") != "" { // it does not know that
		w.WriteHeader(http.StatusUnprocessableEntity)
		fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`)
		return
	}
	controller := http.NewResponseController(w)
	_ = controller.Flush()
	for {
		select {
		case <-r.Context().Done():
			return
		case change := <-s.changes:
			fmt.Fprintln(w, change)
			_ = controller.Flush()
		}
	}
}

func (s *server) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests
}

func TestAKindIsFoundWhereTheServerHasItAndIsMissedWhereItHasNot(t *testing.T) {
	s := serve(t)
	for obj, want := range map[interface {
		metav1.Object
		runtime.Object
	}]bool{&corev1.Pod{}: true, &corev1.Node{}: true, &corev1.Secret{}: false} {
		if served, err := s.client.Serves(t.Context(), obj); err != nil || served != want {
			t.Errorf("%T: served %t, %v", obj, served, err)
		}
	}
	pod := &corev1.Pod{}
	if err := s.client.Get(t.Context(), web, pod); err != nil || pod.UID != "1" {
		t.Errorf("%+v, %v", pod, err)
	}
	if err := s.client.PatchStatus(t.Context(), pod, types.MergePatchType, []byte(`{"a":1}`)); err != nil {
		t.Error(err)
	}
	if err := s.client.Get(t.Context(), types.NamespacedName{Namespace: "shop", Name: "other"}, pod); !apierrors.IsNotFound(err) {
		t.Errorf("a pod that is not there: %v", err)
	}
	want := []string{"GET /api/v1/namespaces/shop/pods/web ", `PATCH /api/v1/namespaces/shop/pods/web/status {"a":1}`, "GET /api/v1/namespaces/shop/pods/other "}
	if asked := s.asked(); strings.Join(asked, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked is %q", asked)
	}
}

func TestObjectsAreSeenTrimmedBeforeAnythingBegins(t *testing.T) {
	s := serve(t)
	r := &Runner{API: s.client}
	pods, err := Watch(t.Context(), r, &corev1.Pod{}, Selection[*corev1.Pod]{
		Field: fields.OneTermEqualSelector("spec.nodeName", "n"),
		Trim: func(pod *corev1.Pod) *corev1.Pod {
			pod.Spec = corev1.PodSpec{}
			return pod
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	changes := make(chan string, 10)
	err = pods.Handle(func(before, after *corev1.Pod) {
		switch {
		case before == nil:
			changes <- "came " + after.Name
		case after == nil:
			changes <- "went " + before.Name
		default:
			changes <- "changed " + before.ResourceVersion + " to " + after.ResourceVersion
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan *corev1.Pod, 1)
	r.Add(func(ctx context.Context) error {
		pod, _ := pods.Get(web)
		seen <- pod
		<-ctx.Done()
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- r.Run(ctx) }()
	if pod := <-seen; pod == nil || pod.ManagedFields != nil || pod.Spec.NodeName != "" || pod.UID != "1" {
		t.Errorf("what is kept is %+v", pod)
	}
	if selected := <-s.lists; selected != "spec.nodeName=n" {
		t.Errorf("selected are pods by %q", selected)
	}
	s.changes <- `{"type":"MODIFIED","object":` + strings.Replace(onePod, `"7"`, `"10"`, 1) + `}`
	s.changes <- `{"type":"DELETED","object":` + strings.Replace(onePod, `"7"`, `"11"`, 1) + `}`
	for _, want := range []string{"came web", "changed 7 to 10", "went web"} {
		if got := <-changes; got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestAPartThatFailsEndsTheProgram(t *testing.T) {
	s := serve(t)
	r := &Runner{API: s.client}
	waited := false
	r.Add(func(ctx context.Context) error {
		<-ctx.Done()
		waited = true
		return nil
	})
	r.Add(func(context.Context) error { return apierrors.NewUnauthorized("broken") })
	if err := r.Run(t.Context()); !apierrors.IsUnauthorized(err) || !waited {
		t.Errorf("it ended with %v, and waited for the other part: %t", err, waited)
	}
}

func TestAnEventIsSentOnceAndThenCounted(t *testing.T) {
	s := serve(t)
	now := clocktesting.NewFakePassiveClock(time.Unix(1_900_000_000, 0))
	e := NewEvents(s.client, strings.Repeat("n", 200), now)
	recorder := e.Recorder("kruise-test")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1"}}
	send := func(note string) {
		recorder.Eventf(pod, nil, corev1.EventTypeWarning, "Broken", "Look", "%s", note)
		if err := e.send(t.Context(), <-e.queue); err != nil {
			t.Fatal(err)
		}
	}
	send("a leg")
	pod.ResourceVersion = "9" // the pod is another then, and the same pod
	send("a leg")
	send("an arm")
	send("a leg")
	now.SetTime(now.Now().Add(serial))
	send("a leg")
	var got []string
	for _, asked := range s.asked() {
		method, rest, _ := strings.Cut(asked, " ")
		path, body, _ := strings.Cut(rest, " ")
		var event eventsv1.Event
		if method == http.MethodPatch {
			if err := json.Unmarshal([]byte(body), &event); err != nil {
				t.Fatal(err)
			}
		}
		if event.Series != nil {
			path += fmt.Sprintf(" %d times", event.Series.Count)
		}
		got = append(got, method+" "+path)
	}
	want := []string{
		"POST /apis/events.k8s.io/v1/namespaces/shop/events",
		"PATCH /apis/events.k8s.io/v1/namespaces/shop/events/web.1 2 times",
		"POST /apis/events.k8s.io/v1/namespaces/shop/events",
		"PATCH /apis/events.k8s.io/v1/namespaces/shop/events/web.1 3 times",
		"POST /apis/events.k8s.io/v1/namespaces/shop/events",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("sent is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestAnEventTellsWhatItIsAboutAndTooManyAreLost(t *testing.T) {
	s := serve(t)
	e := NewEvents(s.client, "node", clocktesting.NewFakePassiveClock(time.Unix(1_900_000_000, 0)))
	recorder := e.Recorder("kruise-test")
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "2"}}
	pod := &corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: "shop", Name: "web"}
	for range waiting + 10 {
		recorder.Eventf(node, pod, corev1.EventTypeNormal, "Fine", "Look", "%d%%", 7)
	}
	if len(e.queue) != waiting {
		t.Errorf("%d wait", len(e.queue))
	}
	got := <-e.queue
	if got.Namespace != "default" || got.Regarding.Kind != "Node" || got.Regarding.UID != "2" || got.Related.Name != "web" ||
		got.ReportingController != "kruise-test" || got.ReportingInstance != "node" || got.Note != "7%" || got.Action != "Look" || got.EventTime.IsZero() {
		t.Errorf("%+v", got)
	}
	if wrong := validation.NameIsDNSSubdomain(got.GenerateName, true); len(wrong) > 0 {
		t.Errorf("the API server refuses the name %s: %q", got.GenerateName, wrong)
	}
}
