package e2e

import (
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	// spareNode is a node that has only the pods of the story that takes it away.
	spareNode = "node-3"
	// spare is the taint that keeps others off.
	spare = "e2e.kruise.io/spare"
)

// trouble makes trouble in the lab, or ends it.
func (s *space) trouble(verb, what string) {
	s.Helper()
	run(s.T, "", root, "bin/kruise-lab", verb, what, "--data-dir", filepath.Dir(s.kubeconfig))
}

func apiServerKilled(s *space) {
	managers := s.managers()
	managers.untilManagersAre(2)
	restarted := restarts(managers.podsOfManagers())
	s.start("amid", 6, maxUnavailable(2), grace(2))
	before := s.podsNow("amid")
	end := s.guard("amid", serving(4), existing(6))
	set := s.change("amid", image("1.10.3"))
	s.untilUpdated(set, 1)
	if updated := s.set("amid").Status.UpdatedReplicas; updated == 6 {
		s.Errorf("the update was over before the API server was killed")
	}

	s.trouble("kill", "kube-apiserver")
	s.untilDone(set)
	end()
	after := s.podsNow("amid")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.restartedOnce(after)
	managers.untilManagersAre(2)
	// A manager that cannot renew its leadership in time gives up and starts anew; once is enough for that.
	for _, pod := range managers.podsOfManagers() {
		n := restarts([]*corev1.Pod{pod})[pod.Name] - restarted[pod.Name]
		s.Logf("manager %s was restarted %d times: %+v", pod.Name, n, containerOf(pod, "manager").LastTerminationState.Terminated)
		if n > 1 {
			s.Errorf("manager %s was restarted %d times", pod.Name, n)
		}
	}
}

// podsOfManagers are the pods of the namespace of the managers.
func (s *space) podsOfManagers() []*corev1.Pod {
	s.Helper()
	var list corev1.PodList
	if err := s.client.List(s.Context(), &list, client.InNamespace(s.name)); err != nil {
		s.Fatalf("listing the managers: %v", err)
	}
	var pods []*corev1.Pod
	for i := range list.Items {
		pods = append(pods, &list.Items[i])
	}
	return pods
}

// nodeCutOff has two pods on each of three nodes and takes one of the nodes away in the middle of an update.
func nodeCutOff(s *space) {
	s.start("cut", 6, grace(1), partition(5), overAllNodes, func(set *v1beta1.CloneSet) {
		set.Spec.UpdateStrategy.RollingUpdate.PriorityStrategy = &v1beta1.UpdatePriorityStrategy{
			WeightPriority: []v1beta1.UpdatePriorityWeightTerm{{Weight: 100, MatchSelector: metav1.LabelSelector{MatchLabels: map[string]string{"turn": "next"}}}},
		}
	})
	before := s.podsNow("cut")
	there := s.podsOn("cut", spareNode)
	if len(there) != 2 {
		s.Fatalf("%d pods are on %s, not 2: %s", len(there), spareNode, s.describe("cut"))
	}
	here := slices.DeleteFunc(slices.Clone(before), func(pod *corev1.Pod) bool { return pod.Spec.NodeName == spareNode })
	// Labelled long before the update begins, so that the manager has heard of it by then.
	s.label(here[0], "turn", "next")
	s.beginOnNodes("along", tolerating(spare))
	s.untilOnNodes("along", everywhere+1)
	s.watch(&v1beta1.StatefulSet{})
	s.beginOrdinals("twins", 2, inPlaceInParallel, halfOnSpareNode)
	s.untilOrdinals("twins")
	s.untilSaid(s.change("cut", image("1.10.3")), v1beta1.CloneSetProgressPartitionAvailable)
	for _, pod := range there {
		s.label(pod, "turn", "next")
	}

	// The update stops at the first pod that does not answer.
	end, holds := s.guard("cut", serving(5)), s.guard("cut", existing(6), changed("1.10.3", 2))
	s.trouble("cut", spareNode)
	s.Cleanup(func() { s.trouble("mend", spareNode) })
	set := s.change("cut", partition(0))
	s.until("the update waits for a pod on the node that was cut off", func() string {
		says := progress(s.set("cut")).Message
		if !strings.Contains(says, "maxUnavailable is 1") || !strings.Contains(says, there[0].Name) && !strings.Contains(says, there[1].Name) {
			return s.describe("cut")
		}
		return ""
	})
	end()
	// Then the node is given up, and both pods are known to be away.
	s.untilMessage("cut", there[0].Name)
	s.untilMessage("cut", there[1].Name)
	s.Logf("the condition says: %s", progress(s.set("cut")).Message)
	holds()
	back, replaced := s.daemonsWait("along"), s.twinWaits("twins")

	end = s.guard("cut", serving(4), existing(6))
	s.trouble("mend", spareNode)
	s.untilDone(set)
	end()
	back()
	replaced()
	after := s.podsNow("cut")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for _, pod := range after {
		if n := containerOf(pod, app).RestartCount; n != 1 {
			s.Errorf("the container of pod %s was restarted %d times, not once", pod.Name, n)
		}
	}
	s.nodeGone(here)
}

// twinWaits deletes the pod of a StatefulSet on the node that is cut off. Nobody can say that it has ended there, and it may be
// writing to its volume: there must be no second one of its name until the node is back. end checks that there was none, and then
// waits for it.
func (s *space) twinWaits(name string) (end func()) {
	s.Helper()
	there := s.podsOn(name, spareNode)
	if len(there) != 1 {
		s.Fatalf("%d pods of %s are on %s, not 1: %s", len(there), name, spareNode, s.describeOrdinals(name))
	}
	holds := s.guard(name, func(pods []*corev1.Pod) string {
		if !slices.ContainsFunc(pods, func(pod *corev1.Pod) bool { return pod.UID == there[0].UID }) {
			return "pod " + there[0].Name + " is gone"
		}
		return ""
	})
	s.kubectl(s.T, "", "delete", "pod", there[0].Name, "--namespace", s.name, "--wait=false")
	s.until("the set says for whom it waits", func() string {
		for _, c := range s.ordinals(name).Status.Conditions {
			if c.Type == v1beta1.StatefulSetConditionProgressing && strings.Contains(c.Message, there[0].Name) {
				return ""
			}
		}
		return s.describeOrdinals(name)
	})
	holds()
	return func() {
		s.Helper()
		s.untilGone(name, there...)
		s.untilOrdinals(name)
	}
}

// halfOnSpareNode has one of two pods on the node that is taken away, and no volumes, which would be of one node.
func halfOnSpareNode(set *v1beta1.StatefulSet) {
	spec := &set.Spec.Template.Spec
	set.Spec.VolumeClaimTemplates, spec.Containers[0].VolumeMounts = nil, nil
	spec.Tolerations = []corev1.Toleration{{Key: spare, Operator: corev1.TolerationOpExists}}
	spec.TerminationGracePeriodSeconds = new(int64(1))
	spec.Affinity = &corev1.Affinity{
		NodeAffinity: &corev1.NodeAffinity{RequiredDuringSchedulingIgnoredDuringExecution: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: []string{"node-1", spareNode}}},
		}}}},
		PodAntiAffinity: &corev1.PodAntiAffinity{RequiredDuringSchedulingIgnoredDuringExecution: []corev1.PodAffinityTerm{{
			LabelSelector: set.Spec.Selector, TopologyKey: corev1.LabelHostname,
		}}},
	}
}

// nodeGone takes the node away for good: its pods are deleted without it. stay are the others.
func (s *space) nodeGone(stay []*corev1.Pod) {
	s.Helper()
	gone := s.podsOn("cut", spareNode)
	s.trouble("cut", spareNode)
	s.kubectl(s.T, "", "cordon", spareNode)
	s.Cleanup(func() { s.kubectl(s.T, "", "uncordon", spareNode) })
	end := s.guard("cut", serving(4), existing(6))
	set := s.change("cut", image("1.10.5"))
	for _, pod := range gone {
		s.kubectl(s.T, "", "delete", "pod", pod.Name, "--namespace", s.name, "--force", "--grace-period=0", "--wait=false")
	}
	s.untilGone("cut", gone...)
	s.untilDone(set)
	end()
	kept := map[string]identity{}
	for name, one := range s.identities(s.podsNow("cut")) {
		if one.Node == spareNode {
			s.Errorf("pod %s is on the node that is gone", name)
		}
		if slices.ContainsFunc(stay, func(pod *corev1.Pod) bool { return pod.Name == name }) {
			kept[name] = one
		}
	}
	s.same("what the other pods keep", s.identities(stay), kept)
	s.same("the pods that serve", 6, count(s.podsNow("cut"), serves))
}

// overAllNodes spreads pods evenly over all nodes that can be used, the spare one too.
func overAllNodes(set *v1beta1.CloneSet) {
	honor := corev1.NodeInclusionPolicyHonor
	spec := &set.Spec.Template.Spec
	spec.Tolerations = []corev1.Toleration{{Key: spare, Operator: corev1.TolerationOpExists}}
	spec.TopologySpreadConstraints = []corev1.TopologySpreadConstraint{{
		MaxSkew: 1, TopologyKey: corev1.LabelHostname, WhenUnsatisfiable: corev1.DoNotSchedule,
		LabelSelector: set.Spec.Selector, NodeTaintsPolicy: &honor,
	}}
}

// podsOn are the pods of a CloneSet on a node.
func (s *space) podsOn(set, node string) []*corev1.Pod {
	s.Helper()
	return slices.DeleteFunc(s.podsNow(set), func(pod *corev1.Pod) bool { return pod.Spec.NodeName != node })
}
