package cloneset

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/workload"
)

// reasons are those of the events about steps, which clients may rely on.
func reasons() podops.Reasons {
	return podops.Reasons{
		Created: "SuccessfulCreate", NotCreated: "FailedCreate",
		Deleted: "SuccessfulDelete", NotDeleted: "FailedDelete",
		UpdatedInPlace: "SuccessfulUpdatePodInPlace", NotUpdatedInPlace: "FailedUpdatePodInPlace",
		Recreated: "SuccessfulUpdatePodReCreate", NotRecreated: "FailedUpdatePodReCreate",
	}
}

// Report turns the outcome into status, conditions and events.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.CloneSet] {
	report := loop.Report[*v1beta1.CloneSet]{Wake: w.plan.Wake, Events: w.events(), Advanced: podops.Advanced(w.results)}
	if w.view == nil { // nothing could be observed
		return report
	}
	report.Items = len(w.view.Pods)
	report.Events = append(report.Events, podops.FailedPods(w.view.Pods, now)...)
	report.Object = w.set.DeepCopy()
	status := &report.Object.Status
	status.ObservedGeneration = w.set.Generation
	status.UpdateRevision, status.CurrentRevision = w.view.Update, w.view.Current
	status.CollisionCount = w.collisionCount
	status.LabelSelector = metav1.FormatLabelSelector(w.set.Spec.Selector)

	conditions := conditionsOf(status.Conditions, now)
	// A pod that could not be created gets another name at every attempt.
	scaleFailure, updateFailure := podops.Failures(failure, w.results, w.set.Name+"-…")
	conditions.Failure(string(v1beta1.CloneSetConditionFailedScale), scaleFailure)
	conditions.Failure(string(v1beta1.CloneSetConditionFailedUpdate), updateFailure)
	if w.decided { // otherwise nothing was counted
		w.count(status)
		deadline := conditions.Progress(w.rollout().Progress())
		if !deadline.IsZero() && (report.Wake.IsZero() || deadline.Before(report.Wake)) {
			report.Wake = deadline
		}
	}
	status.Conditions = statusConditions(conditions)
	return report
}

// events tells what was done.
func (w *work) events() []loop.Event {
	return append(w.told, reasons().Events(&w.plan, w.results)...)
}

// count fills in the counts of pods, and what follows from them.
func (w *work) count(status *v1beta1.CloneSetStatus) {
	t := w.plan.Tally
	status.Replicas, status.ReadyReplicas, status.AvailableReplicas = int32(t.Replicas), int32(t.Ready), int32(t.Available)
	status.UpdatedReplicas, status.UpdatedReadyReplicas = int32(t.Updated), int32(t.UpdatedReady)
	status.UpdatedAvailableReplicas, status.ExpectedUpdatedReplicas = int32(t.UpdatedAvailable), int32(t.ExpectedUpdated)
	status.CurrentRevision = w.currentRevision()
}

// currentRevision is the revision of the last complete rollout, which the present one may be as of now.
func (w *work) currentRevision() string {
	if t := w.plan.Tally; t.Updated == t.Replicas && t.Replicas == wantedReplicas(w.set) {
		return w.view.Update
	}
	return w.view.Current
}

func wantedReplicas(set *v1beta1.CloneSet) int {
	if set.Spec.Replicas == nil {
		return workload.DefaultReplicas
	}
	return int(*set.Spec.Replicas)
}

// noDeadline is the value of progressDeadlineSeconds that stands for none.
const noDeadline = int32(^uint32(0) >> 1)

// rollout is what tells how far the set is.
func (w *work) rollout() podops.Rollout {
	t, before, strategy := w.plan.Tally, w.set.Status, w.set.Spec.UpdateStrategy
	r := podops.Rollout{
		Plan: &w.plan, Wanted: wantedReplicas(w.set),
		Paused:   strategy.RollingUpdate != nil && strategy.RollingUpdate.Paused,
		OnDelete: strategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType,
		Advanced: int32(t.Updated) > before.UpdatedReplicas || int32(t.UpdatedReady) > before.UpdatedReadyReplicas ||
			int32(t.UpdatedAvailable) > before.UpdatedAvailableReplicas || before.UpdateRevision != w.view.Update ||
			before.ObservedGeneration != w.set.Generation,
		Reasons: podops.ProgressReasons{
			Complete: v1beta1.CloneSetAvailable, Paused: v1beta1.CloneSetPaused,
			PartitionReached: v1beta1.CloneSetProgressPartitionAvailable, GoingOn: v1beta1.CloneSetUpdated,
		},
	}
	if d := w.set.Spec.ProgressDeadlineSeconds; d != nil && *d != noDeadline {
		r.Deadline = time.Duration(*d) * time.Second
	}
	return r
}

// conditionsOf reads the conditions of a status.
func conditionsOf(list []v1beta1.CloneSetCondition, now time.Time) podops.Conditions {
	out := podops.Conditions{Now: now}
	for _, c := range list {
		out.List = append(out.List, podops.Condition{
			Type: string(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message,
			LastUpdateTime: c.LastUpdateTime, LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}

// statusConditions writes conditions as a status has them.
func statusConditions(conditions podops.Conditions) []v1beta1.CloneSetCondition {
	var out []v1beta1.CloneSetCondition
	for _, c := range conditions.List {
		out = append(out, v1beta1.CloneSetCondition{
			Type: v1beta1.CloneSetConditionType(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message,
			LastUpdateTime: c.LastUpdateTime, LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}
