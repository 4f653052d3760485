package containerrecreaterequest

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon"
	"kruise.io/kruise/daemon/cri/fake"
	"kruise.io/kruise/kit/program"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
)

// cluster is a manager with its controllers, a daemon for node-1 with all that the chart gives it, and a container runtime.
type cluster struct {
	*testing.T
	runtime   *fake.Runtime
	namespace string
	pod       *corev1.Pod
	health    string
}

func start(t *testing.T) *cluster {
	t.Helper()
	tied(t)
	c := &cluster{T: t, runtime: fake.New(t), namespace: server.Namespace(t)}
	replica, err := server.RunReplica(t.Context(), func(m *manager.Options, o *serve.Options) {
		m.WebhooksOnly, m.Kinds, m.TerminateSidecars = false, []string{"ContainerRecreateRequest"}, true
		o.Namespace = c.namespace
	})
	if err != nil {
		t.Fatal(err)
	}
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c.health = listener.Addr().String()
	listener.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- daemon.Run(ctx, config("node-1"), &daemon.Options{
			Options: program.NewOptions(""), Addr: c.health, Node: "node-1", Gates: daemon.Gates{KruiseDaemon: true},
			SocketRoot: filepath.Dir(c.runtime.Socket()),
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the daemon: %v", err)
		}
		if err := replica.Stop(); err != nil {
			t.Errorf("the manager: %v", err)
		}
	})
	until(t, "the daemon is healthy", c.healthy)
	c.pod = pod(t, c.namespace, nil)
	for _, name := range []string{"app", "proxy"} {
		c.runtime.Run(fake.Container{ID: name + "-0", PodUID: string(c.pod.UID), Name: name})
	}
	return c
}

func (c *cluster) healthy() bool {
	request, err := http.NewRequestWithContext(c.Context(), http.MethodGet, "http://"+c.health+"/healthz", nil)
	if err != nil {
		c.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// stopped waits until a container is stopped, and starts it again as kubelet does.
func (c *cluster) restart(name string) {
	c.Helper()
	c.runtime.Await(name+"-0", fake.Container.Exited)
	c.runtime.Run(fake.Container{ID: name + "-1", PodUID: string(c.pod.UID), Name: name})
	p := c.now()
	for _, statuses := range []*[]corev1.ContainerStatus{&p.Status.ContainerStatuses, &p.Status.InitContainerStatuses} {
		for i := range *statuses {
			if (*statuses)[i].Name == name {
				(*statuses)[i] = runs(name, "containerd://"+name+"-1")
				(*statuses)[i].RestartCount = 1
			}
		}
	}
	if err := server.Client.Status().Update(c.Context(), p); err != nil {
		c.Fatal(err)
	}
}

// now is the pod as it is now.
func (c *cluster) now() *corev1.Pod {
	c.Helper()
	p := &corev1.Pod{}
	if err := server.Client.Get(c.Context(), client.ObjectKeyFromObject(c.pod), p); err != nil {
		c.Fatal(err)
	}
	return p
}

func (c *cluster) ask(r *v1beta1.ContainerRecreateRequest) *v1beta1.ContainerRecreateRequest {
	c.Helper()
	if err := server.Client.Create(c.Context(), r); err != nil {
		c.Fatal(err)
	}
	return r
}

func (c *cluster) completed(r *v1beta1.ContainerRecreateRequest) *v1beta1.ContainerRecreateRequest {
	c.Helper()
	until(c.T, "the request is completed", func() bool { return get(c.T, r).Status.Phase == v1beta1.ContainerRecreateRequestCompleted })
	return get(c.T, r)
}

// serves says whether the pod is in service.
func (c *cluster) serves() bool {
	for _, condition := range c.now().Status.Conditions {
		if condition.Type == v1beta1.KruisePodReadyConditionType {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}

func TestTheManagerAndTheDaemonRestartAContainer(t *testing.T) {
	c := start(t)
	one := request(c.namespace, "one", "app")
	one.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](1)}
	one.Spec.TTLSecondsAfterFinished = ptr.To[int32](0)
	hold := make(chan struct{})
	c.runtime.Break("StopContainer", fake.Fault{Times: 1, Hold: hold})
	c.ask(one)
	c.runtime.Await("app-0", func(c fake.Container) bool { return len(c.Commands) == 1 })
	if c.serves() {
		t.Error("the pod is in service while its container is being stopped")
	}
	two := c.ask(request(c.namespace, "two", "proxy"))
	until(t, "the second waits", func() bool { return get(t, two).Status.Message == "waits for request one for the same pod" })
	close(hold)
	c.restart("app")
	until(t, "the first is gone, and the pod is in service", func() bool {
		err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(one), &v1beta1.ContainerRecreateRequest{})
		return apierrors.IsNotFound(err) && c.serves()
	})
	c.restart("proxy")
	done := c.completed(two)
	if s := done.Status.ContainerRecreateStates; len(s) != 1 || s[0].Phase != v1beta1.ContainerRecreateRequestSucceeded || !s[0].IsKilled {
		t.Errorf("%+v", done.Status)
	}
	until(t, "the second is tidied up after", func() bool { return get(t, two).Labels["crr.apps.kruise.io/active"] == "" })
	if app := c.runtime.Container("app-0"); len(app.Commands) != 1 || !slices.Equal(app.Stops, []int64{45}) {
		t.Errorf("container app ran %q and was stopped with %d", app.Commands, app.Stops)
	}
	until(t, "it is told in an event", func() bool {
		events := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), events, client.InNamespace(c.namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Reason == "Killing" && e.Regarding.UID == c.pod.UID && e.ReportingController == "kruise-daemon-crr" && strings.Contains(e.Note, "one")
		})
	})
}

func TestARequestWhosePodGoesOrWhoseTimeIsOverIsCompletedInWords(t *testing.T) {
	c := start(t)
	c.runtime.Break("ListContainers", fake.Fault{Hold: make(chan struct{})})
	late := request(c.namespace, "late", "app")
	late.Spec.ActiveDeadlineSeconds = ptr.To[int64](3)
	late = c.completed(c.ask(late))
	if s := late.Status; s.Message != "recreating has exceeded the activeDeadlineSeconds" || s.ContainerRecreateStates[0].Phase != v1beta1.ContainerRecreateRequestFailed {
		t.Errorf("%+v", s)
	}
	gone := request(c.namespace, "gone", "app")
	gone.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](3600)}
	c.ask(gone)
	until(t, "the pod is held", func() bool { return !c.serves() })
	if err := server.Client.Delete(t.Context(), c.pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	if s := c.completed(gone).Status; s.Message != "pod has gone" {
		t.Errorf("%+v", s)
	}
	until(t, "nothing holds the request", func() bool { return len(get(t, gone).Finalizers) == 0 })
}

func TestARequestThatIsDeletedLetsItsPodGo(t *testing.T) {
	c := start(t)
	r := request(c.namespace, "one", "app")
	r.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](3600)}
	c.ask(r)
	until(t, "the pod is held", func() bool { return !c.serves() })
	if err := server.Client.Delete(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	until(t, "the request is gone and the pod in service", func() bool {
		err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(r), &v1beta1.ContainerRecreateRequest{})
		return apierrors.IsNotFound(err) && c.serves()
	})
	if app := c.runtime.Container("app-0"); app.Exited() {
		t.Error("the container was stopped")
	}
}
