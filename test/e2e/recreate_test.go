package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
)

// restartsContainer types what docs/tasks/restart-a-container.md says and reads what a user reads.
func restartsContainer(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/restart-a-container"))
	s.watch(&v1beta1.ContainerRecreateRequest{})
	kubectl("create", "-f", "pod.yaml")
	s.until("the pod is ready", func() string { return notReady(s.pod("web")) })
	kubectl("wait", "pod/web", "--for=condition=Ready", "--timeout=60s")
	before := s.pod("web")

	if says := kubectl("create", "-f", "request.yaml"); says != "containerrecreaterequest.apps.kruise.io/xxx created\n" {
		s.Errorf("kubectl create printed %q", says)
	}
	s.untilCompleted("xxx")
	rows := strings.Split(strings.TrimSpace(kubectl("get", "crr")), "\n")
	if len(rows) != 2 || !regexp.MustCompile(`^NAME +PHASE +POD +NODE +AGE$`).MatchString(rows[0]) ||
		!regexp.MustCompile(`^xxx +Completed +web +`+before.Spec.NodeName+` +[0-9ms]+$`).MatchString(rows[1]) {
		s.Errorf("kubectl get crr printed %q", rows)
	}
	if says := kubectl("get", "crr", "xxx", "-o", "jsonpath={.status.phase} {range .status.containerRecreateStates[*]}{.name}: {.phase}{end}"); says != "Completed app: Succeeded" {
		s.Errorf("the status is %q", says)
	}

	after := s.pod("web")
	pods := func(pod *corev1.Pod) []*corev1.Pod { return []*corev1.Pod{pod} }
	s.same("what the pod keeps", s.identities(pods(before)), s.identities(pods(after)))
	s.same("its neighbour", lives(pods(before), "neighbour"), lives(pods(after), "neighbour"))
	now := containerOf(after, "app")
	if now.RestartCount != 1 || now.LastTerminationState.Terminated == nil {
		s.Fatalf("the container is %+v", now)
	}
	marks, err := os.ReadFile(s.within(after, "app", "/data/drained"))
	if err != nil {
		s.Fatalf("the hook left no mark in the volume: %v", err)
	}
	ran, err := time.Parse(time.RFC3339+"\n", string(marks))
	if end := now.LastTerminationState.Terminated.FinishedAt.Time; err != nil || ran.After(end) {
		s.Errorf("the hook ran at %q (%v), and the container ended at %s", marks, err, end)
	}
	s.untilEvent("Killing", "Stopping container app for ContainerRecreateRequest xxx")
	kubectl("delete", "crr", "xxx")
}

// queues asks for a second restart while the first is under way. What passes is heard of from watches, however late one looks.
func queues(s *space) {
	s.watch(&v1beta1.ContainerRecreateRequest{})
	s.web()
	held := ever(s, &corev1.Pod{}, func(pod *corev1.Pod) bool {
		return slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == v1beta1.KruisePodReadyConditionType && strings.Contains(c.Message, "/first")
		})
	})
	waited := ever(s, &v1beta1.ContainerRecreateRequest{}, func(r *v1beta1.ContainerRecreateRequest) bool {
		return r.Name == "second" && r.Status.Phase == v1beta1.ContainerRecreateRequestPending && r.Status.Message == "waits for request first for the same pod"
	})
	first := s.request("first", "web", "app")
	first.Spec.Strategy = &v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](3), MinStartedSeconds: 1}
	s.create(first)
	s.create(s.request("second", "web", "neighbour"))
	s.untilCompleted("first")
	s.untilCompleted("second")
	if !held() {
		s.Errorf("KruisePodReady never named the first request")
	}
	if !waited() {
		s.Errorf("the second request never said that it waits for the first: %+v", s.recreate("second").Status)
	}
	for name, restarts := range map[string]int32{"app": 1, "neighbour": 1} {
		if got := containerOf(s.pod("web"), name).RestartCount; got != restarts {
			s.Errorf("container %s was restarted %d times", name, got)
		}
	}
	s.until("the pod is in service again", func() string { return notReady(s.pod("web")) })
}

// tiedToItsNode does with the token of a daemon what a thief would do.
func tiedToItsNode(s *space) {
	s.watch(&v1beta1.ContainerRecreateRequest{})
	s.web()
	home := s.pod("web").Spec.NodeName
	s.create(s.request("mine", "web", "app"))
	s.untilCompleted("mine")
	r := s.recreate("mine")

	own, other := s.thief(func(node string) bool { return node == home }), s.thief(func(node string) bool { return node != home })
	say := func(c client.Client) error {
		return c.Status().Patch(s.Context(), r.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"status":{"message":"hello"}}`)))
	}
	if err := say(own); err != nil {
		s.Errorf("the daemon of node %s cannot write the status of its own request: %v", home, err)
	}
	if err := say(other); err == nil || !strings.Contains(err.Error(), "this one belongs to node \""+home+"\"") {
		s.Errorf("the daemon of another node writes the status of a request: %v", err)
	}
	s.reportsForItsNode(own, other, home)
	for name, err := range map[string]error{
		"reads secrets":                own.List(s.Context(), &corev1.SecretList{}),
		"reads a secret by its name":   own.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: "any"}, &corev1.Secret{}),
		"lists secrets of other nodes": own.List(s.Context(), &corev1.SecretList{}, client.InNamespace("kruise-daemon-config")),
		"deletes pods":                 own.Delete(s.Context(), s.pod("web").DeepCopy()),
		"changes requests":             own.Patch(s.Context(), r.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"a":"b"}}}`))),
		"makes requests":               own.Create(s.Context(), s.request("evil", "web", "app")),
		"changes CloneSets":            own.Create(s.Context(), &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: "evil"}}),
	} {
		if !apierrors.IsForbidden(err) {
			s.Errorf("a daemon %s: %v", name, err)
		}
	}
}

// reportsForItsNode writes in the places where a daemon reports: its own may, and the one of another node may not.
func (s *space) reportsForItsNode(own, other client.Client, home string) {
	s.Helper()
	marker := &v1alpha1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Name: "marked"}}
	marker.Spec.Selector = &metav1.LabelSelector{MatchLabels: s.pod("web").Labels}
	marker.Spec.Probes = []v1alpha1.PodContainerProbe{{Name: "page", ContainerName: "app", PodConditionType: "example.org/page"}}
	marker.Spec.Probes[0].Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}
	s.create(marker)
	// Says what stands there already; a NodeImage that nobody reported on yet has no status, and one must have its counter.
	nothing := func(object client.Object) string {
		if image, is := object.(*v1beta1.NodeImage); is {
			return fmt.Sprintf(`{"status":{"desired":%d}}`, image.Status.Desired)
		}
		return `{"status":{}}`
	}
	for what, write := range map[string]struct {
		object client.Object
		says   func(client.Object) string
	}{
		"the NodeImage":    {&v1beta1.NodeImage{ObjectMeta: metav1.ObjectMeta{Name: home}}, nothing},
		"the NodePodProbe": {&v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: home}}, nothing},
		"the annotation of a pod": {s.pod("web"), func(client.Object) string {
			return `{"metadata":{"annotations":{"` + v1beta1.RuntimeContainerMetaKey + `":"{}"}}}`
		}},
	} {
		s.eventually(what+" of the node is there", func() bool {
			return s.client.Get(s.Context(), client.ObjectKeyFromObject(write.object), write.object) == nil
		})
		patch := client.RawPatch(types.MergePatchType, []byte(write.says(write.object)))
		if err := own.Status().Patch(s.Context(), write.object, patch); err != nil {
			s.Errorf("the daemon of node %s cannot write %s there: %v", home, what, err)
		}
		if err := other.Status().Patch(s.Context(), write.object, patch); err == nil || !strings.Contains(err.Error(), "this one belongs to node \""+home+"\"") {
			s.Errorf("the daemon of another node writes %s of node %s: %v", what, home, err)
		}
	}
	event := func(controller string) *eventsv1.Event {
		return &eventsv1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.name, GenerateName: "told-"}, EventTime: metav1.NowMicro(), Type: corev1.EventTypeNormal,
			Regarding: corev1.ObjectReference{APIVersion: "v1", Kind: "Pod", Namespace: s.name, Name: "web"},
			Reason:    "Killing", Action: "RecreateContainer", ReportingController: controller, ReportingInstance: controller + "-1",
		}
	}
	if err := own.Create(s.Context(), event("kruise-daemon-crr")); err != nil {
		s.Errorf("a daemon cannot tell an event: %v", err)
	}
	if err := own.Create(s.Context(), event("kubelet")); err == nil || !strings.Contains(err.Error(), "may tell events as kruise-daemon alone") {
		s.Errorf("a daemon tells an event as kubelet: %v", err)
	}
	// Where the manager lays out pull secrets for nodes, a daemon reads those whose names it was given.
	if err := own.Get(s.Context(), client.ObjectKey{Namespace: "kruise-daemon-config", Name: "none"}, &corev1.Secret{}); !apierrors.IsNotFound(err) {
		s.Errorf("a daemon looks for a pull secret by its name: %v", err)
	}
}

// thief is somebody with the token of a daemon on a node.
func (s *space) thief(on func(node string) bool) client.Client {
	s.Helper()
	daemons := &corev1.PodList{}
	if err := s.client.List(s.Context(), daemons, client.InNamespace(kruiseNamespace), client.MatchingLabels{"control-plane": "daemon"}); err != nil {
		s.Fatal(err)
	}
	for i := range daemons.Items {
		pod := &daemons.Items[i]
		if !on(pod.Spec.NodeName) {
			continue
		}
		token, err := s.core.CoreV1().ServiceAccounts(kruiseNamespace).CreateToken(s.Context(), "kruise-daemon", &authenticationv1.TokenRequest{
			Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID}},
		}, metav1.CreateOptions{})
		if err != nil {
			s.Fatalf("making a token for %s: %v", pod.Name, err)
		}
		config := rest.AnonymousClientConfig(s.config)
		config.BearerToken = token.Status.Token
		c, err := client.New(config, client.Options{Scheme: s.client.Scheme(), Mapper: s.client.RESTMapper()})
		if err != nil {
			s.Fatal(err)
		}
		return c
	}
	s.Fatal("there is no daemon on such a node")
	return nil
}

// request is a request for containers of a pod.
func (s *space) request(name, pod string, containers ...string) *v1beta1.ContainerRecreateRequest {
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name}}
	r.Spec.PodName = pod
	for _, c := range containers {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: c})
	}
	return r
}

// recreate is a request as it is now.
func (s *space) recreate(name string) *v1beta1.ContainerRecreateRequest {
	s.Helper()
	r := &v1beta1.ContainerRecreateRequest{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, r); err != nil {
		s.Fatalf("looking at request %s: %v", name, err)
	}
	return r
}

// untilCompleted waits until a request has restarted its containers.
func (s *space) untilCompleted(name string) {
	s.Helper()
	s.until("request "+name+" is completed", func() string {
		r := s.recreate(name)
		if r.Status.Phase != v1beta1.ContainerRecreateRequestCompleted {
			return fmt.Sprintf("%+v", r.Status)
		}
		for _, c := range r.Status.ContainerRecreateStates {
			if c.Phase != v1beta1.ContainerRecreateRequestSucceeded {
				s.Fatalf("request %s ended with %+v", name, r.Status)
			}
		}
		return ""
	})
}

// pod is a pod as it is now.
func (s *space) pod(name string) *corev1.Pod {
	s.Helper()
	pod := &corev1.Pod{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: name}, pod); err != nil {
		s.Fatalf("looking at pod %s: %v", name, err)
	}
	return pod
}

// web makes the pod of docs/tasks/restart-a-container with the gate by which it can be taken out of service, and waits until it
// is ready.
func (s *space) web() {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs/tasks/restart-a-container/pod.yaml"))
	if err != nil {
		s.Fatal(err)
	}
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict(text, pod); err != nil {
		s.Fatalf("reading the pod: %v", err)
	}
	pod.Namespace = s.name
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReadyConditionType}}
	s.create(pod)
	s.openGate("web")
	s.until("the pod is ready", func() string { return notReady(s.pod("web")) })
}

// openGate opens the readiness gate of a pod that belongs to no workload.
func (s *space) openGate(pod string) {
	s.Helper()
	body := `{"status":{"conditions":[{"type":"KruisePodReady","status":"True"}]}}`
	if err := s.client.Status().Patch(s.Context(), s.pod(pod), client.RawPatch(types.StrategicMergePatchType, []byte(body))); err != nil {
		s.Fatalf("opening the gate of pod %s: %v", pod, err)
	}
}

// notReady says that a pod is not ready, or nothing.
func notReady(pod *corev1.Pod) string {
	if statusOf(pod, corev1.PodReady) == corev1.ConditionTrue {
		return ""
	}
	return describePod(pod)
}
