package restart

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/readiness"
)

var start = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

func after(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }

// request is a request for some containers of the pod web, which ran as <name>-0 when it was made.
func request(name string, strategy v1beta1.ContainerRecreateRequestStrategy, containers ...string) *Request {
	r := &Request{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: name, CreationTimestamp: metav1.NewTime(start),
		Labels: map[string]string{v1beta1.ContainerRecreateRequestPodUIDKey: "1", v1beta1.ContainerRecreateRequestActiveKey: "true"},
	}}
	r.UID = "uid-of-" + r.UID
	r.Spec.PodName, r.Spec.Strategy = "web", &strategy
	for _, c := range containers {
		r.Spec.Containers = append(r.Spec.Containers, v1beta1.ContainerRecreateRequestContainer{
			Name: c, RestartPolicy: corev1.ContainerRestartPolicyAlways,
			StatusContext: &v1beta1.ContainerRecreateRequestContainerContext{ContainerID: id(c, 0)},
		})
	}
	return r
}

func id(name string, attempt int) string {
	return "containerd://" + name + "-" + string(rune('0'+attempt))
}

func running(name string, attempt int) Container {
	return Container{ID: id(name, attempt), Running: true}
}

func act(r *Request, f Facts) AgentPlan {
	f.Request = r
	if f.Queue == nil {
		f.Queue = []*Request{r}
	}
	if f.Now.IsZero() {
		f.Now = start
	}
	return Act(f)
}

// is checks the phase of a request and those of its containers.
func is(t *testing.T, s v1beta1.ContainerRecreateRequestStatus, want string) {
	t.Helper()
	got := string(s.Phase)
	for _, c := range s.ContainerRecreateStates {
		got += " " + c.Name + "=" + string(c.Phase)
	}
	if got != want {
		t.Errorf("the request is %s, and not %s: %+v", got, want, s)
	}
}

func TestAContainerIsStoppedOnceThatIsWrittenDownAndTheRequestEndsWhenItsSuccessorIsReady(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app")
	f := Facts{Runtime: map[string]Container{"app": running("app", 0)}}

	p := act(r, f)
	if is(t, p.Status, "Recreating app=Recreating"); p.Stop != nil {
		t.Error("it is stopped before that is written down")
	}
	r.Status = p.Status

	f.Mine = map[string]string{"app": id("app", 0)}
	if p = act(r, f); p.Stop == nil || p.Stop.ID != id("app", 0) || !p.Stop.Hook {
		t.Fatalf("it is not stopped: %+v", p)
	}
	r.Status = p.Status
	f.Attempts = map[string]Attempt{"app": {Running: true}}
	if p = act(r, f); p.Stop != nil {
		t.Error("it is stopped twice at a time")
	}
	f.Attempts = map[string]Attempt{"app": {Done: true}}
	f.Runtime = map[string]Container{"app": {ID: id("app", 0)}}
	p = act(r, f)
	if is(t, p.Status, "Recreating app=Recreating"); !p.Status.ContainerRecreateStates[0].IsKilled || p.Stop != nil {
		t.Errorf("%+v", p)
	}
	r.Status = p.Status

	f.Runtime = map[string]Container{"app": running("app", 1)}
	is(t, act(r, f).Status, "Recreating app=Recreating")
	r.Status.ContainerStatusSnapshot = []v1beta1.ContainerStatusSnapshot{{Name: "app", ContainerID: id("app", 1), Ready: true}}
	p = act(r, f)
	if is(t, p.Status, "Completed app=Succeeded"); p.Status.CompletionTime == nil || p.Status.ContainerRecreateStates[0].Message != "" {
		t.Errorf("%+v", p.Status)
	}
}

func TestAProcessThatDidNotWriteTheStopDownDoesNotRunTheHook(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app")
	f := Facts{Runtime: map[string]Container{"app": running("app", 0)}}
	r.Status = act(r, f).Status
	f.Now = after(7)
	if p := act(r, f); p.Stop == nil || p.Stop.Hook || !p.Stop.Since.Equal(start) {
		t.Errorf("%+v", p.Stop)
	}
}

func TestAContainerThatWasRestartedSinceTheRequestIsLeftAloneUnlessForced(t *testing.T) {
	for force, want := range map[bool]string{false: id("app", 0), true: id("app", 1)} {
		r := request("one", v1beta1.ContainerRecreateRequestStrategy{ForceRecreate: force}, "app")
		p := act(r, Facts{Runtime: map[string]Container{"app": running("app", 1)}})
		s := p.Status.ContainerRecreateStates[0]
		if (s.StopTime != nil) != force || s.ContainerID != want {
			t.Errorf("force %t: %+v", force, s)
		}
		r.Status = p.Status
		r.Status.ContainerStatusSnapshot = []v1beta1.ContainerStatusSnapshot{{Name: "app", ContainerID: id("app", 1), Ready: true}}
		p = act(r, Facts{Runtime: map[string]Container{"app": running("app", 1)}})
		if got := p.Status.Phase; (got == v1beta1.ContainerRecreateRequestCompleted) == force || (p.Stop != nil) != force {
			t.Errorf("force %t: %s, %+v", force, got, p.Stop)
		}
	}
}

func TestAContainerThatDoesNotRunIsWaitedFor(t *testing.T) {
	for name, runtime := range map[string]map[string]Container{
		"it is gone":   {},
		"it has ended": {"app": {ID: id("app", 0), ExitCode: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app")
			p := act(r, Facts{Runtime: runtime})
			if is(t, p.Status, "Recreating app=Recreating"); p.Stop != nil || p.Wake.IsZero() || p.Status.ContainerRecreateStates[0].IsKilled {
				t.Errorf("%+v", p)
			}
			// The runtime was wrong about it.
			r.Status = p.Status
			if s := act(r, Facts{Runtime: map[string]Container{"app": running("app", 0)}}).Status.ContainerRecreateStates[0]; s.StopTime == nil {
				t.Errorf("it runs and is not stopped: %+v", s)
			}
		})
	}
}

func TestAContainerThatKubeletDoesNotStartAgainHasFailed(t *testing.T) {
	for name, tc := range map[string]struct {
		policy corev1.ContainerRestartPolicy
		exit   int32
		want   string
	}{
		"always":                       {corev1.ContainerRestartPolicyAlways, 0, ""},
		"never":                        {corev1.ContainerRestartPolicyNever, 1, "its restart policy is Never"},
		"on failure, and it was none":  {corev1.ContainerRestartPolicyOnFailure, 0, "its restart policy is OnFailure"},
		"on failure, and it was one":   {corev1.ContainerRestartPolicyOnFailure, 137, ""},
		"of a request by somebody old": {"", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app")
			r.Spec.Containers[0].RestartPolicy = tc.policy
			r.Status = act(r, Facts{Runtime: map[string]Container{"app": running("app", 0)}}).Status
			p := act(r, Facts{Runtime: map[string]Container{"app": {ID: id("app", 0), ExitCode: tc.exit}}})
			s := p.Status.ContainerRecreateStates[0]
			if failed := s.Phase == v1beta1.ContainerRecreateRequestFailed; failed != (tc.want != "") || !strings.Contains(s.Message, tc.want) || !s.IsKilled {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestASuccessorHasToRunForAsLongAsTheRequestSays(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{MinStartedSeconds: 10}, "app")
	r.Status.ContainerStatusSnapshot = []v1beta1.ContainerStatusSnapshot{{Name: "app", ContainerID: id("app", 1), Ready: true}}
	young := Container{ID: id("app", 1), Running: true, Started: start}
	p := act(r, Facts{Now: after(9), Runtime: map[string]Container{"app": young}})
	if is(t, p.Status, "Recreating app=Recreating"); !p.Wake.Equal(after(10)) {
		t.Errorf("woken at %s", p.Wake)
	}
	is(t, act(r, Facts{Now: after(10), Runtime: map[string]Container{"app": young}}).Status, "Completed app=Succeeded")
	if p := act(r, Facts{Now: after(10), Runtime: map[string]Container{"app": running("app", 1)}}); !p.Wake.After(after(10)) {
		t.Errorf("its start is not known, and it is woken at %s", p.Wake)
	}
}

func TestContainersAreStoppedOneByOneAndInOrderOnceTheOneBeforeIsRecreated(t *testing.T) {
	for _, ordered := range []bool{false, true} {
		r := request("one", v1beta1.ContainerRecreateRequestStrategy{OrderedRecreate: ordered}, "app", "log")
		both := map[string]Container{"app": running("app", 0), "log": running("log", 0)}
		r.Status = act(r, Facts{Runtime: both}).Status
		is(t, r.Status, "Recreating app=Recreating log=Pending")
		r.Status = act(r, Facts{Runtime: map[string]Container{"app": {ID: id("app", 0)}, "log": running("log", 0)}}).Status
		if ordered {
			is(t, r.Status, "Recreating app=Recreating log=Pending")
		} else {
			is(t, r.Status, "Recreating app=Recreating log=Recreating")
		}
		r.Status.ContainerStatusSnapshot = []v1beta1.ContainerStatusSnapshot{{Name: "app", ContainerID: id("app", 1), Ready: true}}
		r.Status = act(r, Facts{Runtime: map[string]Container{"app": running("app", 1), "log": running("log", 0)}}).Status
		is(t, r.Status, "Recreating app=Succeeded log=Recreating")
	}
}

func TestTheNextContainerWaitsForTheStopOfOneThatEndedByItselfInItsHook(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app", "log")
	r.Status = act(r, Facts{Runtime: map[string]Container{"app": running("app", 0), "log": running("log", 0)}}).Status
	f := Facts{
		Runtime:  map[string]Container{"app": {ID: id("app", 0)}, "log": running("log", 0)},
		Attempts: map[string]Attempt{"app": {Running: true}},
	}
	for _, successor := range []bool{false, true} {
		if successor {
			f.Runtime["app"] = running("app", 1)
		}
		if s := act(r, f).Status.ContainerRecreateStates; s[0].IsKilled || s[1].StopTime != nil {
			t.Errorf("with a successor: %t: %+v", successor, s)
		}
	}
	f.Attempts["app"] = Attempt{Done: true}
	if s := act(r, f).Status.ContainerRecreateStates; !s[0].IsKilled || s[1].StopTime == nil {
		t.Errorf("when the stop has ended: %+v", s)
	}
}

func TestAContainerThatFailsEndsTheRequestUnlessFailuresAreIgnored(t *testing.T) {
	for policy, want := range map[v1beta1.ContainerRecreateRequestFailurePolicyType]string{
		v1beta1.ContainerRecreateRequestFailurePolicyFail:   "Completed app=Failed log=Failed",
		v1beta1.ContainerRecreateRequestFailurePolicyIgnore: "Recreating app=Failed log=Recreating",
	} {
		r := request("one", v1beta1.ContainerRecreateRequestStrategy{FailurePolicy: policy}, "app", "log")
		both := map[string]Container{"app": running("app", 0), "log": running("log", 0)}
		r.Status = act(r, Facts{Runtime: both}).Status
		p := act(r, Facts{Runtime: both, Attempts: map[string]Attempt{"app": {Failure: "no such process"}}})
		if is(t, p.Status, want); p.Status.ContainerRecreateStates[0].Message != "no such process" {
			t.Errorf("%+v", p.Status)
		}
	}
}

func TestARuntimeThatDoesNotAnswerIsToldAndWaitedFor(t *testing.T) {
	p := act(request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app"), Facts{Trouble: "no socket"})
	if is(t, p.Status, "Recreating app=Pending"); p.Status.Message != "the container runtime does not answer: no socket" || !p.Wake.After(start) {
		t.Errorf("%+v", p)
	}
}

func TestTheOldestRequestForAPodThatWasBegunIsTheOneThatIsCarriedOut(t *testing.T) {
	old, young, begun, done := request("b", v1beta1.ContainerRecreateRequestStrategy{}), request("c", v1beta1.ContainerRecreateRequestStrategy{}),
		request("d", v1beta1.ContainerRecreateRequestStrategy{}), request("e", v1beta1.ContainerRecreateRequestStrategy{})
	for i, r := range []*Request{old, young, begun, done} {
		r.UID, r.CreationTimestamp = "uid"+r.UID, metav1.NewTime(after(i))
		r.UID += "-" + r.UID
	}
	same := request("a", v1beta1.ContainerRecreateRequestStrategy{})
	begun.Status.Phase, done.Status.Phase = v1beta1.ContainerRecreateRequestRecreating, v1beta1.ContainerRecreateRequestCompleted
	queue := []*Request{young, done, old, begun, same}
	for _, want := range []*Request{done, begun, same, old, young} {
		if first := First(queue); first != want {
			t.Errorf("first is %s, and not %s", first.Name, want.Name)
		}
		queue = slices.DeleteFunc(queue, func(r *Request) bool { return r == want })
	}

	second := request("second", v1beta1.ContainerRecreateRequestStrategy{}, "app")
	second.UID = "2"
	p := act(second, Facts{Queue: []*Request{second, begun}, Runtime: map[string]Container{"app": running("app", 0)}})
	if is(t, p.Status, "Pending"); p.Status.Message != "waits for request d for the same pod" || p.Stop != nil {
		t.Errorf("%+v", p)
	}
	second.Status = p.Status
	if p := act(second, Facts{Runtime: map[string]Container{"app": running("app", 0)}}); p.Status.Message != "" || p.Status.Phase != v1beta1.ContainerRecreateRequestRecreating {
		t.Errorf("when its turn has come: %+v", p.Status)
	}
}

func TestARequestThatHasEndedOrIsBeingDeletedIsLeftAlone(t *testing.T) {
	ended, deleted := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app"), request("two", v1beta1.ContainerRecreateRequestStrategy{}, "app")
	ended.Status.Phase = v1beta1.ContainerRecreateRequestCompleted
	deleted.DeletionTimestamp = ptr.To(metav1.NewTime(start))
	for _, r := range []*Request{ended, deleted} {
		if p := act(r, Facts{Runtime: map[string]Container{"app": running("app", 0)}}); p.Stop != nil || len(p.Status.ContainerRecreateStates) > 0 {
			t.Errorf("%s: %+v", r.Name, p)
		}
	}
}

// web is the pod of the requests.
func web() *corev1.Pod {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "1", ResourceVersion: "5"}}
	pod.Status.Phase = corev1.PodRunning
	pod.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: v1beta1.KruisePodReadyConditionType}}
	pod.Status.Conditions = []corev1.PodCondition{{Type: v1beta1.KruisePodReadyConditionType, Status: corev1.ConditionTrue}}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: "app", ContainerID: id("app", 0), Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
	}}
	return pod
}

func TestThePodIsHeldOutOfServiceForAsLongAsTheRequestSaysAndThenReleased(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](5)}, "app")
	runtime := map[string]Container{"app": running("app", 0)}
	pod := web()
	if p := Manage(r, pod, start); p.Pod != nil || p.Guard {
		t.Error("the pod is held before the agent has the request")
	}
	r.Status = act(r, Facts{Runtime: runtime}).Status
	is(t, r.Status, "Recreating app=Pending")

	p := Manage(r, pod, start)
	if !p.Guard || !strings.Contains(string(p.Pod), `{\"userAgent\":\"ContainerRecreateRequest\",\"key\":\"shop/one\"}`) || !strings.Contains(string(p.Pod), `"resourceVersion":"5"`) ||
		!meta.IsStatusConditionTrue(p.Status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace) {
		t.Fatalf("%+v %s", p, p.Pod)
	}
	r.Status, r.Finalizers = p.Status, []string{v1beta1.ContainerRecreateRequestUnreadyAcquiredKey}
	if p := act(r, Facts{Now: after(4), Runtime: runtime}); p.Status.ContainerRecreateStates[0].StopTime != nil || !p.Wake.Equal(after(5)) {
		t.Errorf("before the grace period is over: %+v", p)
	}
	if p := act(r, Facts{Now: after(5), Runtime: runtime}); p.Status.ContainerRecreateStates[0].StopTime == nil {
		t.Errorf("after the grace period: %+v", p)
	}

	others := []readiness.Hold{{UserAgent: "Lifecycle", Key: "x"}, {UserAgent: UserAgent, Key: "shop/one"}}
	pod.Status.Conditions = []corev1.PodCondition{readiness.Condition(others, start)}
	r.Status.Phase = v1beta1.ContainerRecreateRequestCompleted
	p = Manage(r, pod, after(9))
	if !p.Tidy || !strings.Contains(string(p.Pod), `Lifecycle`) || strings.Contains(string(p.Pod), "shop/one") || !strings.Contains(string(p.Pod), `"status":"False"`) {
		t.Errorf("%+v %s", p, p.Pod)
	}
	pod.Status.Conditions = []corev1.PodCondition{readiness.Condition(others[1:], start)}
	if p = Manage(r, pod, after(9)); !strings.Contains(string(p.Pod), `"status":"True"`) {
		t.Errorf("%s", p.Pod)
	}
	r.Status.Phase, r.DeletionTimestamp = v1beta1.ContainerRecreateRequestRecreating, ptr.To(metav1.NewTime(start))
	if p := Manage(r, pod, after(9)); !p.Tidy || p.Pod == nil {
		t.Error("a request that is deleted does not let its pod go")
	}
}

func TestAPodWithoutTheReadinessGateIsOnlyWaitedFor(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{UnreadyGracePeriodSeconds: ptr.To[int64](0)}, "app")
	r.Status.Phase = v1beta1.ContainerRecreateRequestRecreating
	pod := web()
	pod.Spec.ReadinessGates = nil
	if p := Manage(r, pod, start); p.Pod != nil || !meta.IsStatusConditionTrue(p.Status.Conditions, v1beta1.ContainerRecreateRequestPreRecreateGrace) {
		t.Errorf("%+v", p)
	}
}

func TestARequestThatTheAgentCannotEndIsEndedByTheManager(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(r *Request, pod *corev1.Pod) *corev1.Pod
		now    time.Time
		want   string
		wake   time.Time
	}{
		"the pod is gone":                 {func(*Request, *corev1.Pod) *corev1.Pod { return nil }, start, PodGone, time.Time{}},
		"the pod is another":              {func(_ *Request, p *corev1.Pod) *corev1.Pod { p.UID = "2"; return p }, start, PodGone, time.Time{}},
		"the pod is on its way out":       {func(_ *Request, p *corev1.Pod) *corev1.Pod { p.DeletionTimestamp = &metav1.Time{}; return p }, start, PodGone, time.Time{}},
		"the pod has ended":               {func(_ *Request, p *corev1.Pod) *corev1.Pod { p.Status.Phase = corev1.PodFailed; return p }, start, PodEnded, time.Time{}},
		"the agent is not there yet":      {func(_ *Request, p *corev1.Pod) *corev1.Pod { return p }, after(59), "", after(60)},
		"the agent is not there":          {func(_ *Request, p *corev1.Pod) *corev1.Pod { return p }, after(60), AgentSilent, time.Time{}},
		"the deadline is near":            {func(r *Request, p *corev1.Pod) *corev1.Pod { deadline(r, 30); return p }, after(29), "", after(30)},
		"the deadline has passed":         {func(r *Request, p *corev1.Pod) *corev1.Pod { deadline(r, 30); return p }, after(30), TimeExceeded, time.Time{}},
		"the sidecars are being stopped":  {func(_ *Request, p *corev1.Pod) *corev1.Pod { terminating(p); return p }, start, "", after(60)},
		"the agent works and has no time": {func(r *Request, p *corev1.Pod) *corev1.Pod { r.Status.Phase = "Recreating"; return p }, after(999), "", time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app", "log")
			r.Status.ContainerRecreateStates = []v1beta1.ContainerRecreateState{{Name: "log", Phase: v1beta1.ContainerRecreateRequestSucceeded}}
			p := Manage(r, tc.change(r, web()), tc.now)
			if !p.Wake.Equal(tc.wake) {
				t.Errorf("woken at %s", p.Wake)
			}
			if tc.want == "" {
				if p.Status.Phase == v1beta1.ContainerRecreateRequestCompleted {
					t.Errorf("%+v", p.Status)
				}
				return
			}
			if is(t, p.Status, "Completed app=Failed log=Succeeded"); p.Status.Message != tc.want || p.Status.ContainerRecreateStates[0].Message != tc.want || p.Status.CompletionTime == nil {
				t.Errorf("%+v", p.Status)
			}
		})
	}
}

func deadline(r *Request, seconds int64) { r.Spec.ActiveDeadlineSeconds = &seconds }

func terminating(pod *corev1.Pod) {
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.Conditions = append(pod.Status.Conditions, corev1.PodCondition{Type: v1beta1.SidecarTerminated, Status: corev1.ConditionTrue})
}

func TestWhatKubeletSaysOfOtherContainersThanThoseOfTheRequestIsCopied(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app", "log")
	r.Status.Phase = v1beta1.ContainerRecreateRequestRecreating
	pod := web()
	if p := Manage(r, pod, start); len(p.Status.ContainerStatusSnapshot) > 0 {
		t.Errorf("%+v", p.Status)
	}
	pod.Status.ContainerStatuses[0].ContainerID, pod.Status.ContainerStatuses[0].RestartCount = id("app", 1), 3
	want := v1beta1.ContainerStatusSnapshot{Name: "app", Ready: true, RestartCount: 3, ContainerID: id("app", 1)}
	if got := Manage(r, pod, start).Status.ContainerStatusSnapshot; !slices.Equal(got, []v1beta1.ContainerStatusSnapshot{want}) {
		t.Errorf("%+v", got)
	}
}

func TestACompletedRequestIsTidiedUpAfterAndDeletedWhenItsTimeIsOver(t *testing.T) {
	r := request("one", v1beta1.ContainerRecreateRequestStrategy{}, "app")
	r.Status.Phase, r.Status.CompletionTime = v1beta1.ContainerRecreateRequestCompleted, ptr.To(metav1.NewTime(start))
	r.Spec.TTLSecondsAfterFinished = ptr.To[int32](60)
	if p := Manage(r, nil, after(59)); !p.Tidy || p.Delete || !p.Wake.Equal(after(60)) {
		t.Errorf("%+v", p)
	}
	r.Labels = nil
	if p := Manage(r, nil, after(60)); p.Tidy || !p.Delete {
		t.Errorf("%+v", p)
	}
}

func TestARequestCanBeAboutContainersAndSidecarsAndNotAboutThoseThatRunOnce(t *testing.T) {
	pod := &corev1.Pod{}
	pod.Spec.InitContainers = []corev1.Container{{Name: "once"}, {Name: "sidecar", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)}}
	pod.Spec.Containers = []corev1.Container{{Name: "app"}, {Name: "own", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyOnFailure)}}
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	for name, want := range map[string]corev1.ContainerRestartPolicy{"once": "", "sidecar": "Always", "app": "Never", "own": "OnFailure", "none": ""} {
		if got, ok := RestartPolicyOf(pod, name); got != want || ok != (want != "") {
			t.Errorf("%s: %s, %t", name, got, ok)
		}
	}
}
