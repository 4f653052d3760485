package kubectl_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// traffic is a CloneSet of two pods with a label by which hooks may hold them.
func traffic() *builder.CloneSetBuilder { return five().Replicas(2).TemplateLabel("traffic", "on") }

// hooked gives such pods hooks that hold them before their update and their deletion.
func hooked(s *stage) {
	hook := &v1beta1.LifecycleHook{LabelsHandler: map[string]string{"traffic": "on"}, FinalizersHandler: []string{"example.com/drain"}}
	s.change(func(spec *v1beta1.CloneSetSpec) {
		spec.Lifecycle = &v1beta1.Lifecycle{PreDelete: hook, InPlaceUpdate: hook}
	})
	s.edit("demo-a", func(p *corev1.Pod) { p.Finalizers = []string{"example.com/drain"} })
}

// crashed is a container that ended.
func crashed(s *stage, reason string, code int32) *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{ExitCode: code, Reason: reason, FinishedAt: s.ago(40 * time.Second)}
}

func waiting(reason, message string) corev1.ContainerState {
	return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}
}

// What the plugin says of a pod that is not available: its line, and what to do.
func TestEveryTroubleOfAPodIsToldWithItsRemedy(t *testing.T) {
	var told strings.Builder
	for _, scene := range []struct {
		name string
		play func(*stage, *corev1.Pod)
	}{
		{"no node takes it", func(s *stage, p *corev1.Pod) {
			p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending}
			condition(p, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
				Message: "0/3 nodes are available: 3 Insufficient cpu.", LastTransitionTime: s.ago(2 * time.Minute)})
		}},
		{"a scheduling gate holds it", func(s *stage, p *corev1.Pod) {
			p.Spec.NodeName, p.Status = "", corev1.PodStatus{Phase: corev1.PodPending}
			condition(p, corev1.PodCondition{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated})
		}},
		{"it crashes", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(time.Minute))
			c := &p.Status.ContainerStatuses[0]
			c.State, c.RestartCount = waiting("CrashLoopBackOff", "back-off 40s restarting failed container"), 5
			c.LastTerminationState.Terminated = crashed(s, "Error", 2)
		}},
		{"it runs out of memory", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(time.Minute))
			c := &p.Status.ContainerStatuses[0]
			c.State, c.RestartCount = corev1.ContainerState{Terminated: crashed(s, "OOMKilled", 137)}, 1
			c.LastTerminationState.Terminated = c.State.Terminated
		}},
		{"its secret is missing", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(time.Minute))
			p.Status.ContainerStatuses[0].State = waiting("CreateContainerConfigError", `secret "key" not found`)
		}},
		{"an init container fails", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(time.Minute))
			p.Status.ContainerStatuses[0].State = waiting("PodInitializing", "")
			p.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: "m:1"}}
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "migrate", State: waiting("ImagePullBackOff", "")}}
		}},
		{"its readiness probe fails", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(5*time.Minute))
			p.Status.ContainerStatuses[0].State.Running.StartedAt = s.ago(5 * time.Minute)
		}},
		{"its startup probe fails", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(5*time.Minute))
			p.Status.ContainerStatuses[0].State.Running.StartedAt = s.ago(20 * time.Second)
			p.Status.ContainerStatuses[0].Started = new(bool)
		}},
		{"a gate of others is closed", func(s *stage, p *corev1.Pod) {
			condition(p, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady"})
			p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: "example.com/balancer"})
			condition(p, corev1.PodCondition{Type: "example.com/balancer", Status: corev1.ConditionFalse, Message: "not registered", LastTransitionTime: s.ago(time.Hour)})
		}},
		{"somebody holds our gate", func(s *stage, p *corev1.Pod) {
			condition(p, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ReadinessGatesNotReady"})
			condition(p, corev1.PodCondition{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionFalse, Message: "probe agent"})
		}},
		{"its node is lost", func(s *stage, p *corev1.Pod) {
			condition(p, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionFalse, LastTransitionTime: s.ago(10 * time.Minute)})
		}},
		{"a label marks it", func(s *stage, p *corev1.Pod) { p.Labels[v1beta1.UnavailablePodLabelPrefix+"drill"] = "" }},
		{"it waits for minReadySeconds", func(s *stage, p *corev1.Pod) {
			s.set.Spec.MinReadySeconds = 60
			for _, pod := range s.w.Pods {
				condition(pod, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: s.ago(time.Hour)})
			}
			condition(p, corev1.PodCondition{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: s.ago(20 * time.Second)})
		}},
		{"a finalizer keeps it", func(s *stage, p *corev1.Pod) {
			p.DeletionTimestamp, p.DeletionGracePeriodSeconds, p.Finalizers = &metav1.Time{Time: s.w.Now}, new(int64(30)), []string{"example.com/bill"}
		}},
		{"its kubelet does not end it", func(s *stage, p *corev1.Pod) {
			at := s.ago(time.Hour)
			p.DeletionTimestamp = &at
		}},
		{"it was evicted", func(s *stage, p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		}},
		{"its resources do not fit", func(s *stage, p *corev1.Pod) {
			notReady(p, s.ago(time.Minute))
			condition(p, corev1.PodCondition{Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible, Message: "cpu: 64 wanted, 8 there"})
		}},
	} {
		s := newStage(t, five().Replicas(2))
		s.edit("demo-b", func(p *corev1.Pod) { scene.play(s, p) })
		s.report()
		told.WriteString(scene.name + "\n" + pick(s.kubectl("explain", "cloneset/demo")))
	}
	golden(t, "troubles of a pod", told.String())
}

// pick leaves the lines about pods and the last one.
func pick(text string) string {
	var out strings.Builder
	inPods := false
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "Pods that"):
			inPods = true
		case strings.HasPrefix(line, " "):
			if inPods {
				out.WriteString(line)
			}
		case strings.HasPrefix(line, "What to do"):
			out.WriteString("  " + line)
		default:
			inPods = false
		}
	}
	return out.String()
}

func TestAHookIsToldWithWhatHoldsAndSinceWhen(t *testing.T) {
	s := newStage(t, traffic())
	hooked(s)
	s.image("a:2")
	s.run(90 * time.Second)
	before := s.kubectl("explain", "cloneset/demo")

	s.edit("demo-a", func(p *corev1.Pod) { p.Finalizers = nil; delete(p.Labels, "traffic") })
	s.run(10 * time.Second)
	after := s.kubectl("explain", "cloneset/demo")

	s.change(func(spec *v1beta1.CloneSetSpec) {
		spec.Replicas = new(int32(1))
		spec.UpdateStrategy.RollingUpdate.Paused = true
	})
	s.edit("demo-a", func(p *corev1.Pod) { p.Labels["traffic"] = "on"; p.Finalizers = []string{"example.com/drain"} })
	s.run(10 * time.Second)
	golden(t, "hooks", before+after+s.kubectl("explain", "cloneset/demo"))
}

func TestAGracePeriodIsToldWithWhatIsLeftOfIt(t *testing.T) {
	s := newStage(t, five().Replicas(2))
	s.change(func(spec *v1beta1.CloneSetSpec) {
		spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{GracePeriodSeconds: 30}
	})
	s.image("a:2")
	s.run(10 * time.Second)
	golden(t, "a grace period", s.kubectl("explain", "cloneset/demo"))
}
