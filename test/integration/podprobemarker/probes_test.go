package podprobemarker

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1alpha1"
	"kruise.io/kruise/test/integration/apiserver"
)

func newMarker(namespace, name string, probes ...string) *v1alpha1.PodProbeMarker {
	m := &v1alpha1.PodProbeMarker{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	m.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "game"}}
	for _, probe := range probes {
		p := v1alpha1.PodContainerProbe{Name: probe, ContainerName: "main", PodConditionType: "example.org/" + probe, MarkerPolicy: []v1alpha1.ProbeMarkerPolicy{
			{State: v1alpha1.ProbeSucceeded, Labels: map[string]string{probe: "yes"}},
			{State: v1alpha1.ProbeFailed, Annotations: map[string]string{probe: "no"}},
		}}
		p.Probe.TCPSocket = &corev1.TCPSocketAction{Port: intstr.FromString("http")}
		m.Spec.Probes = append(m.Spec.Probes, p)
	}
	return m
}

// handed is what a node probes, as pod:probe, or none if it has no object.
func handed(t *testing.T, node string) string {
	t.Helper()
	n := &v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: node}}
	if !read(t, n) {
		return "none"
	}
	var out []string
	for _, p := range n.Spec.PodProbes {
		for _, one := range p.Probes {
			out = append(out, p.Name+":"+one.Name)
		}
	}
	return strings.Join(out, " ")
}

// find has a node say what it found of a pod.
func find(t *testing.T, node string, pod *corev1.Pod, pairs ...string) {
	t.Helper()
	status := v1alpha1.PodProbeStatus{Namespace: pod.Namespace, Name: pod.Name, UID: string(pod.UID)}
	for i := 0; i < len(pairs); i += 2 {
		status.ProbeStates = append(status.ProbeStates, v1alpha1.ContainerProbeState{
			Name: pairs[i], State: v1alpha1.ProbeState(pairs[i+1]), Message: "said", LastProbeTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		})
	}
	n := &v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: node}}
	apiserver.Eventually(t, "the node says what it found", func() bool {
		return read(t, n) && func() bool {
			n.Status.PodProbeStatuses = []v1alpha1.PodProbeStatus{status}
			return server.Client.Status().Update(t.Context(), n) == nil
		}()
	})
}

func conditionOf(pod *corev1.Pod, kind string) string {
	for _, c := range pod.Status.Conditions {
		if string(c.Type) == kind {
			return string(c.Status)
		}
	}
	return ""
}

func TestANodeIsHandedTheProbesOfItsPodsAndNoOthers(t *testing.T) {
	namespace, n, empty := server.Namespace(t), node(t, nil), node(t, nil)
	running(t, namespace, "a", n.Name)
	other := running(t, namespace, "other", n.Name)
	other.Labels["app"] = "db"
	if err := server.Client.Update(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	way := newMarker(namespace, "way", "p", "q")
	gateway := newMarker(namespace, "gateway", "p")
	gateway.Spec.Probes[0].PodConditionType = "example.org/gateway"
	create(t, way)
	create(t, gateway)
	apiserver.Eventually(t, "the node probes for both markers", func() bool {
		return handed(t, n.Name) == "a:way#p a:way#q a:gateway#p" || handed(t, n.Name) == "a:gateway#p a:way#p a:way#q"
	})
	probes := &v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
	read(t, probes)
	if p := probes.Spec.PodProbes[0]; p.IP != "10.0.0.1" || p.Probes[0].Probe.TCPSocket.Port.IntVal != 8080 {
		t.Errorf("the node is handed %+v", p)
	}
	if owners := probes.OwnerReferences; len(owners) != 1 || owners[0].UID != n.UID {
		t.Errorf("the object belongs to %v", owners)
	}
	apiserver.Eventually(t, "the marker counts its pod", func() bool {
		read(t, way)
		return way.Status.MatchedPods == 1 && way.Status.ObservedGeneration == way.Generation
	})

	way.Spec.Probes = way.Spec.Probes[:1]
	if err := server.Client.Update(t.Context(), way); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "a probe that is removed from its marker goes", func() bool { return !strings.Contains(handed(t, n.Name), "way#q") })

	if err := server.Client.Delete(t.Context(), way); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the probes of a marker go with it, and those of one whose name ends alike stay", func() bool { return handed(t, n.Name) == "a:gateway#p" })

	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "a"}}
	if err := server.Client.Delete(t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the probes of a pod go with it", func() bool { return handed(t, n.Name) == "" })
	if got := handed(t, empty.Name); got != "none" {
		t.Errorf("a node without pods is handed %q", got)
	}
}

func TestAPodIsProbedOnceItHasBeenInitialized(t *testing.T) {
	namespace, n := server.Namespace(t), node(t, nil)
	create(t, newMarker(namespace, "m", "p"))
	pod := running(t, namespace, "a", n.Name)
	apiserver.Eventually(t, "the pod is probed", func() bool { return handed(t, n.Name) == "a:m#p" })
	pod.Status.PodIP, pod.Status.PodIPs = "10.0.0.2", []corev1.PodIP{{IP: "10.0.0.2"}}
	if err := server.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "it is probed at its new address", func() bool {
		probes := &v1alpha1.NodePodProbe{ObjectMeta: metav1.ObjectMeta{Name: n.Name}}
		return read(t, probes) && len(probes.Spec.PodProbes) == 1 && probes.Spec.PodProbes[0].IP == "10.0.0.2"
	})
	pod.Status.Phase = corev1.PodSucceeded
	if err := server.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "it is not probed once it is done", func() bool { return handed(t, n.Name) == "" })
}

func TestWhatANodeFindsStandsOnThePod(t *testing.T) {
	namespace, n := server.Namespace(t), node(t, nil)
	pod := running(t, namespace, "a", n.Name)
	create(t, newMarker(namespace, "m", "p", "q"))
	apiserver.Eventually(t, "the pod is probed", func() bool { return handed(t, n.Name) == "a:m#p a:m#q" })
	for _, step := range []struct {
		p, q  string
		marks string
	}{
		{"Succeeded", "Failed", "p:True q:False p=yes q=no"},
		{"Failed", "Failed", "p:False q:False p=no q=no"},
		{"Unknown", "Succeeded", "p:False q:True p=no q=yes"},
	} {
		find(t, n.Name, pod, "m#p", step.p, "m#q", step.q)
		apiserver.Eventually(t, step.marks, func() bool {
			read(t, pod)
			marks := []string{"p:" + conditionOf(pod, "example.org/p"), "q:" + conditionOf(pod, "example.org/q")}
			for _, name := range []string{"p", "q"} {
				for _, set := range []map[string]string{pod.Labels, pod.Annotations} {
					if value, ok := set[name]; ok {
						marks = append(marks, name+"="+value)
					}
				}
			}
			return strings.Join(marks, " ") == step.marks
		})
	}
	// What is found of another pod of this name is nobody's.
	stranger := pod.DeepCopy()
	stranger.UID = "another"
	version := pod.ResourceVersion
	find(t, n.Name, stranger, "m#p", "Succeeded")
	find(t, n.Name, pod, "m#p", "Failed", "m#q", "Succeeded")
	apiserver.Eventually(t, "the pod is marked again", func() bool { read(t, pod); return conditionOf(pod, "example.org/p") == "False" })
	if pod.ResourceVersion != version {
		t.Error("the pod was written although nothing changed on it")
	}
}

func TestOnANodeOfAVirtualKubeletConditionsAreHeard(t *testing.T) {
	namespace, n := server.Namespace(t), node(t, map[string]string{"type": "virtual-kubelet"})
	pod := running(t, namespace, "a", n.Name)
	create(t, newMarker(namespace, "m", "p"))
	for _, step := range []struct {
		status corev1.ConditionStatus
		label  string
	}{{corev1.ConditionTrue, "yes"}, {corev1.ConditionFalse, ""}} {
		apiserver.Eventually(t, "the kubelet reports", func() bool {
			// The manager writes on the pod as well, so a report is made anew upon a conflict.
			read(t, pod)
			pod.Status.Conditions = slices.DeleteFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == "example.org/p" })
			pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: "example.org/p", Status: step.status})
			return server.Client.Status().Update(t.Context(), pod) == nil
		})
		apiserver.Eventually(t, "what follows from "+string(step.status)+" is on the pod", func() bool { read(t, pod); return pod.Labels["p"] == step.label })
	}
	if got := handed(t, n.Name); got != "none" {
		t.Errorf("the node has no agent and is handed %q", got)
	}
}

func TestAMarkerThatAnotherReleaseHoldsGoesAtOnce(t *testing.T) {
	m := newMarker(server.Namespace(t), "old", "p")
	m.Finalizers = []string{v1alpha1.PodProbeMarkerFinalizer}
	create(t, m)
	if err := server.Client.Delete(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the marker is gone", func() bool { return !read(t, m) })
}
