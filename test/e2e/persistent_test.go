package e2e

import (
	"fmt"
	"strings"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// returnsToItsNode has the pod of a StatefulSet made anew from a template that would have it elsewhere, and checks that it comes
// back to its node; that it waits where it may not run there; and that it goes elsewhere once nothing is required any more.
func returnsToItsNode(s *space) {
	s.watch(&appsv1.StatefulSet{}, &v1beta1.PersistentPodState{})
	labels := map[string]string{app: "stays"}
	s.create(&appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "stays", Annotations: map[string]string{
			v1beta1.AutoGeneratePersistentPodStateKey: "true", v1beta1.RequiredPersistentTopologyKey: corev1.LabelHostname,
		}},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: ptr.To[int64](1), Containers: []corev1.Container{{Name: app, Image: demo("1.10.2")}},
				},
			},
		},
	})
	home := s.untilRemembered("stays")
	s.untilAsked()

	away := awayFrom(home)
	edit(s, "stays", &appsv1.StatefulSet{}, func(set *appsv1.StatefulSet) {
		set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 100, Preference: away}},
		}}
	})
	s.untilPods("the new pod is ready at home, though it would rather be away", 1, func(pod *corev1.Pod) bool {
		return pod.Spec.Affinity != nil && pod.Spec.NodeName == home && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue
	})

	edit(s, "stays", &appsv1.StatefulSet{}, func(set *appsv1.StatefulSet) {
		set.Spec.Template.Spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{away}}
	})
	s.untilEvent("PodFindsNoRoom", "Pod stays-0 waits to run again on a node with kubernetes.io/hostname="+home)

	edit(s, "stays", &appsv1.StatefulSet{}, func(set *appsv1.StatefulSet) {
		delete(set.Annotations, v1beta1.RequiredPersistentTopologyKey)
		set.Annotations[v1beta1.PreferredPersistentTopologyKey] = corev1.LabelHostname
	})
	s.until("nothing is required any more", func() string {
		state := &v1beta1.PersistentPodState{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: "stays"}, state); err != nil {
			return err.Error()
		}
		if state.Spec.RequiredPersistentTopology != nil {
			return fmt.Sprintf("%+v", state.Spec)
		}
		return ""
	})
	s.kubectl(s.T, "", "delete", "pod", "stays-0", "--namespace", s.name, "--wait=false")
	s.untilPods("the pod is ready elsewhere", 1, func(pod *corev1.Pod) bool {
		return pod.Spec.NodeName != home && statusOf(pod, corev1.PodReady) == corev1.ConditionTrue
	})
}

// returnsAfterAnUpdate has the pod of an Advanced StatefulSet recreated by an update that would have it elsewhere.
func returnsAfterAnUpdate(s *space) {
	s.watch(&v1beta1.PersistentPodState{})
	labels := map[string]string{app: "updated"}
	s.create(&v1beta1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: "updated", Annotations: map[string]string{
			v1beta1.AutoGeneratePersistentPodStateKey: "true", v1beta1.RequiredPersistentTopologyKey: corev1.LabelHostname,
		}},
		Spec: v1beta1.StatefulSetSpec{
			Replicas: new(int32(1)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: guest("", nil).Spec},
		},
	})
	home := s.untilRemembered("updated")
	s.untilAsked()
	edit(s, "updated", &v1beta1.StatefulSet{}, func(set *v1beta1.StatefulSet) {
		set.Spec.Template.Spec.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.PreferredSchedulingTerm{{Weight: 100, Preference: awayFrom(home)}},
		}}
	})
	s.untilPods("the new pod is ready at home, though it would rather be away", 1, func(pod *corev1.Pod) bool {
		return pod.Spec.Affinity != nil && pod.Spec.NodeName == home && isReady(pod)
	})
}

// awayFrom is the wish for any other node.
func awayFrom(node string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpNotIn, Values: []string{node}}}}
}

// untilRemembered waits until it is remembered where the first pod of a StatefulSet runs, and returns the node.
func (s *space) untilRemembered(set string) (node string) {
	s.Helper()
	s.until("it is remembered where the pod of "+set+" runs", func() string {
		state := &v1beta1.PersistentPodState{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Namespace: s.name, Name: set}, state); err != nil {
			return err.Error()
		}
		node = state.Status.PodStates[set+"-0"].NodeName
		return map[bool]string{true: "nothing is remembered"}[node == ""]
	})
	return node
}

// untilAsked waits until the API server is to ask the manager about pods of the namespace.
func (s *space) untilAsked() {
	s.Helper()
	const name = "kruise-pod-mutating-webhook-configuration"
	s.watch(&admissionregistrationv1.MutatingWebhookConfiguration{})
	s.until("the API server is to ask about pods of the namespace", func() string {
		c := &admissionregistrationv1.MutatingWebhookConfiguration{}
		if err := s.seen.Get(s.Context(), client.ObjectKey{Name: name}, c); err != nil {
			return err.Error()
		}
		if text := fmt.Sprintf("%+v", c.Webhooks); !strings.Contains(text, s.name) {
			return text
		}
		return ""
	})
}
