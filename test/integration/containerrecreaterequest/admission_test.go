package containerrecreaterequest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
)

func TestARequestIsFilledInFromItsPod(t *testing.T) {
	namespace := server.Namespace(t)
	p := pod(t, namespace, nil)
	r := request(namespace, "xxx", "app", "proxy")
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	want := v1beta1.ContainerRecreateRequestSpec{
		PodName: "web",
		Containers: []v1beta1.ContainerRecreateRequestContainer{
			{
				Name: "app", RestartPolicy: corev1.ContainerRestartPolicyAlways,
				PreStop:       &v1beta1.ContainerPreStop{Exec: &corev1.ExecAction{Command: []string{"drain"}}},
				StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://app-0"},
			},
			{
				Name: "proxy", RestartPolicy: corev1.ContainerRestartPolicyAlways,
				PreStop: &v1beta1.ContainerPreStop{HTTPGet: &corev1.HTTPGetAction{
					Path: "/drain", Port: intstr.FromString("admin"), Scheme: corev1.URISchemeHTTP,
				}},
				Ports:         []corev1.ContainerPort{{Name: "admin", ContainerPort: 9000, Protocol: corev1.ProtocolTCP}},
				StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://proxy-0"},
			},
		},
		Strategy: &v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: v1beta1.ContainerRecreateRequestFailurePolicyFail, TerminationGracePeriodSeconds: ptr.To[int64](45)},
	}
	stored := get(t, r)
	if diff := cmp.Diff(want, stored.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"crr.apps.kruise.io/pod-uid": string(p.UID), "crr.apps.kruise.io/node-name": "node-1", "crr.apps.kruise.io/active": "true",
	}, stored.Labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
}

func TestARequestOfTheOlderVersionIsTheSameObject(t *testing.T) {
	namespace := server.Namespace(t)
	pod(t, namespace, nil)
	old := &unstructured.Unstructured{}
	text := `{apiVersion: apps.kruise.io/v1alpha1, kind: ContainerRecreateRequest, metadata: {name: xxx, namespace: ` + namespace + `},
spec: {podName: web, containers: [{name: app}], strategy: {}, activeDeadlineSeconds: 300, ttlSecondsAfterFinished: 1800}}`
	if err := yaml.Unmarshal([]byte(text), &old.Object); err != nil {
		t.Fatal(err)
	}
	if err := server.Client.Create(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	r := get(t, request(namespace, "xxx"))
	if r.Spec.Containers[0].StatusContext == nil || *r.Spec.ActiveDeadlineSeconds != 300 || *r.Spec.TTLSecondsAfterFinished != 1800 {
		t.Errorf("%+v", r.Spec)
	}
}

func TestARequestForAVirtualNodeSaysSo(t *testing.T) {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "virtual", Labels: map[string]string{"type": "virtual-kubelet"}}}
	if err := server.Client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	namespace := server.Namespace(t)
	pod(t, namespace, func(p *corev1.Pod) { p.Spec.NodeName = "virtual" })
	r := request(namespace, "xxx", "app")
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := get(t, r).Labels["type"]; got != "virtual-kubelet" {
		t.Errorf("label type is %q", got)
	}
}

// TestRefused is the list of what users can do wrong, and of the words that they then read.
func TestRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		pod    func(*corev1.Pod)
		change func(*v1beta1.ContainerRecreateRequest)
		want   string
	}{
		"no pod name":           {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.PodName = "" }, want: `spec.podName: Required value: a request is about the containers of a pod`},
		"a pod that is not":     {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.PodName = "x" }, want: `spec.podName: Not found: "x"`},
		"a pod without a node":  {pod: func(p *corev1.Pod) { p.Spec.NodeName = "" }, want: `spec.podName: Invalid value: "web": the pod is on no node yet: nothing in it runs`},
		"a container not there": {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].Name = "x" }, want: `spec.containers[0].name: Invalid value: "x": the pod has no container of this name that can be restarted`},
		"a container that ran":  {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].Name = "once" }, want: `spec.containers[0].name: Invalid value: "once": the pod has no container of this name that can be restarted`},
		"one that never ran":    {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Containers[0].Name = "log" }, want: `spec.containers[0].name: Invalid value: "log": the container has not been started yet, so there is nothing to restart`},
		"a hook of one's own": {change: func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers[0].PreStop = &v1beta1.ContainerPreStop{Exec: &corev1.ExecAction{Command: []string{"rm"}}}
		}, want: `spec.containers[0].preStop: Forbidden: is filled in from the pod at admission and must not be set`},
		"a container of one's own": {change: func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers[0].StatusContext = &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: "containerd://x"}
		}, want: `spec.containers[0].statusContext: Forbidden: is filled in from the pod at admission and must not be set`},
		"no container": {change: func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{}
		}, want: `spec.containers: Invalid value: 0: spec.containers in body should have at least 1 items`},
		"a container twice": {change: func(r *v1beta1.ContainerRecreateRequest) {
			r.Spec.Containers = append(r.Spec.Containers, r.Spec.Containers[0])
		}, want: `spec.containers[1]: Duplicate value: {"name":"app"}`},
		"a hurried deadline":  {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.ActiveDeadlineSeconds = ptr.To[int64](2) }, want: `spec.activeDeadlineSeconds: Invalid value: 2: spec.activeDeadlineSeconds in body should be greater than or equal to 3`},
		"a negative ttl":      {change: func(r *v1beta1.ContainerRecreateRequest) { r.Spec.TTLSecondsAfterFinished = ptr.To[int32](-1) }, want: `spec.ttlSecondsAfterFinished: Invalid value: -1: spec.ttlSecondsAfterFinished in body should be greater than or equal to 0`},
		"an unknown policy":   {change: strategy(v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: "Maybe"}), want: `spec.strategy.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"`},
		"a negative grace":    {change: strategy(v1beta1.ContainerRecreateRequestStrategy{TerminationGracePeriodSeconds: ptr.To[int64](-1)}), want: `spec.strategy.terminationGracePeriodSeconds: Invalid value: -1: spec.strategy.terminationGracePeriodSeconds in body should be greater than or equal to 0`},
		"a negative wait":     {change: strategy(v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](-1)}), want: `spec.strategy.unreadyGracePeriodSeconds: Invalid value: -1: spec.strategy.unreadyGracePeriodSeconds in body should be greater than or equal to 0`},
		"a negative run time": {change: strategy(v1beta1.ContainerRecreateRequestStrategy{MinStartedSeconds: -1}), want: `spec.strategy.minStartedSeconds: Invalid value: -1: spec.strategy.minStartedSeconds in body should be greater than or equal to 0`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := server.Namespace(t)
			pod(t, namespace, tc.pod)
			r := request(namespace, "xxx", "app")
			if tc.change != nil {
				tc.change(r)
			}
			err := server.Client.Create(t.Context(), r)
			if err == nil {
				t.Fatal("it was let in")
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("message\n%s\nwant\n%s", err, tc.want)
			}
		})
	}
}

func strategy(s v1beta1.ContainerRecreateRequestStrategy) func(*v1beta1.ContainerRecreateRequest) {
	return func(r *v1beta1.ContainerRecreateRequest) { r.Spec.Strategy = &s }
}

func TestARequestForAPodThatIsLeavingOrHasEndedIsRefusedUnlessItsSidecarsAreBeingStopped(t *testing.T) {
	for name, tc := range map[string]struct {
		status string
		ok     bool
	}{
		"ended":               {`{"status":{"phase":"Failed"}}`, false},
		"sidecars terminated": {`{"status":{"phase":"Succeeded","conditions":[{"type":"SidecarTerminated","status":"True"}]}}`, true},
	} {
		t.Run(name, func(t *testing.T) {
			namespace := server.Namespace(t)
			p := pod(t, namespace, nil)
			if err := patchStatus(t, server.Client, p, tc.status); err != nil {
				t.Fatal(err)
			}
			err := server.Client.Create(t.Context(), request(namespace, "xxx", "app"))
			if (err == nil) != tc.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestARequestCannotBeChangedButForWhatIsNobodysBusiness(t *testing.T) {
	namespace := server.Namespace(t)
	pod(t, namespace, nil)
	r := request(namespace, "xxx", "app")
	if err := server.Client.Create(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*v1beta1.ContainerRecreateRequest){
		"spec is immutable: the containers may be stopped already": func(r *v1beta1.ContainerRecreateRequest) { r.Spec.TTLSecondsAfterFinished = ptr.To[int32](5) },
		`metadata.labels[crr.apps.kruise.io/node-name]: Invalid value: "node-2": is immutable, and was "node-1"`: func(r *v1beta1.ContainerRecreateRequest) {
			r.Labels["crr.apps.kruise.io/node-name"] = "node-2"
		},
		`metadata.labels[crr.apps.kruise.io/pod-uid]: Invalid value: "": is immutable`: func(r *v1beta1.ContainerRecreateRequest) { delete(r.Labels, "crr.apps.kruise.io/pod-uid") },
		"": func(r *v1beta1.ContainerRecreateRequest) { r.Labels["team"] = "shop" },
	} {
		changed := get(t, r)
		change(changed)
		err := server.Client.Update(t.Context(), changed)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestKubectlPrintsWhatIsDocumented(t *testing.T) {
	namespace := server.Namespace(t)
	pod(t, namespace, nil)
	if err := server.Client.Create(t.Context(), request(namespace, "xxx", "app")); err != nil {
		t.Fatal(err)
	}
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	if err := server.Client.Get(t.Context(), client.ObjectKey{Name: "containerrecreaterequests.apps.kruise.io"}, crd); err != nil {
		t.Fatal(err)
	}
	names, _, _ := unstructured.NestedStringSlice(crd.Object, "spec", "names", "shortNames")
	if diff := cmp.Diff([]string{"crr"}, names); diff != "" {
		t.Error(diff)
	}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, v := range versions {
		var got []string
		columns, _, _ := unstructured.NestedSlice(v.(map[string]any), "additionalPrinterColumns")
		for _, c := range columns {
			got = append(got, c.(map[string]any)["name"].(string)+" "+c.(map[string]any)["jsonPath"].(string))
		}
		want := []string{"PHASE .status.phase", "POD .spec.podName", `NODE .metadata.labels.crr\.apps\.kruise\.io/node-name`, "AGE .metadata.creationTimestamp"}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("columns (-want +got):\n%s", diff)
		}
	}
}
