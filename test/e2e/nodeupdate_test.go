package e2e

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// untilOnHold waits until a DaemonSet has an available pod on each node and gives, of this generation, a reason for not being
// updated further, in these words. Then it checks which image the pod of each node has, by the last part of its tag.
func (s *space) untilOnHold(set *v1beta1.DaemonSet, reason, words string, want map[string]string) {
	s.Helper()
	s.until(fmt.Sprintf("the DaemonSet %s says %s (%s) of generation %d", set.Name, reason, words, set.Generation), func() string {
		now, pods := s.onNodes(set.Name), s.pods(set.Name)
		says := progressOnNodes(now)
		if now.Status.ObservedGeneration < set.Generation || says.Reason != reason || !strings.Contains(says.Message, words) ||
			now.Status.NumberAvailable != everywhere || len(pods) != everywhere || ready(everywhere)(pods) != "" {
			return s.describeOnNodes(set.Name)
		}
		return ""
	})
	got := map[string]string{}
	for _, pod := range s.podsNow(set.Name) {
		got[pod.Spec.NodeName] = pod.Spec.Containers[0].Image[strings.LastIndex(pod.Spec.Containers[0].Image, ".")+1:]
	}
	s.same("the images on the nodes", want, got)
}

// onNode is the pod of a DaemonSet on a node.
func (s *space) onNode(name, node string) *corev1.Pod {
	s.Helper()
	pods := s.podsNow(name)
	i := slices.IndexFunc(pods, func(pod *corev1.Pod) bool { return pod.Spec.NodeName == node })
	if i < 0 {
		s.Fatalf("%s has no pod of %s:\n%s", node, name, s.describeOnNodes(name))
	}
	return pods[i]
}

// lose deletes the pod of a DaemonSet on a node, and waits until it is gone.
func (s *space) lose(name, node string) {
	s.Helper()
	pod := s.onNode(name, node)
	if err := s.client.Delete(s.Context(), pod); err != nil {
		s.Fatalf("deleting pod %s: %v", pod.Name, err)
	}
	s.untilGone(name, pod)
}

// someNodesFirst updates a DaemonSet on the nodes with the last names, then on those that a selector selects, and pauses.
func someNodesFirst(s *space) {
	s.beginOnNodes("some", rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.Type, r.Partition = v1beta1.InplaceRollingUpdateType, new(intstr.FromString("90%"))
	}))
	s.untilOnNodes("some", everywhere)
	before := s.podsNow("some")
	change := func(change func(*v1beta1.RollingUpdateDaemonSet)) *v1beta1.DaemonSet {
		return edit(s, "some", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) { change(set.Spec.UpdateStrategy.RollingUpdate) })
	}
	end := s.guard("some", serving(everywhere-1), existing(everywhere), changed("1.10.3", 1))
	set := edit(s, "some", &v1beta1.DaemonSet{}, nodeImage("1.10.3"))
	s.untilOnHold(set, v1beta1.DaemonSetProgressPartitionAvailable, "as the partition wants", map[string]string{"node-1": "2", "node-2": "2", playedNode: "3"})
	end()

	end = s.guard("some", serving(everywhere-1), existing(everywhere), changed("1.10.3", 2))
	set = change(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.Partition, r.Selector = nil, &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelHostname: "node-1"}}
	})
	s.untilOnHold(set, v1beta1.DaemonSetProgressPartitionAvailable, "as the selector of nodes wants", map[string]string{"node-1": "3", "node-2": "2", playedNode: "3"})
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("some")))
	end()

	// A pod that is lost is replaced, whatever is paused, and by one of the newest revision.
	set = change(func(r *v1beta1.RollingUpdateDaemonSet) { r.Paused, r.Selector = new(true), nil })
	const pausedWords = "1 pod is to be updated, but the update is paused"
	s.untilOnHold(set, v1beta1.DaemonSetPaused, pausedWords, map[string]string{"node-1": "3", "node-2": "2", playedNode: "3"})
	s.lose("some", "node-1")
	s.untilOnHold(set, v1beta1.DaemonSetPaused, pausedWords, map[string]string{"node-1": "3", "node-2": "2", playedNode: "3"})
	waited := s.onNode("some", "node-2")
	change(func(r *v1beta1.RollingUpdateDaemonSet) { r.Paused = new(false) })
	s.untilOnNodes("some", everywhere)
	s.same("the images", map[string]int{"1.10.3": everywhere}, tags(s.podsNow("some")))
	s.same("the pod that waited", waited.UID, s.onNode("some", "node-2").UID)
}

// deletedOnNodes changes a DaemonSet whose pods somebody else deletes, one of them to begin with.
func deletedOnNodes(s *space) {
	s.beginOnNodes("asked", func(set *v1beta1.DaemonSet) { set.Spec.UpdateStrategy.Type = v1beta1.OnDeleteDaemonSetStrategyType })
	s.untilOnNodes("asked", everywhere)
	before := s.podsNow("asked")
	end := s.guard("asked", ready(everywhere), changed("1.10.3", 0))
	set := edit(s, "asked", &v1beta1.DaemonSet{}, nodeImage("1.10.3"))
	const words = "updateStrategy.type is OnDelete"
	s.untilOnHold(set, v1beta1.DaemonSetUpdated, "3 pods are to be updated, but "+words, map[string]string{"node-1": "2", "node-2": "2", playedNode: "2"})
	end()
	s.lose("asked", "node-2")
	s.untilOnHold(set, v1beta1.DaemonSetUpdated, "2 pods are to be updated, but "+words, map[string]string{"node-1": "2", "node-2": "3", playedNode: "2"})
	isOld := func(pod *corev1.Pod) bool { return pod.Spec.NodeName == "node-2" }
	s.same("the other pods", s.identities(slices.DeleteFunc(before, isOld)), s.identities(slices.DeleteFunc(s.podsNow("asked"), isOld)))
	edit(s, "asked", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) {
		set.Spec.UpdateStrategy.Type = v1beta1.RollingUpdateDaemonSetStrategyType
	})
	s.untilOnNodes("asked", everywhere)
	s.same("the images", map[string]int{"1.10.3": everywhere}, tags(s.podsNow("asked")))
}

// burstOnNodes creates the pods of a DaemonSet two at a time, and updates as many.
func burstOnNodes(s *space) {
	s.watch(&eventsv1.Event{})
	s.beginOnNodes("burst", rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.Type, r.MaxUnavailable = v1beta1.InplaceRollingUpdateType, new(intstr.FromString("100%"))
	}), func(set *v1beta1.DaemonSet) { set.Spec.BurstReplicas = new(intstr.FromInt32(2)) })
	s.untilOnNodes("burst", everywhere)
	s.untilTold("burst", "SuccessfulCreate", 2, 1)
	edit(s, "burst", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) {
		nodeImage("1.10.3")(set)
		set.Spec.BurstReplicas = new(intstr.FromString("50%")) // of three, which is two
	})
	s.untilOnNodes("burst", everywhere)
	s.untilTold("burst", "SuccessfulUpdatePodInPlace", 2, 1)
}

// untilTold waits until events with a reason have told, one after the other, of so many pods of a DaemonSet each.
func (s *space) untilTold(name, reason string, want ...int) {
	s.Helper()
	s.until(fmt.Sprintf("events %s tell of %v pods", reason, want), func() string {
		told := s.events(reason)
		slices.SortFunc(told, func(a, b eventsv1.Event) int { return a.EventTime.Compare(b.EventTime.Time) })
		var got []int
		var notes []string
		for _, event := range told {
			n := count(s.pods(name), func(pod *corev1.Pod) bool { return strings.Contains(event.Note, pod.Name) })
			got, notes = append(got, n), append(notes, event.Note)
		}
		if !slices.Equal(got, want) {
			return strings.Join(notes, "\n")
		}
		return ""
	})
}

// pullsAheadOnNodes updates a DaemonSet on the node whose kubelet is played, and has the image pulled on the real ones, all at a time,
// before their turn comes.
func pullsAheadOnNodes(s *space) {
	const nodes, waiting = everywhere + 1, everywhere
	s.watch(&v1beta1.ImagePullJob{})
	s.beginOnNodes("ahead", rolling(func(r *v1beta1.RollingUpdateDaemonSet) {
		r.Type, r.Partition = v1beta1.InplaceRollingUpdateType, new(intstr.FromInt32(waiting))
	}), tolerating(spare), func(set *v1beta1.DaemonSet) {
		set.Annotations = map[string]string{
			v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey: "1", v1beta1.ImagePreDownloadParallelismKey: "3",
		}
	})
	s.untilOnNodes("ahead", nodes)
	s.untilNodesPull("ahead")
	before := s.podsNow("ahead")
	const fresh = "docker.io/openkruise/demo:1.10.7" // as in pullsAhead, of no other story
	edit(s, "ahead", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) { set.Spec.Template.Spec.Containers[0].Image = fresh })
	var job *v1beta1.ImagePullJob
	s.until("a job pulls ahead", func() string {
		job = s.jobs()["ahead-"+s.onNodes("ahead").Status.UpdateRevision+"-"+app]
		if job == nil {
			return s.describeOnNodes("ahead")
		}
		return ""
	})
	s.untilPulled(job.Name)
	status := s.pullJob(job.Name).Status
	s.same("the nodes that pulled, and those that could not", [2]int32{waiting, 0}, [2]int32{status.Succeeded, status.Failed})
	s.same("the images", map[string]int{"1.10.2": waiting, "1.10.7": 1}, tags(s.podsNow("ahead")))
	edit(s, "ahead", &v1beta1.DaemonSet{}, func(set *v1beta1.DaemonSet) { set.Spec.UpdateStrategy.RollingUpdate.Partition = nil })
	s.untilOnNodes("ahead", nodes)
	s.same("the pulls that pods waited for", 0, s.pullings(fresh))
	s.same("what the pods keep", s.identities(before), s.identities(s.podsNow("ahead")))
	s.until("the job is gone", func() string {
		if left := s.jobs(); len(left) > 0 {
			return fmt.Sprint(left)
		}
		return ""
	})
}
