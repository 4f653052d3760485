package sidecarset

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
)

// done is the work on a set with one pod after steps with these outcomes.
func done(do podset.Do, err error, notes ...podset.Note) *work {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a", UID: "uid"}}
	return &work{
		set: &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: "demo"}}, view: &workload.SidecarSet{Pods: []*corev1.Pod{pod}},
		plan:    podset.Plan{Notes: notes},
		results: []podops.Result{{Step: podset.Step{Do: do, Pod: &replica.Replica{Name: "default/a", UID: "uid"}, Why: "it is time"}, Pod: "a", Err: err}},
	}
}

func TestEventsTellWhatClientsWaitFor(t *testing.T) {
	conflict := apierrors.NewConflict(schema.GroupResource{Resource: "pods"}, "a", errors.New("it changed"))
	blocked := podset.Note{Wish: podset.WishUpdate, Pods: 2, Because: "more than images changed", Cause: podset.CauseNotUpgradable}
	missed := podset.Note{Wish: podset.WishInject, Pods: 1, Because: "nobody answered", Cause: podset.CauseMissed}
	for name, c := range map[string]struct {
		work *work
		want []string
	}{
		"an upgrade":                      {done(podset.Update, nil), []string{"Normal SuccessfulUpdatePodInPlace <nil>"}},
		"an upgrade that is refused":      {done(podset.Update, errors.New("no")), []string{"Warning FailedUpdatePodInPlace <nil>"}},
		"a pod that changed":              {done(podset.Update, conflict), nil},
		"old twins":                       {done(podset.Apply, nil), []string{"Normal ResetContainerSucceed a"}},
		"old twins that stay":             {done(podset.Apply, errors.New("no")), []string{"Warning ResetContainerFailed a"}},
		"old twins of a pod that changed": {done(podset.Apply, conflict), nil},
		"pods that cannot follow":         {done(podset.Apply, conflict, blocked), []string{"Normal NotUpgradablePods <nil>"}},
		"pods that were missed":           {done(podset.Apply, conflict, missed), []string{"Warning SidecarsMissed <nil>"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, e := range c.work.events() {
				kind, about := "Normal", "<nil>"
				if e.Warning {
					kind = "Warning"
				}
				if pod, ok := e.About.(*corev1.Pod); ok {
					about = pod.Name
				}
				got = append(got, fmt.Sprintf("%s %s %s", kind, e.Reason, about))
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheStatusSaysHowFarAnUpgradeIs(t *testing.T) {
	all := podset.Tally{Replicas: 4, Ready: 4, Available: 4, Updated: 4, UpdatedReady: 4, UpdatedAvailable: 4, ExpectedUpdated: 4}
	half := podset.Tally{Replicas: 4, Ready: 4, Available: 4, Updated: 2, UpdatedReady: 2, UpdatedAvailable: 2, ExpectedUpdated: 4}
	kept := half
	kept.ExpectedUpdated = 2
	away := podset.Note{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for default/a"}
	for name, c := range map[string]struct {
		tally  podset.Tally
		notes  []podset.Note
		paused bool
		reason string
		going  bool // Reconciling is there
	}{
		"all is done":                    {all, nil, false, v1beta1.SidecarSetUpdated, false},
		"the last one is not back":       {all, []podset.Note{away}, false, v1beta1.SidecarSetUpdating, true},
		"half of it":                     {half, nil, false, v1beta1.SidecarSetUpdating, true},
		"as far as the partition lets":   {kept, nil, false, v1beta1.SidecarSetUpdatedAsWanted, false},
		"it is paused":                   {half, nil, true, v1beta1.SidecarSetPaused, false},
		"it is paused and one is coming": {half, []podset.Note{away}, true, v1beta1.SidecarSetPaused, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := &work{set: &v1beta1.SidecarSet{}, view: &workload.SidecarSet{Update: "demo-v2"}, decided: true, plan: podset.Plan{Tally: c.tally, Notes: c.notes}}
			w.set.Generation = 7
			w.set.Spec.UpdateStrategy.Paused = c.paused
			status := w.Report(time.Now(), nil).Object.Status
			reason, going := "", false
			for _, condition := range status.Conditions {
				if condition.Type == v1beta1.SidecarSetConditionProgressing {
					reason = condition.Reason
				}
				going = going || condition.Type == v1beta1.SidecarSetConditionReconciling
			}
			if reason != c.reason || going != c.going {
				t.Errorf("Progressing is %s, Reconciling there: %t; want %s, %t", reason, going, c.reason, c.going)
			}
			if status.MatchedPods != 4 || int(status.UpdatedPods) != c.tally.Updated || status.LatestRevision != "demo-v2" || status.ObservedGeneration != 7 {
				t.Errorf("status %+v", status)
			}
		})
	}
}

func TestAFailureIsSaidAndCountsNothing(t *testing.T) {
	w := &work{set: &v1beta1.SidecarSet{}}
	w.set.Status.MatchedPods = 3
	status := w.Report(time.Now(), errors.New("spec.selector: no such operator")).Object.Status
	if status.MatchedPods != 3 || len(status.Conditions) != 1 || status.Conditions[0].Type != v1beta1.SidecarSetConditionStalled || status.Conditions[0].Message != "spec.selector: no such operator" {
		t.Errorf("status %+v", status)
	}
}
