package inplace_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
)

const gateOfOthers = v1beta1.KruisePodReadyConditionType

// open is a pod in service, with both gates of ours.
func open(changes ...func(*corev1.Pod)) *corev1.Pod {
	p := pod(func(p *corev1.Pod) {
		p.ResourceVersion = "7"
		p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: gateOfOthers})
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: gateOfOthers, Status: corev1.ConditionTrue})
	})
	for _, change := range changes {
		change(p)
	}
	return p
}

// neverOpened takes the conditions of gates away.
func neverOpened(p *corev1.Pod) { p.Status.Conditions = nil }

// holds puts a message on the gate, as somebody who holds the pod does.
func holds(message string) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i := range p.Status.Conditions {
			if c := &p.Status.Conditions[i]; c.Type == gateOfOthers {
				c.Status, c.Message = corev1.ConditionFalse, message
			}
		}
	}
}

// gateOf says what the gate is, in one word and its message.
func gateOf(p *corev1.Pod) string {
	for _, c := range p.Status.Conditions {
		if c.Type == gateOfOthers {
			return strings.TrimSpace(string(c.Status) + " " + c.Message)
		}
	}
	return "missing"
}

const (
	heldByRestart = `[{"userAgent":"ContainerRecreateRequest","key":"shop/again"}]`
	byDelete      = `{"userAgent":"Lifecycle","key":"preDeleteHook"}`
	byUpdate      = `{"userAgent":"Lifecycle","key":"preUpdateHook"}`
	byRestart     = `{"userAgent":"ContainerRecreateRequest","key":"shop/again"}`
)

func TestAPodThatIsMovedOutOfServiceSaysForWhom(t *testing.T) {
	for name, c := range map[string]struct {
		before *corev1.Pod
		move   inplace.Moving
		want   string
		status bool // sent to the status of the pod
	}{
		"for its deletion":              {open(), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, "False [" + byDelete + "]", true},
		"for its update":                {open(), inplace.Moving{To: lifecycle.PreparingUpdate, NotReady: true}, "False [" + byUpdate + "]", true},
		"beside somebody else":          {open(holds(heldByRestart)), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, "False [" + byRestart + "," + byDelete + "]", true},
		"only once":                     {open(holds("[" + byDelete + "]")), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, "False [" + byDelete + "]", true},
		"not over words of other hands": {open(holds("by hand")), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, "False by hand", true},
		"not when nobody asks":          {open(), inplace.Moving{To: lifecycle.PreparingDelete}, "True", false},
		"not without the gate":          {pod(), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, "missing", false},
	} {
		t.Run(name, func(t *testing.T) {
			patches := inplace.Move(c.before, c.move, start())
			after := apply(t, c.before, patches)
			if got := gateOf(after); got != c.want {
				t.Errorf("the gate is %s, want %s", got, c.want)
			}
			if state(after) != c.move.To || (patches.Status != nil) != c.status {
				t.Errorf("state %s, patches %s, %s", state(after), patches.Status, patches.Pod)
			}
		})
	}
}

func TestAPodThatIsSettledIsHeldByNoHookAnyMore(t *testing.T) {
	for name, c := range map[string]struct {
		before *corev1.Pod
		want   string
	}{
		"hooks let go":           {open(holds("[" + byUpdate + "," + byDelete + "]")), "True"},
		"others hold on":         {open(holds("[" + byUpdate + "," + byRestart + "]")), "False [" + byRestart + "]"},
		"others alone":           {open(holds(heldByRestart)), "False " + heldByRestart},
		"somebody without words": {open(holds("")), "False"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := gateOf(apply(t, c.before, inplace.Settle(c.before, lifecycle.Updated, "v1", start()))); got != c.want {
				t.Errorf("the gate is %s, want %s", got, c.want)
			}
		})
	}
}

// Two parties that write the list of holds at once must not undo each other.
func TestAPatchOfTheHoldsIsForThePodAsItWasRead(t *testing.T) {
	for name, patches := range map[string]inplace.Patches{
		"hold":    inplace.Move(open(), inplace.Moving{To: lifecycle.PreparingDelete, NotReady: true}, start()),
		"release": inplace.Settle(open(holds("["+byDelete+"]")), lifecycle.Normal, "v1", start()),
		"open":    inplace.Settle(open(neverOpened), lifecycle.Normal, "v1", start()),
	} {
		if !strings.Contains(string(patches.Status), `"resourceVersion":"7"`) {
			t.Errorf("%s: %s", name, patches.Status)
		}
	}
}

// The scheduler writes a new pod while its gates are opened.
func TestTheGatesOfANewPodAreOpenedWhoeverElseWritesIt(t *testing.T) {
	before := open(neverOpened)
	patch := inplace.Open(before, start())
	after := apply(t, before, patch)
	if got := gateOf(after); got != "True" || condition(after, v1beta1.InPlaceUpdateReady).Status != corev1.ConditionTrue {
		t.Errorf("the gates are %s and %s", got, condition(after, v1beta1.InPlaceUpdateReady).Status)
	}
	if strings.Contains(string(patch.Status), "resourceVersion") {
		t.Errorf("patch %s", patch.Status)
	}
	if patch := inplace.Open(after, start()); patch.Status != nil {
		t.Errorf("patch %s of a pod whose gates are open", patch.Status)
	}
	held := open(holds("[" + byRestart + "]"))
	if patch := inplace.Open(held, start()); patch.Status != nil {
		t.Errorf("patch %s of a pod that is held", patch.Status)
	}
}

func TestASpecifiedMoveMarksThePodForDeletionInTheSameWrite(t *testing.T) {
	before := pod()
	patches := inplace.Move(before, inplace.Moving{To: lifecycle.PreparingDelete, Specified: true}, start())
	after := apply(t, before, patches)
	if patches.Status != nil || state(after) != lifecycle.PreparingDelete || after.Labels[v1beta1.SpecifiedDeleteKey] != "true" {
		t.Errorf("labels %v", after.Labels)
	}
}
