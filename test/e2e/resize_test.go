package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// cpu and memory give the container of a CloneSet a limit, and a small request.
func cpu(limit string) func(*v1beta1.CloneSet) { return limited(corev1.ResourceCPU, limit, "10m") }
func memory(limit string) func(*v1beta1.CloneSet) {
	return limited(corev1.ResourceMemory, limit, "16Mi")
}

func limited(name corev1.ResourceName, limit, request string) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		resources := &set.Spec.Template.Spec.Containers[0].Resources
		if resources.Limits == nil {
			resources.Limits, resources.Requests = corev1.ResourceList{}, corev1.ResourceList{}
		}
		resources.Limits[name], resources.Requests[name] = resource.MustParse(limit), resource.MustParse(request)
	}
}

func cpuRequest(request string) func(*v1beta1.CloneSet) {
	return func(set *v1beta1.CloneSet) {
		set.Spec.Template.Spec.Containers[0].Resources.Requests[corev1.ResourceCPU] = resource.MustParse(request)
	}
}

func resizesWithoutRestart(s *space) {
	s.start("size", 3, cpu("500m"), memory("64Mi"))
	before := s.podsNow("size")
	for _, pod := range before {
		s.same("the cpu limit of the control group before", "50000", s.cgroup(pod, cpuLimit))
	}
	// Nobody goes out of service for this: all pods are ready at each moment.
	end := s.guard("size", ready(3), existing(3))
	s.untilDone(s.change("size", cpu("700m")))
	end()
	after := s.podsNow("size")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the containers", lives(before, app), lives(after, app))
	for _, pod := range after {
		s.same("the cpu limit of the control group of pod "+pod.Name, "70000", s.cgroup(pod, cpuLimit))
		s.untilResized(pod)
	}
}

// resizesTooMuch asks for more than the node of a pod has, at all and at the moment. Either stops the update at the first pod.
func resizesTooMuch(s *space) {
	s.start("much", 3, cpu("500m"))
	before := s.podsNow("much")
	node := &corev1.Node{}
	if err := s.client.Get(s.Context(), client.ObjectKey{Name: before[0].Spec.NodeName}, node); err != nil {
		s.Fatal(err)
	}
	whole := node.Status.Allocatable.Cpu().String() // nodes of a lab are alike
	end := s.guard("much", ready(3), existing(3), func(pods []*corev1.Pod) string {
		return within("want all of a node", wanting(pods, whole), 0, 1)
	})
	// The API server refuses what no pod there can have.
	s.change("much", both(cpu("1000"), cpuRequest("1000")))
	s.until("the condition FailedUpdate says that the node is too small", func() string {
		for _, condition := range s.set("much").Status.Conditions {
			if condition.Type == v1beta1.CloneSetConditionFailedUpdate && strings.Contains(condition.Message, "enough allocatable resources") {
				return ""
			}
		}
		return s.describe("much")
	})
	s.untilEvent("FailedUpdatePodInPlace", "enough allocatable resources")
	s.same("the pods that want too much", 0, wanting(s.podsNow("much"), "1000"))
	s.same("the pods that were begun with", int32(1), s.set("much").Status.UpdatedReplicas)
	s.untilDone(s.change("much", both(cpu("600m"), cpuRequest("10m"))))
	s.untilNoFailure("much")

	// Kubelet puts off what would fit were there no other pods.
	s.change("much", both(cpu(whole), cpuRequest(whole)))
	s.untilMessage("much", "Deferred")
	s.untilEvent("ResizePending", "Deferred")
	s.same("the pods that want much", 1, wanting(s.podsNow("much"), whole))
	s.untilDone(s.change("much", both(cpu("700m"), cpuRequest("10m"))))
	end()
	after := s.podsNow("much")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the containers", lives(before, app), lives(after, app))
	for _, pod := range after {
		s.untilResized(pod)
		s.same("the cpu limit of the control group of pod "+pod.Name, "70000", s.cgroup(pod, cpuLimit))
	}
}

// untilNoFailure waits until a CloneSet no longer says that an update failed.
func (s *space) untilNoFailure(name string) {
	s.Helper()
	s.until("the CloneSet "+name+" says nothing of a failure", func() string {
		for _, condition := range s.set(name).Status.Conditions {
			if condition.Type == v1beta1.CloneSetConditionFailedUpdate {
				return s.describe(name)
			}
		}
		return ""
	})
}

func resizesWithRestart(s *space) {
	s.start("grow", 2, cpu("500m"), memory("64Mi"), func(set *v1beta1.CloneSet) {
		set.Spec.Template.Spec.Containers[0].ResizePolicy = []corev1.ContainerResizePolicy{
			{ResourceName: corev1.ResourceMemory, RestartPolicy: corev1.RestartContainer},
		}
	})
	before := s.podsNow("grow")
	end := s.guard("grow", serving(1), existing(2))
	s.untilDone(s.change("grow", memory("96Mi")))
	end()
	after := s.podsNow("grow")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for _, pod := range after {
		s.untilResized(pod)
		s.same("the restarts of pod "+pod.Name, int32(1), containerOf(pod, app).RestartCount)
		s.same("the memory limit of the control group of pod "+pod.Name, fmt.Sprint(96<<20), s.cgroup(pod, memoryLimit))
	}
}

// wanting counts the pods whose spec asks for a limit of cpu.
func wanting(pods []*corev1.Pod, limit string) int {
	return count(pods, func(pod *corev1.Pod) bool {
		return pod.Spec.Containers[0].Resources.Limits.Cpu().Cmp(resource.MustParse(limit)) == 0
	})
}

// untilResized waits until kubelet says nothing of a resize of a pod any more.
func (s *space) untilResized(pod *corev1.Pod) {
	s.Helper()
	s.until("kubelet has done with the resize of pod "+pod.Name, func() string {
		for _, now := range s.pods(pod.OwnerReferences[0].Name) {
			for _, condition := range now.Status.Conditions {
				if now.UID == pod.UID && (condition.Type == corev1.PodResizePending || condition.Type == corev1.PodResizeInProgress) {
					return fmt.Sprintf("%s %s %s %s", condition.Type, condition.Status, condition.Reason, condition.Message)
				}
			}
		}
		return ""
	})
}

// limit says where a container finds a limit of its control group: in version 2 of control groups, and in version 1.
type limit struct{ v2, v1 string }

var (
	cpuLimit    = limit{"cpu.max", "cpu/cpu.cfs_quota_us"} // in microseconds of each tenth of a second
	memoryLimit = limit{"memory.max", "memory/memory.limit_in_bytes"}
)

// cgroup reads a limit of the control group of a running container, as the container itself sees it.
func (s *space) cgroup(pod *corev1.Pod, l limit) string {
	s.Helper()
	for _, file := range []string{l.v2, l.v1} {
		text, err := os.ReadFile(s.within(pod, app, "/sys/fs/cgroup/"+file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
			return fields[0]
		}
		s.Fatalf("reading %s of pod %s: %q, %v", file, pod.Name, text, err)
	}
	s.Fatalf("pod %s has neither %s nor %s in its control group", pod.Name, l.v2, l.v1)
	return ""
}
