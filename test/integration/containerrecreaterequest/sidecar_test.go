package containerrecreaterequest

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/daemon/cri/fake"
	"kruise.io/kruise/plan/terminate"
	"kruise.io/kruise/test/integration/apiserver"
)

// job makes a pod of a job whose container app has ended and whose sidecar log, with some environment, runs.
func (c *cluster) job(name string, env ...string) *corev1.Pod {
	c.Helper()
	p := pod(c.T, c.namespace, func(p *corev1.Pod) {
		p.Name, p.Spec.RestartPolicy, p.Spec.InitContainers = name, corev1.RestartPolicyNever, nil
		for _, variable := range append(env, v1beta1.TerminateSidecarEnv) {
			p.Spec.Containers[1].Env = append(p.Spec.Containers[1].Env, corev1.EnvVar{Name: variable, Value: "true"})
		}
	})
	c.runtime.Run(fake.Container{ID: name + "-log", PodUID: string(p.UID), Name: "log"})
	p.Status.InitContainerStatuses = nil
	p.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "app", ContainerID: "containerd://" + name + "-app", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ContainerID: "containerd://" + name + "-app", FinishedAt: metav1.Now(),
		}}},
		runs("log", "containerd://"+name+"-log"),
	}
	if err := server.Client.Status().Update(c.Context(), p); err != nil {
		c.Fatal(err)
	}
	return p
}

func TestTheSidecarOfAJobIsStoppedByItsNodeWhenTheWorkIsDone(t *testing.T) {
	c := start(t)
	p := c.job("report")
	c.runtime.Await("report-log", fake.Container.Exited)
	r := &v1beta1.ContainerRecreateRequest{ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, Name: terminate.RequestName(p.UID)}}
	apiserver.Eventually(t, "the request has ended", func() bool { return get(t, r).Status.Phase == v1beta1.ContainerRecreateRequestCompleted })
	if s := get(t, r).Status.ContainerRecreateStates[0]; !s.IsKilled || s.ContainerID != "containerd://report-log" {
		t.Errorf("%+v", s)
	}
	if got := get(t, r); got.OwnerReferences[0].UID != p.UID || got.Spec.Containers[0].StatusContext == nil {
		t.Errorf("the request was not admitted as any other: %+v", got)
	}
}

func TestAJobWhoseSidecarSaysNothingByItsExitCodeIsMarkedAsEnded(t *testing.T) {
	c := start(t)
	p := c.job("silent", v1beta1.IgnoreExitCodeEnv)
	apiserver.Eventually(t, "the pod has succeeded", func() bool {
		if err := server.Client.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			t.Fatal(err)
		}
		return p.Status.Phase == corev1.PodSucceeded
	})
	if !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == v1beta1.SidecarTerminated }) {
		t.Errorf("%+v", p.Status.Conditions)
	}
	c.runtime.Await("silent-log", fake.Container.Exited)
}
