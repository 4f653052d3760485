package explain

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// container finds a container that kubelet cannot start, or that does not stay up.
func (p patient) container() (trouble, bool) {
	for _, list := range []struct {
		kind     string
		specs    []corev1.Container
		statuses []corev1.ContainerStatus
	}{
		{"init container", p.pod.Spec.InitContainers, p.pod.Status.InitContainerStatuses},
		{"container", p.pod.Spec.Containers, p.pod.Status.ContainerStatuses},
	} {
		for i := range list.statuses {
			s := &list.statuses[i]
			if t, found := p.broken(list.kind, imageOf(list.specs, s.Name), s); found {
				return t, true
			}
		}
	}
	return trouble{}, false
}

// imageOf is the image that a pod wants in a container. Kubelet's status may still name the one of before.
func imageOf(containers []corev1.Container, name string) string {
	i := slices.IndexFunc(containers, func(c corev1.Container) bool { return c.Name == name })
	if i < 0 {
		return ""
	}
	return containers[i].Image
}

// broken says what is wrong with one container.
func (p patient) broken(kind, image string, s *corev1.ContainerStatus) (trouble, bool) {
	waiting := s.State.Waiting
	switch {
	case waiting == nil && s.State.Terminated != nil && s.State.Terminated.ExitCode != 0:
		return p.crashed(kind, s, s.State.Terminated), true
	case waiting == nil || slices.Contains([]string{"", "ContainerCreating", "PodInitializing"}, waiting.Reason):
		return trouble{}, false
	case waiting.Reason == "CrashLoopBackOff":
		return p.crashed(kind, s, s.LastTerminationState.Terminated), true
	}
	t := trouble{reason: waiting.Reason, text: fmt.Sprintf("%s %s: %s", kind, s.Name, waiting.Reason) + because("", waiting.Message)}
	switch waiting.Reason {
	case "ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable":
		t.remedy = fmt.Sprintf("image %s of %s %s cannot be pulled: put a good one into the template, or go back to the one of before", image, kind, s.Name)
	case "CreateContainerConfigError":
		t.remedy = fmt.Sprintf("create what the message of %s %s names, or correct the template", kind, s.Name)
	default:
		t.remedy = "see the events of the pod: kubectl describe pod -n " + p.pod.Namespace + " " + p.pod.Name
	}
	return t, true
}

// crashed tells how a container ended that is to be started again.
func (p patient) crashed(kind string, s *corev1.ContainerStatus, last *corev1.ContainerStateTerminated) trouble {
	t := trouble{
		reason: "CrashLoopBackOff",
		text:   fmt.Sprintf("%s %s does not stay up, %d %s", kind, s.Name, s.RestartCount, plural(int(s.RestartCount), "restart", "restarts")),
		remedy: fmt.Sprintf("see why it ends and correct the template: kubectl logs -n %s %s -c %s --previous", p.pod.Namespace, p.pod.Name, s.Name),
	}
	if s.State.Waiting == nil {
		t.reason = cmp.Or(last.Reason, "Error")
	}
	if last != nil {
		t.text += fmt.Sprintf("; it ended with exit code %d", last.ExitCode) + because(last.Reason, last.Message)
		t.since = last.FinishedAt.Time
		if last.Reason == "OOMKilled" {
			t.remedy = fmt.Sprintf("give %s %s more memory in the template", kind, s.Name)
		}
	}
	return t
}

// probe finds a container that runs and is not ready.
func (p patient) probe() (trouble, bool) {
	for i := range p.pod.Status.ContainerStatuses {
		s := &p.pod.Status.ContainerStatuses[i]
		if s.State.Running == nil || s.Ready {
			continue
		}
		since := s.State.Running.StartedAt.Time
		t := trouble{reason: "ProbeFailing", since: since, text: fmt.Sprintf("container %s runs, and its readiness probe does not agree", s.Name)}
		if s.Started != nil && !*s.Started {
			t.text = fmt.Sprintf("container %s runs, and its startup probe does not agree", s.Name)
		}
		if p.now.Sub(since) > time.Minute {
			t.remedy = fmt.Sprintf("the probe's answers are among the events: kubectl describe pod -n %s %s", p.pod.Namespace, p.pod.Name)
		}
		return t, true
	}
	return trouble{}, false
}
