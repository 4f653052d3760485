package replica_test

import (
	"slices"
	"testing"
	"time"
	"unsafe"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/lifecycle"
	"kruise.io/kruise/plan/replica"
)

func start() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

func options() replica.Options {
	return replica.Options{Now: start(), SlotLabel: v1beta1.CloneSetInstanceID}
}

// pod is a pod at its work that has been ready for a minute; edits make it another.
func pod(edits ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "demo-abcde", UID: "uid", CreationTimestamp: metav1.NewTime(start().Add(-time.Hour)),
			Labels: map[string]string{
				v1beta1.CloneSetInstanceID: "abcde", "controller-revision-hash": "demo-v1", v1beta1.LifecycleStateKey: "Normal",
			},
			Annotations: map[string]string{},
		},
		Spec: corev1.PodSpec{
			NodeName: "node-1", Containers: []corev1.Container{{Name: "web", Image: "web:1"}},
			ReadinessGates: []corev1.PodReadinessGate{{ConditionType: v1beta1.InPlaceUpdateReady}},
		},
		Status: corev1.PodStatus{
			Phase: corev1.PodRunning,
			Conditions: []corev1.PodCondition{
				{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.NewTime(start().Add(-time.Minute))},
				{Type: v1beta1.InPlaceUpdateReady, Status: corev1.ConditionTrue},
			},
			ContainerStatuses: []corev1.ContainerStatus{{Name: "web", RestartCount: 2}, {Name: "side", RestartCount: 1}},
		},
	}
	for _, edit := range edits {
		edit(p)
	}
	return p
}

func label(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Labels[key] = value }
}

func annotation(key, value string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations[key] = value }
}

func condition(kind corev1.PodConditionType, status corev1.ConditionStatus) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		for i := range p.Status.Conditions {
			if p.Status.Conditions[i].Type == kind {
				p.Status.Conditions[i].Status = status
				return
			}
		}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: status})
	}
}

func gate(kind corev1.PodConditionType) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.ReadinessGates = append(p.Spec.ReadinessGates, corev1.PodReadinessGate{ConditionType: kind})
	}
}

func TestEveryFactOfAPodAtItsWork(t *testing.T) {
	p := pod(annotation(corev1.PodDeletionCost, "-7"), label(v1beta1.SpecifiedDeleteKey, ""), annotation(v1beta1.LeavesClaimsKey, ""))
	want := replica.Replica{
		Name: "demo-abcde", UID: "uid", Node: "node-1", Slot: "abcde", Revision: "demo-v1", Labels: p.Labels,
		Created: start().Add(-time.Hour), ReadySince: start().Add(-time.Minute), AvailableAt: start().Add(-time.Minute),
		State: lifecycle.Normal, Holds: lifecycle.Holds{UpdateComplete: true, NormalComplete: true}, Stage: inplace.Done,
		Phase: replica.Running, Restarts: 3, DeletionCost: -7,
		Scheduled: true, Ready: true, Available: true, SpecifiedDelete: true, LeavesClaims: true, Gated: true,
	}
	if diff := cmp.Diff(want, replica.Of(p, options())); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhetherAPodIsReadyAndAvailable(t *testing.T) {
	type facts struct{ Active, Ready, Available bool }
	for name, test := range map[string]struct {
		pod             *corev1.Pod
		minReadySeconds int32
		want            facts
	}{
		"at its work":                               {pod(), 0, facts{true, true, true}},
		"ready for exactly minReadySeconds":         {pod(), 60, facts{true, true, true}},
		"not yet ready for minReadySeconds":         {pod(), 61, facts{true, true, false}},
		"not ready":                                 {pod(condition(corev1.PodReady, "False")), 0, facts{true, false, false}},
		"readiness unknown":                         {pod(condition(corev1.PodReady, "Unknown")), 0, facts{true, false, false}},
		"no conditions at all":                      {pod(func(p *corev1.Pod) { p.Status.Conditions = nil }), 0, facts{true, false, false}},
		"ready, but pending by its phase":           {pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }), 0, facts{true, false, false}},
		"in an update, before kubelet turned Ready": {pod(condition(v1beta1.InPlaceUpdateReady, "False")), 0, facts{true, false, false}},
		"without the condition of updates":          {pod(func(p *corev1.Pod) { p.Status.Conditions = p.Status.Conditions[:1] }), 0, facts{true, true, true}},
		"without a label of its state":              {pod(func(p *corev1.Pod) { delete(p.Labels, v1beta1.LifecycleStateKey) }), 0, facts{true, true, true}},
		"waiting for its preNormal hook":            {pod(label(v1beta1.LifecycleStateKey, "PreparingNormal")), 0, facts{true, true, false}},
		"waiting for its inPlaceUpdate hook":        {pod(label(v1beta1.LifecycleStateKey, "PreparingUpdate")), 0, facts{true, true, false}},
		"updated and waiting for its hook":          {pod(label(v1beta1.LifecycleStateKey, "Updated")), 0, facts{true, true, false}},
		"waiting for its preDelete hook":            {pod(label(v1beta1.LifecycleStateKey, "PreparingDelete")), 0, facts{true, true, false}},
		"marked as unavailable":                     {pod(label(v1beta1.UnavailablePodLabelPrefix+"drain", "")), 0, facts{true, true, false}},
		"terminating, and still ready":              {pod(func(p *corev1.Pod) { p.DeletionTimestamp = &metav1.Time{Time: start()} }), 0, facts{false, true, true}},
		"failed":                                    {pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }), 0, facts{false, false, false}},
		"succeeded":                                 {pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }), 0, facts{false, false, false}},
		"of an unknown phase, as on a lost node":    {pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodUnknown }), 0, facts{true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.MinReadySeconds = test.minReadySeconds
			r := replica.Of(test.pod, o)
			if diff := cmp.Diff(test.want, facts{r.Active(), r.Ready, r.Available}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhenAReadyPodBecomesAvailable(t *testing.T) {
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want time.Time
	}{
		"minReadySeconds after it became ready":           {pod(), start().Add(40 * time.Second)},
		"unknown while it is not ready":                   {pod(condition(corev1.PodReady, "False")), time.Time{}},
		"unknown while its state keeps it out of service": {pod(label(v1beta1.LifecycleStateKey, "Updated")), time.Time{}},
		"unknown while somebody marked it":                {pod(label(v1beta1.UnavailablePodLabelPrefix+"x", "y")), time.Time{}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options()
			o.MinReadySeconds = 100
			if got := replica.Of(test.pod, o).AvailableAt; !got.Equal(test.want) {
				t.Errorf("AvailableAt = %s, want %s", got, test.want)
			}
		})
	}
}

func TestHowLongAPodHasNotBeenReady(t *testing.T) {
	bare := func(p *corev1.Pod) { p.Status.Conditions = nil }
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want time.Duration
	}{
		"not at all, while it is ready":                 {pod(), 0},
		"since its condition says so":                   {pod(condition(corev1.PodReady, "False")), time.Minute},
		"since it was created, where there is none":     {pod(bare), time.Hour},
		"since now, where kubelet has not turned it":    {pod(condition(v1beta1.InPlaceUpdateReady, "False")), 0},
		"never less than nothing, whatever clocks show": {pod(bare, func(p *corev1.Pod) { p.CreationTimestamp = metav1.NewTime(start().Add(time.Hour)) }), 0},
	} {
		t.Run(name, func(t *testing.T) {
			if got := replica.Of(test.pod, options()).AwayFor; got != test.want {
				t.Errorf("AwayFor = %s, want %s", got, test.want)
			}
		})
	}
}

func TestAPodIsUnsettledWhileAGateOfOursCouldBeOpened(t *testing.T) {
	const kruise, ours = v1beta1.KruisePodReadyConditionType, v1beta1.InPlaceUpdateReady
	noConditions := func(p *corev1.Pod) { p.Status.Conditions = nil }
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want bool
	}{
		"the gate stands open":                       {pod(), false},
		"the condition is missing":                   {pod(noConditions), true},
		"the condition is False":                     {pod(condition(ours, "False")), true},
		"KruisePodReady is missing":                  {pod(gate(kruise)), true},
		"KruisePodReady is True":                     {pod(gate(kruise), condition(kruise, "True")), false},
		"KruisePodReady is False: somebody holds it": {pod(gate(kruise), condition(kruise, "False")), false},
		"one is held, the other missing":             {pod(gate(kruise), noConditions, condition(kruise, "False")), true},
		"a gate of others is no business of ours":    {pod(gate("example.com/other")), false},
		"a pod without gates":                        {pod(noConditions, func(p *corev1.Pod) { p.Spec.ReadinessGates = nil }), false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := replica.Of(test.pod, options()).Unsettled; got != test.want {
				t.Errorf("Unsettled = %v, want %v", got, test.want)
			}
		})
	}
}

func TestAPodThatIsResizedInServiceSaysWhy(t *testing.T) {
	resizing := func(p *corev1.Pod) {
		p.Annotations[v1beta1.InPlaceUpdateStateKey] = `{"containerResources":{"web":{"requests":{"cpu":"2"}}}}`
		p.Spec.Containers[0].Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
		p.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{}
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodResizePending, Status: corev1.ConditionTrue, Reason: corev1.PodReasonInfeasible})
	}
	refused := replica.Of(pod(resizing), options())
	if !refused.Available || refused.Stage != inplace.Running || refused.Trouble != "resize: Infeasible" || refused.Unsettled {
		t.Errorf("refused: %+v", refused)
	}
	done := replica.Of(pod(resizing, func(p *corev1.Pod) {
		p.Status.ContainerStatuses[0].Resources = p.Spec.Containers[0].Resources.DeepCopy()
		p.Status.Conditions = p.Status.Conditions[:2]
	}), options())
	if !done.Available || done.Stage != inplace.Done || done.Trouble != "" || !done.Unsettled {
		t.Errorf("done: %+v", done)
	}
}

func TestTheTroubleOfAPod(t *testing.T) {
	notReady := condition(corev1.PodReady, "False")
	waiting := func(reasons ...string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = nil
			for _, reason := range reasons {
				p.Status.ContainerStatuses = append(p.Status.ContainerStatuses, corev1.ContainerStatus{
					State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
				})
			}
		}
	}
	initWaiting := func(reason string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{
				State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
			}}
		}
	}
	unschedulable := func(p *corev1.Pod) {
		p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{
			Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonUnschedulable,
		})
	}
	// crashed is a container that runs after so many restarts; the run before took a minute, and ended a while ago.
	crashed := func(restarts int32, change ...func(*corev1.ContainerStatus)) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			ended := metav1.NewTime(start().Add(-2 * time.Minute))
			s := corev1.ContainerStatus{Name: "web", RestartCount: restarts}
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(start().Add(-time.Second))}
			s.LastTerminationState.Terminated = &corev1.ContainerStateTerminated{StartedAt: metav1.NewTime(ended.Add(-time.Minute)), FinishedAt: ended}
			for _, c := range change {
				c(&s)
			}
			p.Status.ContainerStatuses = []corev1.ContainerStatus{s}
		}
	}
	terminated := func(s *corev1.ContainerStatus) {
		s.State.Running, s.State.Terminated, s.LastTerminationState.Terminated = nil, s.LastTerminationState.Terminated, nil
	}
	longRun := func(s *corev1.ContainerStatus) {
		s.LastTerminationState.Terminated.StartedAt = metav1.NewTime(start().Add(-time.Hour))
	}
	updated := func(p *corev1.Pod) { // a second before the container ended, and long after it had begun
		p.Annotations[v1beta1.InPlaceUpdateStateKey] = `{"updateTimestamp": "` + start().Add(-2*time.Minute-time.Second).Format(time.RFC3339) + `"}`
	}
	justNow := func(p *corev1.Pod) {
		p.Status.Conditions[slices.IndexFunc(p.Status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodReady })].LastTransitionTime = metav1.NewTime(start().Add(-59 * time.Second))
	}
	for name, test := range map[string]struct {
		pod  *corev1.Pod
		want string
	}{
		"a crash loop, while it runs":                    {pod(notReady, crashed(2)), "CrashLoopBackOff"},
		"a crash loop, while it is ended":                {pod(notReady, crashed(2, terminated)), "CrashLoopBackOff"},
		"none after a first crash":                       {pod(notReady, crashed(1)), ""},
		"none for the container beside it that is ready": {pod(notReady, justNow, crashed(2, func(s *corev1.ContainerStatus) { s.Ready = true })), ""},
		"none when the last run was long":                {pod(notReady, crashed(7, longRun)), ""},
		"none when an update ended the last run":         {pod(notReady, updated, crashed(7)), ""},
		"that it has not been ready for long":            {pod(notReady), "NotReady"},
		"none while it may still become ready":           {pod(notReady, justNow), ""},
		"none when it is out of service by us":           {pod(notReady, condition(v1beta1.InPlaceUpdateReady, "False")), ""},
		"none when a hook goes first":                    {pod(notReady, label(v1beta1.LifecycleStateKey, "PreparingUpdate")), ""},
		"none before it runs":                            {pod(notReady, func(p *corev1.Pod) { p.Status.Phase = corev1.PodPending }), ""},
		"none while it is ready":                         {pod(waiting("CrashLoopBackOff")), ""},
		"what a container waits for":                     {pod(notReady, waiting("ImagePullBackOff")), "ImagePullBackOff"},
		"the first that is no mere start":                {pod(notReady, waiting("ContainerCreating", "", "CrashLoopBackOff", "ErrImagePull")), "CrashLoopBackOff"},
		"one name for two of the same":                   {pod(notReady, waiting("ErrImagePull")), "ImagePullBackOff"},
		"none while it merely starts":                    {pod(notReady, justNow, waiting("PodInitializing")), ""},
		"what an init container waits for":               {pod(notReady, waiting("PodInitializing"), initWaiting("CrashLoopBackOff")), "CrashLoopBackOff"},
		"that there is no room":                          {pod(notReady, waiting(), unschedulable), "Unschedulable"},
	} {
		t.Run(name, func(t *testing.T) {
			r := replica.Of(test.pod, options())
			if r.Trouble != test.want {
				t.Errorf("Trouble = %q, want %q", r.Trouble, test.want)
			}
			if r.Trouble != "" && r.LateIn != 0 {
				t.Errorf("it is in trouble, and late in %s", r.LateIn)
			}
		})
	}
}

func TestAPodThatRunsAndIsNotReadyIsLateAMinuteAfterItsLatestStart(t *testing.T) {
	ago := func(d time.Duration) metav1.Time { return metav1.NewTime(start().Add(-d)) }
	long := pod(condition(corev1.PodReady, "False"), func(p *corev1.Pod) { p.Status.Conditions[0].LastTransitionTime = ago(time.Hour) })
	if r := replica.Of(long, options()); r.LateIn != 0 || r.Trouble != "NotReady" {
		t.Errorf("late in %s, trouble %q", r.LateIn, r.Trouble)
	}
	long.Status.ContainerStatuses[0].State.Running = &corev1.ContainerStateRunning{StartedAt: ago(20 * time.Second)}
	if r := replica.Of(long, options()); r.LateIn != 40*time.Second || r.Trouble != "" {
		t.Errorf("late in %s, trouble %q, want none for 40 seconds", r.LateIn, r.Trouble)
	}
}

func TestADeletionCostThatIsNoIntegerCountsAsNothing(t *testing.T) {
	for text, want := range map[string]int32{
		"": 0, "0": 0, "100": 100, "-100": -100, "+100": 100, "2147483647": 2147483647, "2147483648": 0, "1e3": 0, "cheap": 0,
	} {
		if got := replica.Of(pod(annotation(corev1.PodDeletionCost, text)), options()).DeletionCost; got != want {
			t.Errorf("%q costs %d, want %d", text, got, want)
		}
	}
}

func TestHooksAndGracePeriodsAreReadAlong(t *testing.T) {
	o := options()
	o.Hooks = &v1beta1.Lifecycle{PreDelete: &v1beta1.LifecycleHook{FinalizersHandler: []string{"example.com/slb"}}}
	p := pod(
		func(p *corev1.Pod) { p.Finalizers = []string{"example.com/slb"} },
		condition(v1beta1.InPlaceUpdateReady, "False"),
		label(v1beta1.LifecycleStateKey, "Updating"),
		annotation(v1beta1.InPlaceUpdateStateKey, `{"updateTimestamp":"2026-01-01T00:00:00Z","lastContainerStatuses":{"web":{}}}`),
		annotation(v1beta1.InPlaceUpdateGraceKey, `{"containerImages":{"web":"web:2"},"graceSeconds":30}`),
	)
	r := replica.Of(p, o)
	if !r.Holds.Delete || r.Stage != inplace.Grace || !r.GraceUntil.Equal(start().Add(30*time.Second)) {
		t.Errorf("holds %+v, stage %v, grace until %s", r.Holds, r.Stage, r.GraceUntil)
	}
}

func TestAReplicaStaysSmall(t *testing.T) {
	if size := unsafe.Sizeof(replica.Replica{}); size > 256 {
		t.Errorf("a replica has %d bytes: 100,000 of them no longer fit in 25 MB", size)
	}
}

func BenchmarkOf(b *testing.B) {
	p, o := pod(annotation(v1beta1.InPlaceUpdateStateKey, `{"revision":"demo-v1"}`)), options()
	b.ReportAllocs()
	for b.Loop() {
		replica.Of(p, o)
	}
}
