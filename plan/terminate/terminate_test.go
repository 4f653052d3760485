package terminate

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"pgregory.net/rapid"

	"kruise.io/kruise/api/apps/v1beta1"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

const endsByItself = "registry.lan/true:1"

// pod makes a pod of containers in the form name:state, which are work unless their names begin with "side", a sidecar, or "ign",
// one whose exit code is ignored. A state is running, waiting or an exit code.
func pod(policy corev1.RestartPolicy, containers ...string) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "report", UID: "1", ResourceVersion: "7"}}
	p.Spec.RestartPolicy, p.Status.Phase = policy, corev1.PodRunning
	for _, text := range containers {
		name, state, _ := strings.Cut(text, ":")
		c := corev1.Container{Name: name, Image: "registry.lan/" + name + ":1"}
		if strings.HasPrefix(name, "side") || strings.HasPrefix(name, "ign") {
			c.Env = append(c.Env, corev1.EnvVar{Name: v1beta1.TerminateSidecarEnv, Value: "true"},
				corev1.EnvVar{Name: v1beta1.TerminateSidecarWithImageEnv, Value: endsByItself})
		}
		if strings.HasPrefix(name, "ign") {
			c.Env = append(c.Env, corev1.EnvVar{Name: v1beta1.IgnoreExitCodeEnv, Value: "true"})
		}
		p.Spec.Containers = append(p.Spec.Containers, c)
		p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, statusOf(name, state))
	}
	return p
}

func statusOf(name, state string) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: name, ContainerID: "containerd://" + name}
	switch state {
	case "running":
		s.State.Running = &corev1.ContainerStateRunning{}
	case "waiting":
		s.ContainerID, s.State.Waiting = "", &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}
	default:
		s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: int32(state[0] - '0')}
	}
	return s
}

// decide is Decide, which has nothing to fail for.
func decide(t interface{ Fatal(...any) }, pod *corev1.Pod, virtual bool, request *v1beta1.ContainerRecreateRequest, now time.Time) Plan {
	p, err := Decide(pod, virtual, request, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// does says in short what a plan does.
func does(t interface{ Fatal(...any) }, p Plan) string {
	var out []string
	if p.Delete != nil {
		out = append(out, "again")
	}
	if p.Create != nil {
		for _, c := range p.Create.Spec.Containers {
			out = append(out, "stop "+c.Name)
		}
	}
	for _, patch := range [][]byte{p.Status, p.Spec} {
		if patch == nil {
			continue
		}
		after := &corev1.Pod{}
		if err := json.Unmarshal(patch, after); err != nil {
			t.Fatal(err)
		}
		if after.UID != "1" || after.ResourceVersion != "7" {
			t.Fatal("a patch of another pod: ", string(patch))
		}
		if after.Status.Phase != "" {
			if !marked(after) {
				t.Fatal("the pod is not marked: ", string(patch))
			}
			out = append(out, string(after.Status.Phase))
		}
		for _, c := range after.Spec.Containers {
			out = append(out, c.Name+" gets "+c.Image)
		}
	}
	if (len(out) > 0) != (p.Why != "") {
		t.Fatal("without a reason: ", p)
	}
	return strings.Join(out, ", ")
}

func TestSidecarsEndWhenTheWorkIsDoneAndNotBefore(t *testing.T) {
	const never, onFailure = corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure
	for _, tc := range []struct {
		pod  *corev1.Pod
		want string
	}{
		{pod(never, "work:running", "side:running"), ""},
		{pod(never, "work:0", "other:running", "side:running"), ""},
		{pod(never, "work:0", "other:waiting", "side:running"), ""},
		{pod(never, "side:running"), ""},
		{pod(never, "work:0", "plain:running"), ""},
		{pod(never, "work:0", "side:running"), "stop side"},
		{pod(never, "work:3", "side:running"), "stop side"},
		{pod(never, "work:0", "side:running", "side2:running"), "stop side, stop side2"},
		{pod(never, "work:0", "side:0", "side2:running"), "stop side2"},
		{pod(never, "work:0", "side:waiting", "side2:running"), "stop side2"},
		{pod(never, "work:0", "side:waiting"), ""},
		{pod(never, "work:0", "side:3"), ""},
		{pod(onFailure, "work:3", "side:running"), ""},
		{pod(onFailure, "work:0", "side:running"), "stop side"},
		{pod(never, "work:0", "ign:running"), "Succeeded"},
		{pod(never, "work:0", "ign:waiting"), "Succeeded"},
		{pod(never, "work:3", "ign:running"), "Failed"},
		{pod(onFailure, "work:0", "ign:running"), "Succeeded"},
		{pod(never, "work:0", "ign:3"), ""},
		{pod(never, "work:0", "side:running", "ign:running"), "stop side"},
		{pod(never, "work:0", "side:0", "ign:running"), "Succeeded"},
		{pod(never, "work:0", "side:3", "ign:running"), "Failed"},
		{pod(onFailure, "work:0", "side:3", "ign:running"), ""},
	} {
		if got := does(t, decide(t, tc.pod, false, nil, start)); got != tc.want {
			t.Errorf("%s %v: %q, want %q", tc.pod.Spec.RestartPolicy, tc.pod.Status.ContainerStatuses, got, tc.want)
		}
	}
}

func TestTheRequestIsOwnedByThePodAndCarriedOutWhateverHappens(t *testing.T) {
	r := decide(t, pod(corev1.RestartPolicyNever, "work:0", "side:running"), false, nil, start).Create
	if r.Name != "sidecar-termination-1" || r.Namespace != "shop" || r.OwnerReferences[0].UID != "1" || r.Spec.PodName != "report" {
		t.Errorf("%+v", r)
	}
	if s := r.Spec.Strategy; !s.ForceRecreate || s.FailurePolicy != v1beta1.ContainerRecreateRequestFailurePolicyIgnore {
		t.Errorf("%+v", s)
	}
}

func TestARequestThatStoppedNothingIsMadeAgainAfterAWhile(t *testing.T) {
	p := pod(corev1.RestartPolicyOnFailure, "work:0", "side:running", "late:running")
	p.Spec.Containers[2].Env = p.Spec.Containers[1].Env
	r := decide(t, p, false, nil, start).Create
	if got := does(t, decide(t, p, false, r, start)); got != "" {
		t.Errorf("while it is under way: %q", got)
	}
	r.Status.Phase, r.Status.CompletionTime = v1beta1.ContainerRecreateRequestCompleted, &metav1.Time{Time: start}
	r.Status.ContainerRecreateStates = []v1beta1.ContainerRecreateState{{Name: "side", IsKilled: true, ContainerID: "containerd://former"}}
	r.Spec.Containers = r.Spec.Containers[:2]
	if plan := decide(t, p, false, r, start.Add(time.Second)); does(t, plan) != "" || !plan.Wake.Equal(start.Add(again)) {
		t.Errorf("just after it: %+v", plan)
	}
	if got := does(t, decide(t, p, false, r, start.Add(again))); got != "again, stop late" {
		t.Errorf("a while after it: %q: what was started again is to be left alone", got)
	}
	r.DeletionTimestamp = &metav1.Time{Time: start}
	if got := does(t, decide(t, p, false, r, start.Add(again))); got != "" {
		t.Errorf("while it is deleted: %q", got)
	}
}

func TestWhatIsLeftOfAPodThatIsMarkedIsStoppedAtOnce(t *testing.T) {
	p := pod(corev1.RestartPolicyNever, "work:0", "side:0", "ign:running")
	r := &v1beta1.ContainerRecreateRequest{}
	r.Spec.Containers = []v1beta1.ContainerRecreateRequestContainer{{Name: "side"}}
	r.Status.Phase, r.Status.CompletionTime = v1beta1.ContainerRecreateRequestCompleted, &metav1.Time{Time: start}
	if got := does(t, decide(t, p, false, r, start)); got != "Succeeded" {
		t.Errorf("at first: %q", got)
	}
	p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, []corev1.PodCondition{{Type: v1beta1.SidecarTerminated, Status: corev1.ConditionTrue}}
	if got := does(t, decide(t, p, false, r, start)); !Concerns(p) || got != "again, stop ign" {
		t.Errorf("and then: %q", got)
	}
	if got := does(t, decide(t, p, false, nil, start)); got != "stop ign" {
		t.Errorf("and then, where there was no request before: %q", got)
	}
	p.Status.ContainerStatuses[2] = statusOf("ign", "3")
	if got := does(t, decide(t, p, false, nil, start)); got != "" {
		t.Errorf("at last: %q", got)
	}
}

func TestOnAVirtualKubeletSidecarsGetAnImageThatEnds(t *testing.T) {
	p := pod(corev1.RestartPolicyNever, "work:0", "side:running", "ign:running", "side2:0")
	if got, want := does(t, decide(t, p, true, nil, start)), "side gets "+endsByItself+", ign gets "+endsByItself; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	p.Spec.Containers[1].Image, p.Spec.Containers[2].Image = endsByItself, endsByItself
	if got := does(t, decide(t, p, true, nil, start)); got != "" {
		t.Errorf("with that image: %q", got)
	}
	p = pod(corev1.RestartPolicyNever, "work:0", "ign:running")
	if got := does(t, decide(t, p, true, nil, start)); got != "Succeeded" {
		t.Errorf("at first: %q", got)
	}
	p.Status.Phase, p.Status.Conditions = corev1.PodSucceeded, []corev1.PodCondition{{Type: v1beta1.SidecarTerminated, Status: corev1.ConditionTrue}}
	if got := does(t, decide(t, p, true, nil, start)); !Concerns(p) || got != "ign gets "+endsByItself {
		t.Errorf("and then: %q", got)
	}
}

func TestWhichPodsAreConcerned(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*corev1.Pod)
		want   bool
	}{
		"a job's":                  {func(*corev1.Pod) {}, true},
		"one that always restarts": {func(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyAlways }, false},
		"one that is deleted":      {func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: start} }, false},
		"one that has not begun":   {func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }, false},
		"one that has ended":       {func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }, false},
		"one without sidecars":     {func(p *corev1.Pod) { p.Spec.Containers = p.Spec.Containers[:1] }, false},
		"one that says false": {func(p *corev1.Pod) {
			p.Spec.Containers[1].Env = []corev1.EnvVar{{Name: v1beta1.TerminateSidecarEnv, Value: "false"}}
		}, false},
		"one for a virtual kubelet": {func(p *corev1.Pod) { p.Spec.Containers[1].Env = p.Spec.Containers[1].Env[1:] }, true},
	} {
		p := pod(corev1.RestartPolicyNever, "work:running", "side:running")
		tc.change(p)
		if got := Concerns(p); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A kubelet, an agent and the plan take turns, in any order, until nothing moves.
func TestAPodWhoseWorkEndsComesToAnEndWithWhatItsCountedContainersSay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var containers []string
		for _, name := range []string{"work", "side", "side2", "ign", "ign2"} {
			if name == "work" || rapid.Bool().Draw(t, name) {
				containers = append(containers, name+":running")
			}
		}
		p := pod(corev1.RestartPolicyNever, containers...)
		codes := map[string]string{}
		for _, c := range p.Spec.Containers {
			codes[c.Name] = rapid.SampledFrom([]string{"0", "0", "1"}).Draw(t, "exit code of "+c.Name)
		}
		end := func(i int) {
			p.Status.ContainerStatuses[i] = statusOf(p.Spec.Containers[i].Name, codes[p.Spec.Containers[i].Name])
		}
		end(0)
		var request *v1beta1.ContainerRecreateRequest
		for step := 0; ; step++ {
			if step > 50 {
				t.Fatal("it does not come to an end")
			}
			i := rapid.IntRange(0, len(p.Spec.Containers)-1).Draw(t, "container")
			asked := request != nil && slices.ContainsFunc(request.Spec.Containers, func(c v1beta1.ContainerRecreateRequestContainer) bool { return c.Name == p.Spec.Containers[i].Name })
			if p.Status.ContainerStatuses[i].State.Running != nil && asked {
				end(i)
			}
			if !slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool { return s.State.Terminated == nil }) {
				break
			}
			if !Concerns(p) {
				continue
			}
			plan := decide(t, p, false, request, start)
			if plan.Create != nil {
				request = plan.Create
				request.Status.Phase = v1beta1.ContainerRecreateRequestRecreating
			}
			if request != nil && !slices.ContainsFunc(p.Status.ContainerStatuses, func(s corev1.ContainerStatus) bool {
				return s.State.Running != nil && names(request, &corev1.Container{Name: s.Name})
			}) {
				request.Status.Phase = v1beta1.ContainerRecreateRequestCompleted
			}
			if plan.Status != nil {
				after := &corev1.Pod{}
				if err := json.Unmarshal(plan.Status, after); err != nil {
					t.Fatal(err)
				}
				p.Status.Phase, p.Status.Conditions = after.Status.Phase, after.Status.Conditions
			}
		}
		failed := false
		for name, code := range codes {
			failed = failed || code != "0" && !strings.HasPrefix(name, "ign")
		}
		if p.Status.Phase != corev1.PodRunning && (p.Status.Phase == corev1.PodFailed) != failed {
			t.Fatalf("%s, with %v", p.Status.Phase, codes)
		}
	})
}
