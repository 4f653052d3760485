package e2e

import (
	"maps"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	toolscache "k8s.io/client-go/tools/cache"

	"kruise.io/kruise/api/apps/v1beta1"
)

func keepsThePod(s *space) {
	const graceSeconds = 3
	volume := corev1.VolumeMount{Name: "data", MountPath: "/data"}
	set := s.start("keep", 3, grace(graceSeconds), func(set *v1beta1.CloneSet) {
		spec := &set.Spec.Template.Spec
		spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		spec.Containers[0].VolumeMounts = []corev1.VolumeMount{volume}
		spec.Containers = append(spec.Containers, corev1.Container{
			Name: "neighbour", Image: demo("1.10.2"), Env: []corev1.EnvVar{{Name: "PORT", Value: "8081"}},
			VolumeMounts: []corev1.VolumeMount{volume},
		})
	})
	service := s.service(set)
	s.untilPage(service, "1.10.2")
	before := s.podsNow("keep")
	for _, pod := range before {
		if err := os.WriteFile(s.within(pod, app, "/data/mark"), []byte(pod.Name), 0o600); err != nil {
			s.Fatalf("leaving a mark in a volume: %v", err)
		}
	}

	outOfService := s.firstOutOfService()
	end := s.guard("keep", serving(2), existing(3))
	s.untilDone(s.change("keep", image("1.10.3")))
	end()

	after := s.podsNow("keep")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the container beside the one that changed", lives(before, "neighbour"), lives(after, "neighbour"))
	since := outOfService()
	for _, pod := range after {
		status := containerOf(pod, app)
		if status.RestartCount != 1 || status.LastTerminationState.Terminated == nil {
			s.Errorf("the container that changed was restarted %d times, not once: %s", status.RestartCount, describePod(pod))
			continue
		}
		// Both times are cut off to seconds, so they are no closer than what was between them.
		if stopped, from := status.LastTerminationState.Terminated.FinishedAt, since[pod.UID]; stopped.Sub(from.Time) < graceSeconds*time.Second {
			s.Errorf("pod %s went out of service at %s and its container stopped at %s: less than gracePeriodSeconds %d later",
				pod.Name, from, stopped, graceSeconds)
		}
		if mark, err := os.ReadFile(s.within(pod, app, "/data/mark")); err != nil || string(mark) != pod.Name {
			s.Errorf("the volume of pod %s has lost its mark: %q, %v", pod.Name, mark, err)
		}
		s.untilPage(net.JoinHostPort(pod.Status.PodIP, "8080"), "1.10.3")
		s.untilPage(net.JoinHostPort(pod.Status.PodIP, "8081"), "1.10.2")
	}
	s.untilPage(service, "1.10.3")
}

// service makes a Service for a CloneSet and returns its address.
func (s *space) service(set *v1beta1.CloneSet) string {
	s.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: set.Name},
		Spec: corev1.ServiceSpec{
			Selector: set.Spec.Selector.MatchLabels,
			Ports:    []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
		},
	}
	s.create(service)
	return net.JoinHostPort(service.Spec.ClusterIP, "80")
}

// firstOutOfService watches when pods are taken out of service for the first time, as the condition says that does it: kubelet may
// be late to make it known. The function that it
// returns ends that and returns the times.
func (s *space) firstOutOfService() func() map[types.UID]metav1.Time {
	s.Helper()
	var mu sync.Mutex
	since := map[types.UID]metav1.Time{}
	stop := s.handle(&corev1.Pod{}, toolscache.ResourceEventHandlerFuncs{UpdateFunc: func(_, object any) {
		pod, isPod := object.(*corev1.Pod)
		if !isPod {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if _, known := since[pod.UID]; known {
			return
		}
		for _, condition := range pod.Status.Conditions {
			if condition.Type == v1beta1.InPlaceUpdateReady && condition.Status == corev1.ConditionFalse {
				since[pod.UID] = condition.LastTransitionTime
			}
		}
	}})
	return func() map[types.UID]metav1.Time {
		stop()
		mu.Lock()
		defer mu.Unlock()
		return maps.Clone(since)
	}
}

func losesNoRequest(s *space) {
	set := s.start("serve", 3, grace(15), func(set *v1beta1.CloneSet) {
		set.Spec.Template.Spec.Containers[0].ReadinessProbe = &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}, PeriodSeconds: 1,
		}
	})
	service := s.service(set)
	s.untilPage(service, "1.10.2")

	stop := s.ask(service)
	s.untilDone(s.change("serve", image("1.10.3")))
	s.untilPage(service, "1.10.3")
	answers, lost := stop()
	s.Logf("answers by version: %v", answers)
	if len(lost) > 0 {
		s.Errorf("%d requests were lost:\n%s", len(lost), strings.Join(lost, "\n"))
	}
	if answers["1.10.2"] == 0 || answers["1.10.3"] == 0 {
		s.Errorf("the requests were not answered by both versions: %v", answers)
	}
}

func sameDigest(s *space) {
	s.start("same", 2)
	before := s.podsNow("same")
	end := s.guard("same", serving(1), existing(2))
	s.untilDone(s.change("same", image("1.10.2-same")))
	end()
	after := s.podsNow("same")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	for i, pod := range after {
		then, now := containerOf(before[i], app), containerOf(pod, app)
		if then.ImageID != now.ImageID || then.ContainerID == now.ContainerID {
			s.Errorf("pod %s was to have another container of the same image: before %s of %s, after %s of %s",
				pod.Name, then.ContainerID, then.ImageID, now.ContainerID, now.ImageID)
		}
	}
}

func metadataOnly(s *space) {
	s.start("words", 3)
	before := s.podsNow("words")
	end := s.guard("words", serving(3), existing(3))
	s.untilDone(s.change("words", func(set *v1beta1.CloneSet) {
		set.Spec.Template.Labels["tier"] = "front"
		set.Spec.Template.Annotations = map[string]string{"note": "new"}
	}))
	end()
	after := s.podsNow("words")
	s.same("what the pods keep", s.identities(before), s.identities(after))
	s.same("the containers", lives(before, app), lives(after, app))
	for _, pod := range after {
		if pod.Labels["tier"] != "front" || pod.Annotations["note"] != "new" {
			s.Errorf("pod %s has not got the new label and annotation: %v, %v", pod.Name, pod.Labels, pod.Annotations)
		}
	}
}
