package persistentpodstate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
)

const zone = "topology.kubernetes.io/zone"

func mergePatch(text string) client.Patch { return client.RawPatch(types.MergePatchType, []byte(text)) }

func specOf(t *testing.T, o *unstructured.Unstructured) string {
	t.Helper()
	text, err := yaml.Marshal(o.Object["spec"])
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// node makes a node of the test's own, in zone a, and returns its name.
func node(t *testing.T) string {
	t.Helper()
	name := "node-" + rand.String(8)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{zone: "a", corev1.LabelHostname: name}}}
	create(t, n)
	change(t, n, `{"spec":{"taints":null}}`)
	return n.Name
}

// native makes a StatefulSet of Kubernetes, whose controller does not run here.
func native(t *testing.T, namespace string, replicas int32) *appsv1.StatefulSet {
	t.Helper()
	set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}}
	set.Spec.Replicas = &replicas
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.Template.Labels = map[string]string{"app": "web"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "demo:1"}}
	create(t, set)
	return set
}

// podOf is a pod as its StatefulSet makes it.
func podOf(set *appsv1.StatefulSet, ordinal int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: fmt.Sprint(set.Name, "-", ordinal), Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"ip": "10.0.0.1"},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "StatefulSet", Name: set.Name, UID: set.UID, Controller: ptr.To(true)}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "demo:1"}}},
	}
}

// ready makes a pod that is ready on a node.
func ready(t *testing.T, set *appsv1.StatefulSet, ordinal int, node string) *corev1.Pod {
	t.Helper()
	p := podOf(set, ordinal)
	readyOn(t, p, node)
	return p
}

// readyOn makes a pod as it is when it is ready on a node.
func readyOn(t *testing.T, p *corev1.Pod, node string) {
	t.Helper()
	p.Spec.NodeName = node
	create(t, p)
	p.Status.Phase = corev1.PodRunning
	p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := server.Client.Status().Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
}

// states makes the object for a StatefulSet: it must return to its node, and would like its zone.
func states(t *testing.T, set *appsv1.StatefulSet, more string) *v1beta1.PersistentPodState {
	t.Helper()
	create(t, object(t, set.Namespace, "v1beta1", target+", "+required+", persistentPodAnnotations: [{key: ip}], preferredPersistentTopology: [{weight: 9, preference: {KEYS: ["+zone+"]}}]"+more))
	return &v1beta1.PersistentPodState{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: "demo"}}
}

func remembered(t *testing.T, s *v1beta1.PersistentPodState, pods ...string) {
	t.Helper()
	eventually(t, "what is remembered is "+strings.Join(pods, ", "), func() bool {
		return read(t, s) && s.Status.ObservedGeneration == s.Generation && slices.Equal(slices.Sorted(maps.Keys(s.Status.PodStates)), pods)
	})
}

// sent says whether a new pod is sent back to a node.
func sent(p *corev1.Pod, node string) bool {
	return p.Spec.NodeSelector["kubernetes.io/hostname"] == node && p.Annotations["kruise.io/injected-persistent-pod-state"] == "demo"
}

func TestAPodReturnsToAManagerThatIsLimitedToTheKind(t *testing.T) {
	server.As(user).Managed(t, func(m *manager.Options, _ *serve.Options) {
		m.WebhooksOnly, m.Kinds = false, []string{"PersistentPodState"}
	})
	on, set := node(t), native(t, server.Namespace(t), 1)
	s := states(t, set, "")
	pod := ready(t, set, 0, on)
	remembered(t, s, "web-0")
	remove(t, pod)
	eventually(t, "a pod is sent back", func() bool {
		p := podOf(set, 0)
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && sent(p, on)
	})
}

func TestAPodReturns(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	on := node(t)
	set := native(t, namespace, 1)
	s := states(t, set, "")
	pod := ready(t, set, 0, on)
	remembered(t, s, "web-0")
	want := v1beta1.PodState{NodeName: on, NodeTopologyLabels: map[string]string{"kubernetes.io/hostname": on, zone: "a"}, Annotations: map[string]string{"ip": "10.0.0.1"}}
	if diff := cmp.Diff(want, s.Status.PodStates["web-0"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	change(t, pod, `{"metadata":{"annotations":{"ip":"10.0.0.2"}}}`)
	eventually(t, "another annotation is remembered", func() bool { return read(t, s) && s.Status.PodStates["web-0"].Annotations["ip"] == "10.0.0.2" })
	remove(t, pod)

	eventually(t, "a pod is sent back", func() bool {
		p := podOf(set, 0)
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && sent(p, on)
	})
	back := podOf(set, 0)
	back.Spec.NodeSelector = map[string]string{"disk": "ssd"}
	create(t, back)
	if diff := cmp.Diff(map[string]string{"disk": "ssd", "kubernetes.io/hostname": on}, back.Spec.NodeSelector); diff != "" {
		t.Errorf("nodeSelector (-want +got):\n%s", diff)
	}
	terms := back.Spec.Affinity.NodeAffinity.PreferredDuringSchedulingIgnoredDuringExecution
	if len(terms) != 1 || terms[0].Weight != 9 || terms[0].Preference.MatchExpressions[0].Key != zone || terms[0].Preference.MatchExpressions[0].Values[0] != "a" {
		t.Errorf("preferences %+v", terms)
	}
	if back.Annotations["ip"] != "10.0.0.1" {
		t.Errorf("an annotation was written on the pod: %v", back.Annotations)
	}
	other := podOf(set, 1) // which is not remembered
	create(t, other)
	if sent(other, on) || other.Spec.Affinity != nil {
		t.Errorf("a pod of which nothing is remembered was changed: %+v", other.Spec)
	}
	if read(t, s) && s.Status.PodStates["web-0"].NodeName != on {
		t.Errorf("what was remembered changed before the pod is ready: %+v", s.Status)
	}
}

func TestPodsThatAreNotWantedAreForgotten(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	on := node(t)
	set := native(t, namespace, 3)
	s := states(t, set, "")
	var pods []*corev1.Pod
	for i := range 3 {
		pods = append(pods, ready(t, set, i, on))
	}
	remembered(t, s, "web-0", "web-1", "web-2")
	remove(t, pods[0]) // it comes back
	change(t, set, `{"spec":{"replicas":1}}`)
	remove(t, pods[2])
	remembered(t, s, "web-0", "web-1")
	change(t, set, `{"spec":{"replicas":2,"ordinals":{"start":1}}}`)
	remembered(t, s, "web-1")
	change(t, s, `{"spec":{"persistentPodStateRetentionPolicy":"WhenDeleted"}}`)
	change(t, set, `{"spec":{"replicas":0}}`)
	remove(t, pods[1])
	remembered(t, s, "web-1")
	remove(t, set)
	remembered(t, s)
}

func TestOnlyPodsOfTheWorkloadWaitForAManager(t *testing.T) {
	stop := managed(t)
	namespace := server.Namespace(t)
	on := node(t)
	set := native(t, namespace, 1)
	s := states(t, set, "")
	pod := ready(t, set, 0, on)
	remembered(t, s, "web-0")
	remove(t, pod)
	eventually(t, "a pod is sent back", func() bool {
		p := podOf(set, 0)
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && sent(p, on)
	})
	stop()
	if err := server.Client.Create(t.Context(), podOf(set, 0)); err == nil || !strings.Contains(err.Error(), `failed calling webhook "create-fail-0.mpod.kb.io"`) {
		t.Errorf("a pod that is to return, while no manager runs: %v", err)
	}
	stranger := podOf(set, 0) // with the same labels
	stranger.OwnerReferences = nil
	create(t, stranger)
	of := podOf(set, 7)
	of.OwnerReferences[0].Name = "another"
	create(t, of)
}

func TestAPodThatFindsNoRoomIsTold(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	on := node(t)
	set := native(t, namespace, 1)
	s := states(t, set, "")
	pod := ready(t, set, 0, on)
	remembered(t, s, "web-0")
	remove(t, pod)
	eventually(t, "a pod is sent back", func() bool {
		p := podOf(set, 0)
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && sent(p, on)
	})
	back := podOf(set, 0)
	create(t, back)
	back.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "0/2 nodes are available: 2 Insufficient cpu."}}
	if err := server.Client.Status().Update(t.Context(), back); err != nil {
		t.Fatal(err)
	}
	told(t, namespace, "demo", "PodFindsNoRoom", "Pod web-0 waits to run again on a node with kubernetes.io/hostname="+on+": 0/2 nodes are available: 2 Insufficient cpu. To let it run elsewhere,")
}

// told waits for an event about an object.
func told(t *testing.T, namespace, name, reason, begins string) {
	t.Helper()
	eventually(t, "the event "+reason+" about "+name, func() bool {
		events := &eventsv1.EventList{}
		if err := server.Client.List(t.Context(), events, client.InNamespace(namespace)); err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(events.Items, func(e eventsv1.Event) bool {
			return e.Regarding.Name == name && e.Reason == reason && strings.HasPrefix(e.Note, begins) && e.Type == "Warning"
		})
	})
}

func TestAPodThatWasNotSentBackIsToldAndWhereItMustRunIsNotForgotten(t *testing.T) {
	managed(t)
	namespace := server.Namespace(t)
	before, now := node(t), node(t)
	set := native(t, namespace, 1)
	pod := podOf(set, 0) // created before anybody asks about it, as while no manager answers
	pod.Spec.NodeName = now
	create(t, pod)
	s := states(t, set, "")
	remembered(t, s)
	s.Status.PodStates = map[string]v1beta1.PodState{"web-0": {NodeName: before, NodeTopologyLabels: map[string]string{"kubernetes.io/hostname": before}}}
	if err := server.Client.Status().Update(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	pod.Status.Phase = corev1.PodRunning
	pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	if err := server.Client.Status().Update(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	told(t, namespace, "demo", "PodNotSentBack", "Pod web-0 was created while no manager answered for its webhook, so it was not sent back to node "+before+" and runs on "+now)
	remove(t, pod)
	eventually(t, "the next pod is sent back", func() bool {
		p := podOf(set, 0)
		return server.Client.Create(t.Context(), p, client.DryRunAll) == nil && sent(p, before)
	})
}
