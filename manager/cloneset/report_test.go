package cloneset

import (
	"errors"
	"fmt"
	"testing"
	"time"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

var start = time.Unix(1_700_000_000, 0)

// story is a set over which decisions are made again and again; each report becomes its status.
type story struct {
	set *v1beta1.CloneSet
	now time.Time
}

func newStory() *story {
	set := &v1beta1.CloneSet{}
	set.Namespace, set.Name, set.Generation = "shop", "web", 1
	set.Spec.Replicas = ptr.To(int32(5))
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}
	set.Spec.UpdateStrategy.RollingUpdate = &v1beta1.RollingUpdateCloneSetStrategy{}
	return &story{set: set, now: start}
}

// tally counts 5 pods of which some are updated and available, up to a partition.
func tally(updated, available, expected int) podset.Tally {
	return podset.Tally{
		Replicas: 5, Ready: 5, Available: 5 - updated + available,
		Updated: updated, UpdatedReady: available, UpdatedAvailable: available, ExpectedUpdated: expected,
	}
}

// report tells the outcome of a plan, and returns when to look again.
func (s *story) report(plan podset.Plan, results []podops.Result, failure error) time.Time {
	w := newWork(nil, s.set.DeepCopy())
	w.view = viewOf(w.set, "web-new", "web-old")
	w.plan, w.decided, w.results = plan, true, results
	r := w.Report(s.now, failure)
	s.set.Status = r.Object.Status
	return r.Wake
}

// viewOf is a set without pods and with these revisions.
func viewOf(set *v1beta1.CloneSet, update, current string) *workload.CloneSet {
	return &workload.CloneSet{Set: set, Revisions: &workload.Revisions{Update: update, Current: current}}
}

func (s *story) condition(kind v1beta1.CloneSetConditionType) *v1beta1.CloneSetCondition {
	for i := range s.set.Status.Conditions {
		if s.set.Status.Conditions[i].Type == kind {
			return &s.set.Status.Conditions[i]
		}
	}
	return nil
}

// progressing is the reason of the condition Progressing, with an exclamation mark where it is False.
func (s *story) progressing() string {
	c := s.condition(v1beta1.CloneSetConditionTypeProgressing)
	switch {
	case c == nil:
		return "none"
	case c.Status == corev1.ConditionFalse:
		return c.Reason + "!"
	default:
		return c.Reason
	}
}

func TestAPodThatFailsIsToldOf(t *testing.T) {
	s := newStory()
	w := newWork(nil, s.set)
	w.view = viewOf(w.set, "web-new", "web-old")
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-a", CreationTimestamp: metav1.NewTime(s.now)}}
	pod.Status.Phase, pod.Status.Reason = corev1.PodFailed, "OutOfcpu"
	w.view.Pods = []*corev1.Pod{pod}
	w.decided = true
	if events := w.Report(s.now, nil).Events; len(events) != 1 || events[0].Note != "pod web-a failed: OutOfcpu" {
		t.Errorf("events: %+v", events)
	}
}

func TestTheReasonOfProgressing(t *testing.T) {
	const deadline = 600
	resizing := []podset.Note{{Wish: podset.WishResize, Pods: 1, Because: "waiting for web-a (resize: Deferred)"}}
	for name, c := range map[string]struct {
		tally  podset.Tally
		notes  []podset.Note
		paused bool
		idle   time.Duration // since the rollout last advanced
		want   string
	}{
		"the rollout is complete":                   {tally: tally(5, 5, 5), want: "CloneSetAvailable"},
		"complete goes before paused":               {tally: tally(5, 5, 5), paused: true, want: "CloneSetAvailable"},
		"complete goes before the deadline":         {tally: tally(5, 5, 5), idle: time.Hour, want: "CloneSetAvailable"},
		"updated but not available is not complete": {tally: tally(5, 4, 5), want: "CloneSetUpdated"},
		"paused":                                                 {tally: tally(2, 2, 5), paused: true, want: "CloneSetPaused"},
		"paused goes before the partition":                       {tally: tally(2, 2, 2), paused: true, want: "CloneSetPaused"},
		"paused goes before the deadline":                        {tally: tally(2, 2, 5), paused: true, idle: time.Hour, want: "CloneSetPaused"},
		"the partition is reached":                               {tally: tally(2, 2, 2), want: "ProgressPartitionAvailable"},
		"the partition goes before the deadline":                 {tally: tally(2, 2, 2), idle: time.Hour, want: "ProgressPartitionAvailable"},
		"more are updated than the partition asks for":           {tally: tally(3, 3, 2), want: "ProgressPartitionAvailable"},
		"the partition is reached but a pod is not available":    {tally: tally(2, 1, 2), want: "CloneSetUpdated"},
		"the deadline is exceeded":                               {tally: tally(2, 1, 5), idle: deadline * time.Second, want: "ProgressDeadlineExceeded!"},
		"the deadline is not exceeded yet":                       {tally: tally(2, 1, 5), idle: deadline*time.Second - 1, want: "CloneSetUpdated"},
		"the deadline is exceeded behind a partition, too":       {tally: tally(2, 1, 2), idle: time.Hour, want: "ProgressDeadlineExceeded!"},
		"pods are missing":                                       {tally: podset.Tally{Replicas: 4, Available: 4, Updated: 4, UpdatedAvailable: 4, ExpectedUpdated: 5}, want: "CloneSetUpdated"},
		"a pod that is not resized yet is not complete":          {tally: tally(5, 5, 5), notes: resizing, want: "CloneSetUpdated"},
		"the partition is reached but a pod is not resized yet":  {tally: tally(2, 2, 2), notes: resizing, want: "CloneSetUpdated"},
		"more pods than wanted are no complete rollout, as well": {tally: podset.Tally{Replicas: 6, Available: 6, Updated: 6, UpdatedAvailable: 6, ExpectedUpdated: 5}, want: "CloneSetUpdated"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(deadline))
			s.report(podset.Plan{Tally: c.tally, Notes: c.notes}, nil, nil) // advances
			s.set.Spec.UpdateStrategy.RollingUpdate.Paused = c.paused
			s.now = s.now.Add(c.idle)
			s.report(podset.Plan{Tally: c.tally, Notes: c.notes}, nil, nil)
			if got := s.progressing(); got != c.want {
				t.Errorf("Progressing is %s, want %s", got, c.want)
			}
		})
	}
}

// What a tool sees that follows kstatus and knows nothing of CloneSets.
func TestToolsThatFollowConventionsSeeHowASetIs(t *testing.T) {
	const deadline = 600
	onDelete := func(s *v1beta1.CloneSetSpec) {
		s.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
	}
	paused := func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Paused = true }
	for name, c := range map[string]struct {
		tally  podset.Tally
		change func(*v1beta1.CloneSetSpec)
		idle   time.Duration
		behind bool // the status speaks of an older generation
		want   kstatus.Status
		argo   string // what Argo CD says with the script of the documentation
	}{
		"complete":                           {tally: tally(5, 5, 5), want: kstatus.CurrentStatus, argo: "Healthy"},
		"on its way":                         {tally: tally(2, 1, 5), want: kstatus.InProgressStatus, argo: "Progressing"},
		"updated, but not available":         {tally: tally(5, 4, 5), want: kstatus.InProgressStatus, argo: "Progressing"},
		"up to the partition":                {tally: tally(2, 2, 2), want: kstatus.CurrentStatus, argo: "Healthy"},
		"paused, and every pod is available": {tally: tally(2, 2, 5), change: paused, want: kstatus.CurrentStatus, argo: "Suspended"},
		"paused while a pod is away":         {tally: tally(2, 1, 5), change: paused, want: kstatus.InProgressStatus, argo: "Progressing"},
		"updated when pods are deleted":      {tally: tally(2, 2, 5), change: onDelete, want: kstatus.CurrentStatus, argo: "Healthy"},
		"not there within the deadline":      {tally: tally(2, 1, 5), idle: deadline * time.Second, want: kstatus.FailedStatus, argo: "Degraded"},
		"changed, and not looked at since":   {tally: tally(5, 5, 5), behind: true, want: kstatus.InProgressStatus, argo: "Progressing"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(deadline))
			if c.change != nil {
				c.change(&s.set.Spec)
			}
			s.report(podset.Plan{Tally: c.tally}, nil, nil)
			s.now = s.now.Add(c.idle)
			s.report(podset.Plan{Tally: c.tally}, nil, nil)
			if c.behind {
				s.set.Generation++
			}
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(s.set)
			if err != nil {
				t.Fatal(err)
			}
			got, err := kstatus.Compute(&unstructured.Unstructured{Object: fields})
			if err != nil || got.Status != c.want {
				t.Errorf("%v, %v; want %s", got, err, c.want)
			}
			if health, message := argoHealth(t, fields); health != c.argo || message == "" {
				t.Errorf("Argo CD says %s (%s), want %s", health, message, c.argo)
			}
		})
	}
}

func TestTheDeadlineCountsFromTheLastAdvance(t *testing.T) {
	s := newStory()
	s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(60))
	step := func(after time.Duration, t podset.Tally) (reason string, wake time.Duration) {
		s.now = s.now.Add(after)
		if at := s.report(podset.Plan{Tally: t}, nil, nil); !at.IsZero() {
			wake = at.Sub(s.now)
		}
		return s.progressing(), wake
	}
	ready := tally(2, 1, 5)
	ready.UpdatedReady++ // ready, and not available yet: an advance that the message does not tell
	for _, c := range []struct {
		what  string
		after time.Duration
		tally podset.Tally
		want  string
		wake  time.Duration
	}{
		{"it begins", 0, tally(1, 0, 5), "CloneSetUpdated", 60 * time.Second},
		{"nothing happens", 50 * time.Second, tally(1, 0, 5), "CloneSetUpdated", 10 * time.Second},
		{"a pod is updated", 0, tally(2, 1, 5), "CloneSetUpdated", 60 * time.Second},
		{"a pod is ready", 50 * time.Second, ready, "CloneSetUpdated", 60 * time.Second},
		{"nothing happens again", 40 * time.Second, ready, "CloneSetUpdated", 20 * time.Second},
		{"too long", 20 * time.Second, ready, "ProgressDeadlineExceeded!", 0},
		{"much too long", time.Hour, ready, "ProgressDeadlineExceeded!", 0},
		{"a pod is lost", 0, tally(1, 1, 5), "ProgressDeadlineExceeded!", 0},
		{"at last", 0, tally(2, 2, 5), "CloneSetUpdated", 60 * time.Second},
		{"it is complete", 0, tally(5, 5, 5), "CloneSetAvailable", 0},
		{"long after, a pod is lost", time.Hour, tally(5, 4, 5), "CloneSetUpdated", 60 * time.Second},
		{"it does not come back", 60 * time.Second, tally(5, 4, 5), "ProgressDeadlineExceeded!", 0},
		{"it is back", time.Hour, tally(5, 5, 5), "CloneSetAvailable", 0},
	} {
		if reason, wake := step(c.after, c.tally); reason != c.want || wake != c.wake {
			t.Errorf("%s: Progressing is %s, and it looks again in %v; want %s and %v", c.what, reason, wake, c.want, c.wake)
		}
	}
}

func TestTheDeadlineExcludesPausedTime(t *testing.T) {
	s := newStory()
	s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(60))
	plan := podset.Plan{Tally: tally(2, 1, 5)}
	s.report(plan, nil, nil)
	s.set.Spec.UpdateStrategy.RollingUpdate.Paused = true
	s.now = s.now.Add(30 * time.Second)
	if wake := s.report(plan, nil, nil); !wake.IsZero() {
		t.Errorf("a paused rollout has a deadline, %v", wake)
	}
	s.now = s.now.Add(24 * time.Hour)
	s.report(plan, nil, nil)
	s.set.Spec.UpdateStrategy.RollingUpdate.Paused = false
	s.report(plan, nil, nil)
	if got := s.progressing(); got != "CloneSetUpdated" {
		t.Errorf("after a pause Progressing is %s", got)
	}
	s.now = s.now.Add(60 * time.Second)
	s.report(plan, nil, nil)
	if got := s.progressing(); got != "ProgressDeadlineExceeded!" {
		t.Errorf("a deadline after the pause Progressing is %s", got)
	}
}

func TestWithoutADeadlineNothingIsExceeded(t *testing.T) {
	for name, seconds := range map[string]*int32{"unset": nil, "the largest number": ptr.To(noDeadline)} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.set.Spec.ProgressDeadlineSeconds = seconds
			plan := podset.Plan{Tally: tally(2, 1, 5)}
			for range 2 {
				if wake := s.report(plan, nil, nil); !wake.IsZero() {
					t.Errorf("it looks again at %v", wake)
				}
				s.now = s.now.Add(10 * 365 * 24 * time.Hour)
			}
			if got := s.progressing(); got != "CloneSetUpdated" {
				t.Errorf("Progressing is %s", got)
			}
		})
	}
}

func TestItWakesAtTheEarlierOfPlanAndDeadline(t *testing.T) {
	for name, c := range map[string]struct{ plan, want time.Duration }{
		"the plan asks first":     {10 * time.Second, 10 * time.Second},
		"the deadline goes first": {10 * time.Minute, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(60))
			wake := s.report(podset.Plan{Tally: tally(2, 1, 5), Wake: start.Add(c.plan)}, nil, nil)
			if got := wake.Sub(start); got != c.want {
				t.Errorf("it looks again in %v, want %v", got, c.want)
			}
		})
	}
}

func TestTheSameOutcomeIsTheSameStatus(t *testing.T) {
	s := newStory()
	s.set.Spec.ProgressDeadlineSeconds = ptr.To(int32(3600))
	attempt := func(pod string) {
		step := podset.Step{Do: podset.Create}
		err := fmt.Errorf("create Pod shop/%s: pods %q is forbidden: exceeded quota", pod, pod)
		s.report(podset.Plan{
			Tally: tally(2, 1, 5), Notes: []podset.Note{{Wish: podset.WishUpdate, Pods: 3, Because: "maxUnavailable is 1 and 1 pod is unavailable: web-aaaaa"}},
		}, []podops.Result{{Step: step, Pod: pod, Err: err}}, err)
	}
	attempt("web-x1x1x")
	attempt("web-x1x1x") // the first one advanced
	before := s.set.Status.DeepCopy()
	s.now = s.now.Add(time.Minute)
	attempt("web-y2y2y") // a pod that could not be created gets another name
	if diff := cmp.Diff(before, &s.set.Status); diff != "" {
		t.Errorf("the status changed (-before +after):\n%s", diff)
	}
}

func TestFailedScaleAndFailedUpdateAppearAndGo(t *testing.T) {
	failed := func(do podset.Do) []podops.Result {
		return []podops.Result{{Step: podset.Step{Do: podset.Settle}}, {Step: podset.Step{Do: do}, Pod: "web-aaaaa", Err: errBroken}}
	}
	for name, c := range map[string]struct {
		results       []podops.Result
		failure       error
		scale, update string
	}{
		"a pod could not be created":        {failed(podset.Create), errBroken, "broken", ""},
		"a pod could not be deleted":        {failed(podset.Delete), errBroken, "broken", ""},
		"a pod could not be changed":        {failed(podset.Update), errBroken, "", "broken"},
		"a pod could not be put to service": {failed(podset.Settle), errBroken, "", "broken"},
		"the revision could not be created": {nil, errBroken, "broken", ""},
		"alike failures are told once":      {nil, errors.Join(errBroken, errBroken), "broken", ""},
		"a conflict passes by itself":       {nil, fmt.Errorf("patch: %w", apierrors.NewConflict(schema.GroupResource{}, "web", errBroken)), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			plan := podset.Plan{Tally: tally(2, 2, 5)}
			s.report(plan, nil, nil)
			s.report(plan, c.results, c.failure)
			for kind, want := range map[v1beta1.CloneSetConditionType]string{
				v1beta1.CloneSetConditionFailedScale: c.scale, v1beta1.CloneSetConditionFailedUpdate: c.update,
			} {
				got := s.condition(kind)
				if (got != nil) != (want != "") || got != nil && (got.Message != want || got.Status != corev1.ConditionTrue) {
					t.Errorf("%s is %+v, want the message %q", kind, got, want)
				}
			}
			s.report(plan, nil, nil)
			for _, kind := range []v1beta1.CloneSetConditionType{v1beta1.CloneSetConditionFailedScale, v1beta1.CloneSetConditionFailedUpdate} {
				if s.condition(kind) != nil {
					t.Errorf("%s stays after a success", kind)
				}
			}
		})
	}
}

var errBroken = errors.New("broken")

func TestTheMessageSaysHowFarItIsAndWhyNotFurther(t *testing.T) {
	s := newStory()
	s.report(podset.Plan{Tally: tally(2, 1, 5), Notes: []podset.Note{
		{Wish: podset.WishUpdate, Pods: 3, Because: "maxUnavailable is 1"},
		{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for web-aaaaa"},
	}}, nil, nil)
	want := "2 of 5 pods updated, 1 of them available; 3 pods are to be updated, but maxUnavailable is 1; " +
		"1 pod is not available: web-aaaaa"
	if got := s.condition(v1beta1.CloneSetConditionTypeProgressing).Message; got != want {
		t.Errorf("message\n%s\nwant\n%s", got, want)
	}
}

func TestTheCurrentRevisionMovesWhenEveryPodIsUpdated(t *testing.T) {
	for name, c := range map[string]struct {
		tally podset.Tally
		want  string
	}{
		"some are updated":                    {tally(4, 4, 5), "web-old"},
		"all are updated, available or not":   {tally(5, 0, 5), "web-new"},
		"all are updated, but one is missing": {podset.Tally{Replicas: 4, Updated: 4}, "web-old"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory()
			s.report(podset.Plan{Tally: c.tally}, nil, nil)
			if got := s.set.Status.CurrentRevision; got != c.want {
				t.Errorf("current revision %s, want %s", got, c.want)
			}
		})
	}
}

func TestWhatCouldNotBeDecidedIsNotCounted(t *testing.T) {
	s := newStory()
	s.report(podset.Plan{Tally: tally(5, 5, 5)}, nil, nil)
	s.set.Generation = 2
	w := newWork(nil, s.set.DeepCopy())
	w.view = viewOf(w.set, "web-new", "web-new")
	s.set.Status = w.Report(s.now, errBroken).Object.Status
	if got := s.set.Status; got.Replicas != 5 || got.UpdatedAvailableReplicas != 5 || got.ObservedGeneration != 2 {
		t.Errorf("status %+v, want the counts of before, and the generation 2", got)
	}
	if got := s.condition(v1beta1.CloneSetConditionFailedScale); got == nil || got.Message != "broken" {
		t.Errorf("FailedScale is %+v, want the failure", got)
	}
}

func TestWhatCouldNotBeObservedIsNotReported(t *testing.T) {
	w := newWork(nil, newStory().set)
	if r := w.Report(start, errBroken); r.Object != nil {
		t.Errorf("reported: %+v", r.Object.Status)
	}
}
