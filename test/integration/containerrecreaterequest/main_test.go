// Package containerrecreaterequest proves, on a real API server, what users of ContainerRecreateRequests see, how the
// manager's controller and the daemon's work together, and that a daemon may write nothing but what is its node's.
package containerrecreaterequest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Webhooks())
}

// web is a pod with a container app, whose hook is a command, a sidecar proxy, whose hook is HTTP, and one that runs once.
const web = `
metadata: {name: web}
spec:
  nodeName: node-1
  terminationGracePeriodSeconds: 45
  readinessGates: [{conditionType: KruisePodReady}]
  initContainers:
  - {name: once, image: a}
  - name: proxy
    image: a
    restartPolicy: Always
    ports: [{name: admin, containerPort: 9000}]
    lifecycle: {preStop: {httpGet: {path: /drain, port: admin}}}
  containers:
  - name: app
    image: a
    ports: [{name: web, containerPort: 8080}]
    lifecycle: {preStop: {exec: {command: [drain]}}}
  - {name: log, image: a}
`

// pod creates a pod and says that its containers run, as <name>-0, but for log.
func pod(t *testing.T, namespace string, change func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	p := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(web), p); err != nil {
		t.Fatal(err)
	}
	p.Namespace = namespace
	if change != nil {
		change(p)
	}
	if err := server.Client.Create(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{
		{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionTrue},
		{Type: corev1.PodReady, Status: corev1.ConditionTrue},
	}
	p.Status.InitContainerStatuses = []corev1.ContainerStatus{runs("proxy", "containerd://proxy-0")}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{runs("app", "containerd://app-0"), {Name: "log", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}}}}
	if err := server.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func runs(name, id string) corev1.ContainerStatus {
	return corev1.ContainerStatus{
		Name: name, ContainerID: id, Ready: true, Started: ptr.To(true),
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}},
	}
}

// request is a request for containers of the pod web.
func request(namespace, name string, containers ...string) *v1beta1.ContainerRecreateRequest {
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	r.Spec.PodName = "web"
	for _, c := range containers {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{Name: c})
	}
	return r
}

func get(t *testing.T, r *v1beta1.ContainerRecreateRequest) *v1beta1.ContainerRecreateRequest {
	t.Helper()
	out := &v1beta1.ContainerRecreateRequest{}
	if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(r), out); err != nil {
		t.Fatal(err)
	}
	return out
}

// patchStatus merges something into the status of an object.
func patchStatus(t *testing.T, c client.Client, obj client.Object, body string) error {
	t.Helper()
	return c.Status().Patch(t.Context(), obj.DeepCopyObject().(client.Object), client.RawPatch(types.MergePatchType, []byte(body)))
}
