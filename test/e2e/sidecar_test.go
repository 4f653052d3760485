package e2e

import (
	"net"
	"path/filepath"
	"slices"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// walkThroughSidecars types what docs/tasks/sidecarset.md says: a bare pod gets a sidecar, which runs.
func walkThroughSidecars(s *space) {
	kubectl := s.shell(filepath.Join(root, "docs/tasks/sidecarset"))
	if says := kubectl("apply", "-f", "sidecarset.yaml"); says != "sidecarset.apps.kruise.io/demo-sidecars created\n" {
		s.Errorf("kubectl apply printed %q", says)
	}
	s.Cleanup(func() { s.kubectl(s.T, "", "delete", "sidecarset", "demo-sidecars") })
	s.untilInjected(map[string]string{app: "greeter"})
	kubectl("apply", "-f", "pod.yaml")
	if says := kubectl("get", "pod", "greeter", "-o", "jsonpath={.spec.containers[*].name}"); says != "sidecar app" {
		s.Errorf("the pod has the containers %q", says)
	}
	s.untilPods("the pod is ready", 1, isReady)
	pod := &corev1.Pod{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: "greeter"}, pod); err != nil {
		s.Fatal(err)
	}
	for _, port := range []string{"8080", "8090"} {
		s.untilPage(net.JoinHostPort(pod.Status.PodIP, port), "1.10.2")
	}
	s.watch(&v1beta1.SidecarSet{})
	s.until("the set counts the pod", func() string {
		if says := kubectl("get", "sidecarset", "demo-sidecars", "--no-headers"); !strings.HasPrefix(strings.Join(strings.Fields(says), " "), "demo-sidecars 1 1 1 ") {
			return says
		}
		return ""
	})
}

func isReady(pod *corev1.Pod) bool { return statusOf(pod, corev1.PodReady) == corev1.ConditionTrue }

// injectedAlike puts a sidecar into pods of a CloneSet that sees what the pod's container sees, starts before it, and has
// resources by its measure.
func injectedAlike(s *space) {
	s.sidecars("hosts", func(spec *v1beta1.SidecarSetSpec) {
		side := server("side", "8081")
		side.ShareVolumePolicy.Type = v1beta1.ShareVolumePolicyEnabled
		side.TransferEnv = []v1beta1.TransferEnvVar{{SourceContainerName: app, EnvName: "SHARED"}}
		side.ResourcesPolicy = &v1beta1.ResourcesPolicy{TargetContainersMode: v1beta1.TargetContainersModeSum,
			ResourcesExpr: v1beta1.ResourcesExpr{Requests: &v1beta1.ResourceExprRequests{CPU: "max(cpu*50%, 5m)"}}}
		native := server("native", "8082")
		native.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		spec.Containers, spec.InitContainers = []v1beta1.SidecarContainer{side}, []v1beta1.SidecarContainer{native}
	})
	s.start("hosts", 2, func(set *v1beta1.CloneSet) {
		pod := &set.Spec.Template.Spec
		pod.Volumes = append(pod.Volumes, corev1.Volume{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}})
		pod.Containers[0].VolumeMounts = append(pod.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "data", MountPath: "/data"})
		pod.Containers[0].Env = append(pod.Containers[0].Env, corev1.EnvVar{Name: "SHARED", Value: "yes"})
	})
	for _, pod := range s.podsNow("hosts") {
		side := pod.Spec.Containers[0]
		mounted := slices.ContainsFunc(side.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == "data" && m.MountPath == "/data" })
		copied := slices.ContainsFunc(side.Env, func(e corev1.EnvVar) bool { return e.Name == "SHARED" && e.Value == "yes" })
		if side.Name != "side" || !mounted || !copied || side.Resources.Requests.Cpu().String() != "5m" {
			s.Errorf("the sidecar of pod %s is %+v", pod.Name, side)
		}
		for _, port := range []string{"8080", "8081", "8082"} { // of the container, the sidecar and the native sidecar
			s.untilPage(net.JoinHostPort(pod.Status.PodIP, port), "1.10.2")
		}
	}
}

// twoPolicies makes two sets, whose pods start without their sidecars while no manager runs, or do not start. It returns what
// checks that while none runs, and what checks afterwards that the set says which pod it missed.
func (s *space) twoPolicies() (dead, back func()) {
	s.Helper()
	add := func(name string) *v1beta1.SidecarSet {
		return s.sidecars(name, func(spec *v1beta1.SidecarSetSpec) {
			spec.Containers = []v1beta1.SidecarContainer{server("side", "8081")}
		})
	}
	add("strict")
	lenient := add("lenient")
	before := lenient.DeepCopy()
	metav1.SetMetaDataAnnotation(&lenient.ObjectMeta, v1beta1.SidecarSetInjectionFailurePolicyKey, "Ignore")
	if err := s.client.Patch(s.Context(), lenient, client.MergeFrom(before)); err != nil {
		s.Fatal(err)
	}
	s.watch(&admissionregistrationv1.MutatingWebhookConfiguration{})
	s.until("the API server is told which pods need not wait", func() string {
		c := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Name: "kruise-pod-mutating-webhook-configuration"}, c); err != nil {
			return err.Error()
		}
		var names []string
		for _, w := range c.Webhooks {
			names = append(names, w.Name)
		}
		if !slices.Contains(names, "create-ignore-0.mpod.kb.io") {
			return strings.Join(names, " ")
		}
		return ""
	})
	pod := func(name string) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: s.name, Name: name, Labels: map[string]string{app: name}}}
		p.Spec.Containers = []corev1.Container{{Name: app, Image: demo("1.10.2")}}
		return p
	}
	dead = func() {
		s.Helper()
		err := s.client.Create(s.Context(), pod("strict"))
		if err == nil || !strings.Contains(err.Error(), `failed calling webhook "create-fail-0.mpod.kb.io"`) {
			s.Errorf("a pod that must not miss its sidecar, while no manager runs: %v", err)
		}
		started := pod("lenient")
		if err := s.client.Create(s.Context(), started); err != nil || len(started.Spec.Containers) != 1 {
			s.Errorf("a pod that may miss its sidecar, while no manager runs: %v, %d containers", err, len(started.Spec.Containers))
		}
		s.untilPods("it runs", 1, func(p *corev1.Pod) bool { return p.Name == "lenient" && isReady(p) })
	}
	back = func() {
		s.Helper()
		s.until("the set names the pod that it missed", func() string {
			set := &v1beta1.SidecarSet{}
			if err := s.seen.Get(s.Context(), client.ObjectKeyFromObject(lenient), set); err != nil {
				return err.Error()
			}
			for _, c := range set.Status.Conditions {
				if strings.Contains(c.Message, s.name+"/lenient") {
					return ""
				}
			}
			return conditionsText(set.Status.Conditions)
		})
		if err := s.client.Create(s.Context(), pod("strict")); err != nil {
			s.Errorf("a pod that must not miss its sidecar, once a manager runs: %v", err)
		}
		s.untilPods("it has its sidecar", 1, func(p *corev1.Pod) bool { return p.Name == "strict" && len(p.Spec.Containers) == 2 && isReady(p) })
	}
	return dead, back
}

func conditionsText(conditions []metav1.Condition) string {
	var out []string
	for _, c := range conditions {
		out = append(out, c.Type+"="+string(c.Status)+": "+c.Message)
	}
	return strings.Join(out, "\n  ")
}
