package kubectl_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// A pod whose labels are changed is the set's own until its controller lets it go.
func TestAPodThatTheSetNoLongerSelectsIsSeen(t *testing.T) {
	s := newStage(t, five())
	s.edit("demo-c", func(p *corev1.Pod) { p.Labels["app"] = "to-look-at" })
	golden(t, "a pod that is no longer selected", s.kubectl("explain", "cloneset/demo"))
	golden(t, "plan with a pod that is no longer selected", s.kubectl("plan", "cloneset/demo"))
}

func TestAPodOfASequenceThatIsNoLongerSelectedKeepsItsName(t *testing.T) {
	s := stageOf(t, ordered().Object())
	s.edit("demo-2", func(p *corev1.Pod) { p.Labels["app"] = "to-look-at" })
	golden(t, "a pod of a StatefulSet that is no longer selected", s.kubectl("explain", "asts/demo"))
	golden(t, "plan with a pod of a StatefulSet that is no longer selected", s.kubectl("plan", "asts/demo"))
}
