package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// app is the container that the stories change, and the value of the label by which its pods are found.
const app = "app"

// demo is an image that every lab has. Tag 1.10.2-same names the very image of 1.10.2.
func demo(tag string) string {
	return "openkruise-registry.cn-shanghai.cr.aliyuncs.com/openkruise/demo:" + tag
}

// start makes a CloneSet as begin does, and waits until all its pods are available.
func (s *space) start(name string, replicas int32, changes ...func(*v1beta1.CloneSet)) *v1beta1.CloneSet {
	s.Helper()
	set := s.begin(name, replicas, changes...)
	s.untilDone(set)
	return set
}

// begin makes a CloneSet of the demo server, changed as asked. Without a change it updates one pod at a time, in place where
// possible.
func (s *space) begin(name string, replicas int32, changes ...func(*v1beta1.CloneSet)) *v1beta1.CloneSet {
	s.Helper()
	labels := map[string]string{app: name}
	set := &v1beta1.CloneSet{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1beta1.CloneSetSpec{
			Replicas: &replicas,
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: app, Image: demo("1.10.2")}}},
			},
			UpdateStrategy: v1beta1.CloneSetUpdateStrategy{
				Type: v1beta1.RollingUpdateCloneSetUpdateStrategyType,
				RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{
					PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
					MaxUnavailable:  ptr.To(intstr.FromInt32(1)),
				},
			},
		},
	}
	for _, change := range changes {
		change(set)
	}
	s.create(set)
	return set
}

// Changes of a CloneSet.

func image(tag string) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) { set.Spec.Template.Spec.Containers[0].Image = demo(tag) }
}

func replicas(n int32) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) { set.Spec.Replicas = &n }
}

func partition(n int32) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(n))
	}
}

func maxUnavailable(n int32) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = ptr.To(intstr.FromInt32(n))
	}
}

func maxSurge(n int32) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.UpdateStrategy.RollingUpdate.MaxSurge = ptr.To(intstr.FromInt32(n))
	}
}

func paused(yes bool) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) { set.Spec.UpdateStrategy.RollingUpdate.Paused = yes }
}

func policy(policy v1beta1.PodUpdatePolicyType) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) { set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = policy }
}

func grace(seconds int32) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: seconds}
	}
}

// both makes several changes at once.
func both(changes ...func(*v1beta1.CloneSet)) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		for _, change := range changes {
			change(set)
		}
	}
}

// identity is what a pod keeps when it is updated in place.
type identity struct {
	UID     types.UID
	Node    string
	Address string
	Volumes string
}

// identities are those of pods, by name.
func (s *space) identities(pods []*corev1.Pod) map[string]identity {
	s.Helper()
	all := map[string]identity{}
	for _, pod := range pods {
		volumes, err := json.Marshal(pod.Spec.Volumes)
		if err != nil {
			s.Fatalf("writing the volumes of pod %s: %v", pod.Name, err)
		}
		all[pod.Name] = identity{UID: pod.UID, Node: pod.Spec.NodeName, Address: pod.Status.PodIP, Volumes: string(volumes)}
	}
	return all
}

// same fails the test when what should not have changed has.
func (s *space) same(what string, before, after any) {
	s.Helper()
	if diff := cmp.Diff(before, after); diff != "" {
		s.Errorf("%s changed (- before, + after):\n%s", what, diff)
	}
}

// life is one start of a container.
type life struct {
	Container string
	Restarts  int32
	Since     string
}

// lives tell which start of a container pods have, by pod: another one after the container was started anew.
func lives(pods []*corev1.Pod, container string) map[string]life {
	all := map[string]life{}
	for _, pod := range pods {
		status := containerOf(pod, container)
		one := life{Container: status.ContainerID, Restarts: status.RestartCount}
		if status.State.Running != nil {
			one.Since = status.State.Running.StartedAt.String()
		}
		all[pod.Name] = one
	}
	return all
}

// restarts are how often all containers of pods were restarted, by pod.
func restarts(pods []*corev1.Pod) map[string]int32 {
	all := map[string]int32{}
	for _, pod := range pods {
		for _, container := range pod.Status.ContainerStatuses {
			all[pod.Name] += container.RestartCount
		}
	}
	return all
}

// containerOf is the status of a container; empty when there is none.
func containerOf(pod *corev1.Pod, name string) corev1.ContainerStatus {
	for _, status := range pod.Status.ContainerStatuses {
		if status.Name == name {
			return status
		}
	}
	return corev1.ContainerStatus{}
}

// uids are the UIDs of pods, sorted.
func uids(pods []*corev1.Pod) []string {
	all := map[string]bool{}
	for _, pod := range pods {
		all[string(pod.UID)] = true
	}
	return slices.Sorted(maps.Keys(all))
}

// tags counts pods by the tag of the image that their spec asks for.
func tags(pods []*corev1.Pod) map[string]int {
	all := map[string]int{}
	for _, pod := range pods {
		_, tag, _ := strings.Cut(pod.Spec.Containers[0].Image, ":")
		all[tag]++
	}
	return all
}

// without are pods without one of them.
func without(pod *corev1.Pod, pods []*corev1.Pod) []*corev1.Pod {
	return slices.DeleteFunc(slices.Clone(pods), func(other *corev1.Pod) bool { return other.UID == pod.UID })
}

// restartedOnce checks that the container of each pod was restarted exactly once.
func (s *space) restartedOnce(pods []*corev1.Pod) {
	s.Helper()
	for _, pod := range pods {
		if n := containerOf(pod, app).RestartCount; n != 1 {
			s.Errorf("the container of pod %s was restarted %d times, not once", pod.Name, n)
		}
	}
}
