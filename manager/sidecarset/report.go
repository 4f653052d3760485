package sidecarset

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
)

// reasons are those of the events about upgrades.
func reasons() podops.Reasons {
	return podops.Reasons{UpdatedInPlace: "SuccessfulUpdatePodInPlace", NotUpdatedInPlace: "FailedUpdatePodInPlace"}
}

// Report turns the outcome into status, conditions and events.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.SidecarSet] {
	report := loop.Report[*v1beta1.SidecarSet]{Wake: w.plan.Wake, Events: w.events(), Advanced: podops.Advanced(w.results)}
	report.Object = w.set.DeepCopy()
	status := &report.Object.Status
	status.ObservedGeneration, status.CollisionCount = w.set.Generation, w.collisionCount
	conditions := conditionsOf(status.Conditions, now)
	if w.view != nil {
		report.Items = len(w.view.Pods)
		status.LatestRevision = w.view.Update
	}
	otherwise, update := podops.Failures(failure, w.results, "")
	trouble := otherwise + update // one of them at most
	switch {
	case trouble != "":
		conditions.Failure(v1beta1.SidecarSetConditionReconciling, "")
	case w.decided:
		conditions.Progress(w.progress())
	}
	conditions.Failure(v1beta1.SidecarSetConditionStalled, trouble)
	if w.decided { // otherwise nothing was counted
		t := w.plan.Tally
		status.MatchedPods, status.ReadyPods = int32(t.Replicas), int32(t.Ready)
		status.UpdatedPods, status.UpdatedReadyPods = int32(t.Updated), int32(t.UpdatedAvailable)
	}
	status.Conditions = statusConditions(conditions, w.set.Generation)
	return report
}

// progress is what the condition Progressing turns on. A pod that is away for reasons of its own holds nothing up.
func (w *work) progress() podops.Progress {
	t := w.plan.Tally
	away := slices.ContainsFunc(w.plan.Notes, func(n podset.Note) bool { return n.Wish == podset.WishAvailable })
	told := append([]string{fmt.Sprintf("%d of %d pods updated, %d of them available", t.Updated, t.Replicas, t.UpdatedAvailable)}, w.plan.Waiting()...)
	p := podops.Progress{Reason: v1beta1.SidecarSetUpdating, Message: podops.Bounded(strings.Join(told, "; "))}
	switch {
	case !away && t.Updated == t.Replicas:
		p.Reason, p.Settled = v1beta1.SidecarSetUpdated, true
	case w.set.Spec.UpdateStrategy.Paused:
		p.Reason, p.Settled = v1beta1.SidecarSetPaused, !away
	case !away && t.Updated >= t.ExpectedUpdated:
		p.Reason, p.Settled = v1beta1.SidecarSetUpdatedAsWanted, true
	}
	return p
}

// events tells what was done. That a pod changed meanwhile, so that it is looked at again, is told to nobody.
func (w *work) events() []loop.Event {
	results := slices.DeleteFunc(slices.Clone(w.results), func(r podops.Result) bool { return apierrors.IsConflict(r.Err) })
	out := reasons().Events(&w.plan, results)
	for _, r := range results {
		if r.Step.Do == podset.Apply {
			out = append(out, w.reset(r))
		}
	}
	return out
}

// reset tells on a pod that its old twins became idle, or why not.
func (w *work) reset(r podops.Result) loop.Event {
	e := loop.Event{
		Reason: "ResetContainerSucceed", Action: "ResetContainer",
		Note: fmt.Sprintf("SidecarSet %s: the new twins of the hot upgrade are ready, and the old ones become idle", w.set.Name),
	}
	if i := slices.IndexFunc(w.view.Pods, func(pod *corev1.Pod) bool { return pod.UID == r.Step.Pod.UID }); i >= 0 {
		e.About = w.view.Pods[i]
	}
	if r.Err != nil {
		e.Warning, e.Reason = true, "ResetContainerFailed"
		e.Note = fmt.Sprintf("SidecarSet %s: the old twins of the hot upgrade could not be made idle: %v", w.set.Name, r.Err)
	}
	return e
}

// conditionsOf reads the conditions of a status.
func conditionsOf(list []metav1.Condition, now time.Time) podops.Conditions {
	out := podops.Conditions{Now: now}
	for _, c := range list {
		out.List = append(out.List, podops.Condition{
			Type: c.Type, Status: corev1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}

// statusConditions writes conditions as a status has them.
func statusConditions(conditions podops.Conditions, generation int64) []metav1.Condition {
	var out []metav1.Condition
	for _, c := range conditions.List {
		out = append(out, metav1.Condition{
			Type: c.Type, Status: metav1.ConditionStatus(c.Status), Reason: c.Reason, Message: c.Message,
			LastTransitionTime: c.LastTransitionTime, ObservedGeneration: generation,
		})
	}
	return out
}
