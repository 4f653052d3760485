package statefulset

import (
	"errors"
	"testing"
	"time"

	kstatus "github.com/fluxcd/cli-utils/pkg/kstatus/status"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/replica"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

var start = time.Unix(1_700_000_000, 0)

// reported is a set of three pods after the outcome of a plan was reported.
func reported(t *testing.T, set *v1beta1.StatefulSet, plan podset.Plan, results []podops.Result, failure error) *v1beta1.StatefulSet {
	t.Helper()
	w := newWork(&Controller{}, set)
	w.view = &workload.StatefulSet{Set: set, Revisions: &workload.Revisions{Update: "web-new", Current: "web-old"}}
	w.sequence, w.plan, w.results = &podset.Sequence{Rules: podset.Rules{Replicas: 3}}, plan, results
	return w.Report(start, failure).Object
}

func webSet() *builder.StatefulSetBuilder {
	return builder.StatefulSet("web").Namespace("shop").Replicas(3)
}

func condition(set *v1beta1.StatefulSet, kind v1beta1.StatefulSetConditionType) v1beta1.StatefulSetCondition {
	for _, c := range set.Status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1beta1.StatefulSetCondition{}
}

// tally counts three available pods of which some are updated.
func tally(updated int) podset.Tally {
	return podset.Tally{
		Replicas: 3, Ready: 3, Available: 3, Updated: updated, UpdatedReady: updated, UpdatedAvailable: updated,
		Current: 3 - updated, ExpectedUpdated: 3,
	}
}

// TestToolsThatKnowNothingOfStatefulSetsSeeHowFarOneIs asks the library by which such tools judge.
func TestToolsThatKnowNothingOfStatefulSetsSeeHowFarOneIs(t *testing.T) {
	for name, tc := range map[string]struct {
		set  *builder.StatefulSetBuilder
		plan podset.Plan
		want kstatus.Status
	}{
		"on its way":                  {webSet(), podset.Plan{Tally: tally(1)}, kstatus.InProgressStatus},
		"complete":                    {webSet(), podset.Plan{Tally: tally(3)}, kstatus.CurrentStatus},
		"paused with all pods in use": {webSet().Paused(), podset.Plan{Tally: tally(1)}, kstatus.CurrentStatus},
		"waiting for deletions":       {webSet().OnDelete(), podset.Plan{Tally: tally(1)}, kstatus.CurrentStatus},
		"with claims that grow": {webSet(), podset.Plan{Tally: tally(3), Notes: []podset.Note{{
			Wish: podset.WishGrow, Pods: 1, Because: "waiting for claim data-web-2", Cause: podset.CauseClaims,
		}}}, kstatus.InProgressStatus},
	} {
		t.Run(name, func(t *testing.T) {
			fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(reported(t, tc.set.Object(), tc.plan, nil, nil))
			if err != nil {
				t.Fatal(err)
			}
			object := &unstructured.Unstructured{Object: fields}
			object.SetAPIVersion("apps.kruise.io/v1beta1")
			object.SetKind("StatefulSet")
			got, err := kstatus.Compute(object)
			if err != nil || got.Status != tc.want {
				t.Errorf("it is %v, %v; want %s", got, err, tc.want)
			}
		})
	}
}

func TestAFailureStaysInTheStatusUntilItIsGone(t *testing.T) {
	create := podset.Step{Do: podset.Create, Slot: "2"}
	update := podset.Step{Do: podset.Update, Pod: &replica.Replica{Name: "web-2"}}
	for kind, step := range map[v1beta1.StatefulSetConditionType]podset.Step{v1beta1.FailedCreatePod: create, v1beta1.FailedUpdatePod: update} {
		failure := errors.New("no quota for pod web-2")
		set := reported(t, webSet().Object(), podset.Plan{Tally: tally(1)}, []podops.Result{{Step: step, Pod: "web-2", Err: failure}}, failure)
		if c := condition(set, kind); c.Status != corev1.ConditionTrue || c.Message != failure.Error() {
			t.Errorf("%s is %+v", kind, c)
		}
		if set = reported(t, set, podset.Plan{Tally: tally(3)}, nil, nil); condition(set, kind).Status != "" {
			t.Errorf("%s is there when nothing fails", kind)
		}
	}
}

func TestARolloutIsNotCompleteWhilePodsEnd(t *testing.T) {
	plan := podset.Plan{Tally: tally(3)}
	plan.Tally.Ending = 1
	if s := reported(t, webSet().Object(), plan, nil, nil).Status; s.CurrentRevision != "web-old" || s.Replicas != 4 {
		t.Errorf("status %+v", s)
	}
	plan.Tally.Ending = 0
	if s := reported(t, webSet().Object(), plan, nil, nil).Status; s.CurrentRevision != "web-new" || s.CurrentReplicas != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestAPodThatGotBackWhatItHadLostIsToldAsAnUpdate(t *testing.T) {
	step := podset.Step{Do: podset.Restore, Pod: &replica.Replica{Name: "web-1"}, Why: "its label is gone"}
	for reason, failure := range map[string]error{"SuccessfulUpdate": nil, "FailedUpdate": errors.New("refused")} {
		got := reasons().Events(&podset.Plan{}, []podops.Result{{Step: step, Pod: "web-1", Err: failure}})
		if len(got) != 1 || got[0].Reason != reason || got[0].Warning != (failure != nil) {
			t.Errorf("events %+v, want %s", got, reason)
		}
	}
}
