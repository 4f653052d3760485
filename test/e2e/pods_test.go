package e2e

import (
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/api/apps/v1beta1"
)

// orderedPod is a template of two demo servers that start one after the other. The first takes its time to become ready.
func orderedPod(name string) corev1.PodTemplateSpec {
	slow := &corev1.Probe{InitialDelaySeconds: 3, PeriodSeconds: 1}
	slow.HTTPGet = &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{
			Labels:      map[string]string{app: name},
			Annotations: map[string]string{v1beta1.ContainerLaunchPriorityKey: v1beta1.ContainerLaunchOrdered},
		},
		Spec: corev1.PodSpec{
			TerminationGracePeriodSeconds: ptr.To[int64](1),
			Containers: []corev1.Container{
				{Name: app, Image: demo("1.10.2"), ReadinessProbe: slow},
				{Name: "second", Image: demo("1.10.2"), Args: []string{"-port", "8081"}},
			},
		},
	}
}

// launchesInOrder checks that the containers of pods of Deployments started in their order: that in which they stand, and that of
// their priorities, which turns it around.
func launchesInOrder(s *space) {
	s.watch(&appsv1.Deployment{})
	weighted := orderedPod("weighted")
	weighted.Annotations = nil
	slices.Reverse(weighted.Spec.Containers)
	weighted.Spec.Containers[1].Env = []corev1.EnvVar{{Name: v1beta1.ContainerLaunchPriorityEnv, Value: "1"}}
	for name, template := range map[string]corev1.PodTemplateSpec{"ordered": orderedPod("ordered"), "weighted": weighted} {
		s.create(&appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec:       appsv1.DeploymentSpec{Selector: &metav1.LabelSelector{MatchLabels: map[string]string{app: name}}, Template: template},
		})
	}
	s.untilLaunched("ordered")
	s.untilLaunched("weighted")
}

// untilLaunched waits until the pod of a workload has started its containers, and checks that it did so in their order.
func (s *space) untilLaunched(name string) {
	s.Helper()
	pod := &corev1.Pod{}
	s.until("the containers of the pod have had their turn", func() string {
		var pods corev1.PodList
		if err := s.seen.List(s.Context(), &pods, client.InNamespace(s.name), client.MatchingLabels{app: name}); err != nil {
			return err.Error()
		}
		if len(pods.Items) != 1 || pods.Items[0].Annotations[v1beta1.ContainerLaunchPriorityCompletedKey] != "true" {
			return fmt.Sprintf("%d pods", len(pods.Items))
		}
		pod = &pods.Items[0]
		return ""
	})
	first, second := containerOf(pod, app).State.Running, containerOf(pod, "second").State.Running
	if first == nil || second == nil {
		s.Fatalf("the containers do not run:%s", describePod(pod))
	}
	if between := second.StartedAt.Sub(first.StartedAt.Time); between < 3*time.Second {
		s.Errorf("the second container started %s after the first, which takes 3 s to become ready", between)
	}
	s.Logf("the first container started at %s, the second at %s", first.StartedAt.UTC(), second.StartedAt.UTC())
}

// refusesOrdered checks that a pod which asks for an order is refused while no manager runs, as its policy says.
func (s *space) refusesOrdered() {
	s.Helper()
	template := orderedPod("waits")
	pod := &corev1.Pod{ObjectMeta: template.ObjectMeta, Spec: template.Spec}
	pod.Namespace, pod.Name = s.name, "waits"
	err := s.client.Create(s.Context(), pod)
	if err == nil || !strings.Contains(err.Error(), `failed calling webhook "create-fail-0.mpod.kb.io"`) {
		s.Errorf("a pod that asks for an order, while no manager runs: %v", err)
	}
}

// probesMark checks that what the nodes probe stands on the pods, and that only a marker's own probes go with it.
func probesMark(s *space) {
	s.start("probed", 1)
	marker := func(name string, probes ...v1alpha1.PodContainerProbe) *v1alpha1.PodProbeMarker {
		m := &v1alpha1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Name: name}}
		m.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{app: "probed"}}
		for i := range probes {
			probes[i].ContainerName, probes[i].PodConditionType = app, "example.org/"+probes[i].Name
			probes[i].MarkerPolicy = []v1alpha1.ProbeMarkerPolicy{
				{State: v1alpha1.ProbeSucceeded, Labels: map[string]string{probes[i].Name: "yes"}},
				{State: v1alpha1.ProbeFailed, Labels: map[string]string{probes[i].Name: "no"}},
			}
		}
		m.Spec.Probes = probes
		return m
	}
	command := func(name string, words ...string) v1alpha1.PodContainerProbe {
		p := v1alpha1.PodContainerProbe{Name: name}
		p.Probe.Exec = &corev1.ExecAction{Command: words}
		return p
	}
	page := func(name, path string) v1alpha1.PodContainerProbe {
		p := v1alpha1.PodContainerProbe{Name: name}
		p.Probe.HTTPGet = &corev1.HTTPGetAction{Scheme: corev1.URISchemeHTTP, Path: path, Port: intstr.FromInt32(8080)}
		return p
	}
	port := v1alpha1.PodContainerProbe{Name: "port"}
	port.Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromInt32(8080)}
	way := marker("way", command("helps", "/demo", "-h"), command("fails", "/demo", "-none"), page("page", "/healthz"), page("nothing", "/nothing"))
	s.create(way)
	s.create(marker("gateway", port))
	want := map[string]string{"helps": "yes", "fails": "no", "page": "yes", "nothing": "no", "port": "yes"}
	s.until("all that was found stands on the pod", func() string {
		pod := s.podsNow("probed")[0]
		missing := ""
		for name, found := range want {
			status := map[string]corev1.ConditionStatus{"yes": corev1.ConditionTrue, "no": corev1.ConditionFalse}[found]
			if pod.Labels[name] != found || statusOf(pod, corev1.PodConditionType("example.org/"+name)) != status {
				missing += fmt.Sprintf(" %s is not %s", name, found)
			}
		}
		return missing
	})

	// The other marker goes on when one is deleted whose name is the end of its own.
	pod := s.podsNow("probed")[0]
	if err := s.client.Delete(s.Context(), way); err != nil {
		s.Fatal(err)
	}
	s.watch(&v1alpha1.NodePodProbe{})
	s.until("the node is handed the probe of the other marker alone", func() string {
		return s.handed(pod, "gateway#port")
	})
}

// handed says what else the node of a pod is handed than one probe.
func (s *space) handed(pod *corev1.Pod, probe string) string {
	s.Helper()
	probes := &v1alpha1.NodePodProbe{}
	if err := s.seen.Get(s.Context(), client.ObjectKey{Name: pod.Spec.NodeName}, probes); err != nil {
		return err.Error()
	}
	var names []string
	for _, one := range probes.Spec.PodProbes {
		if one.UID == string(pod.UID) {
			for _, p := range one.Probes {
				names = append(names, p.Name)
			}
		}
	}
	if got := strings.Join(names, " "); got != probe {
		return "it is handed " + got
	}
	return ""
}
