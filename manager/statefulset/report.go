package statefulset

import (
	"time"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
)

// reasons are those of the events about steps, which clients may rely on.
func reasons() podops.Reasons {
	return podops.Reasons{
		Created: "SuccessfulCreate", NotCreated: "FailedCreate",
		Deleted: "SuccessfulDelete", NotDeleted: "FailedDelete",
		UpdatedInPlace: "SuccessfulUpdatePodInPlace", NotUpdatedInPlace: "FailedUpdatePodInPlace",
		Recreated: "SuccessfulDelete", NotRecreated: "FailedDelete",
		Expanded: "SuccessfulResize", NotExpanded: "FailedResize",
		Restored: "SuccessfulUpdate", NotRestored: "FailedUpdate",
	}
}

// reasonFailedUpdateClaim is that of the event about a claim whose owner could not be changed.
const reasonFailedUpdateClaim = "FailedUpdatePVC"

// Report turns the outcome into status, conditions and events.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.StatefulSet] {
	report := loop.Report[*v1beta1.StatefulSet]{
		Wake: w.plan.Wake, Events: append(w.told, reasons().Events(&w.plan, w.results)...), Advanced: podops.Advanced(w.results),
	}
	if w.view == nil { // nothing could be observed
		return report
	}
	report.Items = len(w.view.Pods)
	report.Object = w.set.DeepCopy()
	status := &report.Object.Status
	status.ObservedGeneration = w.set.Generation
	status.UpdateRevision, status.CurrentRevision = w.view.Update, w.view.Current
	status.CollisionCount = w.collisionCount
	status.LabelSelector = metav1.FormatLabelSelector(w.set.Spec.Selector)

	conditions := conditionsOf(status.Conditions, now)
	createFailure, updateFailure := podops.Failures(failure, w.results, "")
	conditions.Failure(string(v1beta1.FailedCreatePod), createFailure)
	conditions.Failure(string(v1beta1.FailedUpdatePod), updateFailure)
	if w.sequence != nil { // otherwise nothing was counted
		w.count(status)
		conditions.Progress(w.rollout().Progress())
	}
	status.Conditions = statusConditions(conditions)
	return report
}

// count fills in the counts of pods and claims, and what follows from them.
func (w *work) count(status *v1beta1.StatefulSetStatus) {
	w.view.Count(status, w.plan.Tally, w.sequence.Replicas)
	status.VolumeClaims = nil
	if w.options.ResizeClaims {
		status.VolumeClaims = w.view.VolumeClaims(w.sequence)
	}
}

// rollout is what tells how far the set is.
func (w *work) rollout() podops.Rollout {
	strategy := w.set.Spec.UpdateStrategy
	return podops.Rollout{
		Plan: &w.plan, Wanted: w.sequence.Replicas,
		Paused:   strategy.RollingUpdate != nil && strategy.RollingUpdate.Paused,
		OnDelete: strategy.Type == appsv1.OnDeleteStatefulSetStrategyType,
		Reasons: podops.ProgressReasons{
			Complete: v1beta1.StatefulSetAvailable, Paused: v1beta1.StatefulSetPaused,
			PartitionReached: v1beta1.StatefulSetPartitionReached, GoingOn: v1beta1.StatefulSetUpdated,
		},
	}
}

// conditionsOf reads the conditions of a status.
func conditionsOf(list []v1beta1.StatefulSetCondition, now time.Time) podops.Conditions {
	out := podops.Conditions{Now: now}
	for _, c := range list {
		out.List = append(out.List, podops.Condition{
			Type: string(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}

// statusConditions writes conditions as a status has them.
func statusConditions(conditions podops.Conditions) []v1beta1.StatefulSetCondition {
	var out []v1beta1.StatefulSetCondition
	for _, c := range conditions.List {
		out = append(out, v1beta1.StatefulSetCondition{
			Type: v1beta1.StatefulSetConditionType(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message,
			LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}
