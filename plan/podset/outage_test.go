package podset

import (
	"errors"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"kruise.io/kruise/api/apps/v1beta1"
	policyv1beta1 "kruise.io/kruise/api/policy/v1beta1"
	"kruise.io/kruise/plan/disruption"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

// patcher is a workload whose updates have these patches.
type patcher struct {
	Workload
	inplace.Patches
	err error
}

func (p patcher) PodPatches(Step, *corev1.Pod, time.Time) (inplace.Patches, error) {
	return p.Patches, p.err
}

func everything(policyv1beta1.PubOperation) bool { return true }

// podsOf are pods of these names, which can be kept out of service.
func podsOf(names ...string) map[types.UID]*corev1.Pod {
	pods := map[types.UID]*corev1.Pod{}
	for _, name := range names {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name)}}
		p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReadyConditionType}}
		pods[p.UID] = p
	}
	return pods
}

func stepFor(do Do, pod string) Step {
	return Step{Do: do, Pod: &replica.Replica{Name: pod, UID: types.UID(pod)}}
}

func TestWhichStepsTakeAPodOutOfService(t *testing.T) {
	moves := func(to lifecycle.State, notReady bool) Step {
		s := stepFor(Move, "a")
		s.State, s.NotReady = to, notReady
		return s
	}
	for name, tc := range map[string]struct {
		step    Step
		patches inplace.Patches
		want    policyv1beta1.PubOperation
	}{
		"a deletion": {stepFor(Delete, "a"), inplace.Patches{}, "DELETE"},
		"what keeps it out of service before it goes": {moves(lifecycle.PreparingDelete, true), inplace.Patches{}, "DELETE"},
		"what keeps it out of service for an update":  {moves(lifecycle.PreparingUpdate, true), inplace.Patches{}, "UPDATE"},
		"what leaves it in service":                   {moves(lifecycle.PreparingDelete, false), inplace.Patches{}, ""},
		"an update that restarts a container":         {stepFor(Update, "a"), inplace.Patches{Restarts: true, Resize: []byte("{}")}, "UPDATE"},
		"an update that resizes":                      {stepFor(Update, "a"), inplace.Patches{Resize: []byte("{}")}, "RESIZE"},
		"an update of labels":                         {stepFor(Update, "a"), inplace.Patches{Pod: []byte("{}")}, ""},
		"what goes on out of service":                 {stepFor(Apply, "a"), inplace.Patches{Restarts: true}, ""},
		"what puts it into service":                   {stepFor(Settle, "a"), inplace.Patches{}, ""},
		"a creation":                                  {Step{Do: Create}, inplace.Patches{}, ""},
		"a pod that is not known":                     {stepFor(Delete, "b"), inplace.Patches{}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Outages([]Step{tc.step}, patcher{Patches: tc.patches}, podsOf("a"), everything, time.Unix(0, 0))
			if err != nil || len(got) > 1 || (len(got) == 1) != (tc.want != "") || len(got) == 1 && got[0].Operation != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

// A hook takes a pod out of service by its readiness gate, which pods lack that are older than the hook.
func TestAPodThatAHookCannotTakeOutOfServiceIsNoOutageUntilItGoes(t *testing.T) {
	pods := podsOf("a")
	pods["a"].Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}}
	for name, tc := range map[string]struct {
		do    Do
		state lifecycle.State
		want  int
	}{
		"the hook before its deletion":  {Move, lifecycle.PreparingDelete, 0},
		"the hook before its update":    {Move, lifecycle.PreparingUpdate, 0},
		"its deletion, after the hook":  {Delete, lifecycle.PreparingDelete, 1},
		"its update, which restarts it": {Update, lifecycle.PreparingUpdate, 1},
	} {
		t.Run(name, func(t *testing.T) {
			step := stepFor(tc.do, "a")
			step.State, step.NotReady = tc.state, true
			got, err := Outages([]Step{step}, patcher{Patches: inplace.Patches{Restarts: true}}, pods, everything, time.Unix(0, 0))
			if err != nil || len(got) != tc.want {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestNobodyIsAskedAboutWhatNobodyAnswersFor(t *testing.T) {
	deletions := func(o policyv1beta1.PubOperation) bool { return o == policyv1beta1.PubDeleteOperation }
	steps := []Step{stepFor(Update, "a"), stepFor(Delete, "b")}
	got, err := Outages(steps, patcher{err: errors.New("what an update changes is not even looked at")}, podsOf("a", "b"), deletions, time.Unix(0, 0))
	if err != nil || len(got) != 1 || got[0].Step != 1 || got[0].Pod.Name != "b" {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Outages(steps, patcher{err: errors.New("broken")}, podsOf("a", "b"), everything, time.Unix(0, 0)); err == nil {
		t.Error("an update that cannot be made is not told")
	}
}

func TestStepsThatWereRefusedAreLeftOutAndNotedByTheirReason(t *testing.T) {
	steps := []Step{stepFor(Update, "a"), {Do: Create}, stepFor(Update, "b"), stepFor(Update, "c"), stepFor(Update, "d")}
	outages := []Outage{{Step: 0}, {Step: 2}, {Step: 3}, {Step: 4}}
	answers := []disruption.Answer{{Brief: "x lets none go"}, {Permitted: true}, {Brief: "y lets none go"}, {Brief: "x lets none go"}}
	p := &Plan{}
	left := p.Refuse(steps, outages, answers, time.Unix(100, 0))
	if len(left) != 2 || left[0].Do != Create || left[1].Pod.Name != "b" {
		t.Errorf("left are %+v", left)
	}
	want := []string{"2 pods are to be updated, but x lets none go", "1 pod is to be updated, but y lets none go"}
	if got := p.Waiting(); !slices.Equal(got, want) || !p.Wake.Equal(time.Unix(100, 0)) {
		t.Errorf("got %q, again at %v", got, p.Wake)
	}
}

func TestPodsThatWaitForHeldStepsAloneWaitForWhatHoldsThem(t *testing.T) {
	steps := []Step{stepFor(Update, "a"), stepFor(Update, "b")}
	outages := []Outage{{Step: 0}, {Step: 1}}
	refused, permitted := disruption.Answer{Brief: "x lets none go"}, disruption.Answer{Permitted: true}
	for name, tc := range map[string]struct {
		behind  int
		answers []disruption.Answer
		want    []string
	}{
		"all are held":              {2, []disruption.Answer{refused, refused}, []string{"5 pods are to be updated, but x lets none go"}},
		"one goes on":               {2, []disruption.Answer{refused, permitted}, []string{"3 pods are to be updated, but maxUnavailable is 2", "1 pod is to be updated, but x lets none go"}},
		"they wait for others, too": {0, []disruption.Answer{refused, refused}, []string{"3 pods are to be updated, but maxUnavailable is 2", "2 pods are to be updated, but x lets none go"}},
		"all of them go on":         {2, []disruption.Answer{permitted, permitted}, []string{"3 pods are to be updated, but maxUnavailable is 2"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &Plan{Notes: []Note{{Wish: WishUpdate, Pods: 3, Because: "maxUnavailable is 2", Behind: tc.behind}}}
			p.Refuse(steps, outages, tc.answers, time.Unix(100, 0))
			if got := p.Waiting(); !slices.Equal(got, tc.want) {
				t.Errorf("got %q", got)
			}
		})
	}
}
