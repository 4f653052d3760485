package daemonset

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// errSelectsAll is why nothing is done for a set with an empty selector, which the rules of today let nobody create.
var errSelectsAll = errors.New("spec.selector is empty and would select every pod: create another DaemonSet instead, whose selector selects its own pods")

// podsNamed is how many pods an event names.
const podsNamed = 5

// reasons are those of the events about steps, which clients may rely on.
func reasons() podops.Reasons {
	const created, notCreated, deleted, notDeleted = "SuccessfulCreate", "FailedCreate", "SuccessfulDelete", "FailedDelete"
	return podops.Reasons{
		Created: created, NotCreated: notCreated, Deleted: deleted, NotDeleted: notDeleted, Recreated: deleted, NotRecreated: notDeleted,
		UpdatedInPlace: "SuccessfulUpdatePodInPlace", NotUpdatedInPlace: "FailedUpdatePodInPlace",
	}
}

// Report turns the outcome into status, conditions and events.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.DaemonSet] {
	if failure == nil && w.view == nil {
		failure = errSelectsAll
	}
	report := loop.Report[*v1beta1.DaemonSet]{Wake: w.plan.Wake, Events: w.events(failure), Advanced: podops.Advanced(w.results)}
	report.Object = w.set.DeepCopy()
	status := &report.Object.Status
	status.ObservedGeneration = w.set.Generation
	if w.view != nil {
		report.Items = len(w.view.Pods) + len(w.view.Nodes)
		status.UpdateRevision = revision.ShortHash(w.view.Update)
	}
	status.CollisionCount = w.collisionCount
	if w.decided { // otherwise nothing was counted
		w.count(status)
	}
	conditions := conditionsOf(status.Conditions, now)
	// A pod that could not be created gets another name at every attempt.
	scale, update := podops.Failures(failure, w.results, w.set.Name+"-…")
	trouble := scale + update // one of them at most
	switch {
	case trouble != "":
		conditions.Failure(string(v1beta1.DaemonSetConditionReconciling), "")
	case w.decided:
		conditions.Progress(w.rollout().Progress())
	}
	conditions.Failure(string(v1beta1.DaemonSetConditionStalled), trouble)
	status.Conditions = statusConditions(conditions)
	return report
}

// count fills in the counts of nodes.
func (w *work) count(status *v1beta1.DaemonSetStatus) {
	t := w.plan.Tally
	status.DesiredNumberScheduled, status.CurrentNumberScheduled = int32(t.Desired), int32(t.Replicas)
	status.NumberMisscheduled, status.NumberReady = int32(t.Misscheduled), int32(t.Ready)
	status.NumberAvailable, status.NumberUnavailable = int32(t.Available), int32(t.Desired-t.Available)
	status.UpdatedNumberScheduled = int32(t.Updated)
}

// events tells what was done, and what keeps pods away.
func (w *work) events(failure error) []loop.Event {
	if errors.Is(failure, errSelectsAll) {
		return []loop.Event{{Warning: true, Reason: "SelectingAll", Action: "Reconcile", Note: errSelectsAll.Error(), Once: "SelectingAll"}}
	}
	out := w.told
	var ended []string
	for _, r := range w.results {
		if failed(r.Step) {
			ended = append(ended, fmt.Sprintf("%s on node %s", r.Pod, r.Step.Pod.Node))
		}
	}
	tell := func(pods []string, reason, note, once string) {
		if len(pods) == 0 {
			return
		}
		text := strings.Join(pods[:min(podsNamed, len(pods))], ", ")
		if more := len(pods) - podsNamed; more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		out = append(out, loop.Event{Warning: true, Reason: reason, Action: "PlacePod", Note: note + text, Once: once})
	}
	tell(ended, "FailedDaemonPod", "found failed pods, which are deleted and replaced: ", "")
	tell(w.stuck, "FailedPlacement", "the scheduler finds no room for pods: ", "FailedPlacement")
	return append(out, reasons().Events(&w.plan, w.results)...)
}

// rollout is what tells how far the set is. Nodes that are kept without a pod are none that it wants.
func (w *work) rollout() podops.Rollout {
	t, before, strategy := w.plan.Tally, w.set.Status, w.set.Spec.UpdateStrategy
	r := podops.Rollout{
		Plan: &w.plan, Wanted: t.Desired,
		Paused:   strategy.RollingUpdate != nil && strategy.RollingUpdate.Paused != nil && *strategy.RollingUpdate.Paused,
		OnDelete: strategy.Type == v1beta1.OnDeleteDaemonSetStrategyType,
		Advanced: int32(t.Updated) > before.UpdatedNumberScheduled || int32(t.Available) > before.NumberAvailable ||
			before.ObservedGeneration != w.set.Generation,
		Reasons: podops.ProgressReasons{
			Complete: v1beta1.DaemonSetAvailable, Paused: v1beta1.DaemonSetPaused,
			PartitionReached: v1beta1.DaemonSetProgressPartitionAvailable, GoingOn: v1beta1.DaemonSetUpdated,
		},
	}
	for _, n := range w.plan.Notes {
		if n.Cause == podset.CauseScaleLimit {
			r.Wanted -= n.Pods
		}
	}
	return r
}

// conditionsOf reads the conditions of a status.
func conditionsOf(list []v1beta1.DaemonSetCondition, now time.Time) podops.Conditions {
	out := podops.Conditions{Now: now}
	for _, c := range list {
		out.List = append(out.List, podops.Condition{
			Type: string(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message, LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}

// statusConditions writes conditions as a status has them.
func statusConditions(conditions podops.Conditions) []v1beta1.DaemonSetCondition {
	var out []v1beta1.DaemonSetCondition
	for _, c := range conditions.List {
		out = append(out, v1beta1.DaemonSetCondition{
			Type: v1beta1.DaemonSetConditionType(c.Type), Status: c.Status, Reason: c.Reason, Message: c.Message,
			LastTransitionTime: c.LastTransitionTime,
		})
	}
	return out
}
