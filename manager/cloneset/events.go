package cloneset

import (
	"fmt"
	"strings"

	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
)

// The reasons of the events, which clients may rely on.
const (
	reasonCreated          = "SuccessfulCreate"
	reasonFailedCreate     = "FailedCreate"
	reasonDeleted          = "SuccessfulDelete"
	reasonFailedDelete     = "FailedDelete"
	reasonUpdatedInPlace   = "SuccessfulUpdatePodInPlace"
	reasonFailedInPlace    = "FailedUpdatePodInPlace"
	reasonRecreated        = "SuccessfulUpdatePodReCreate"
	reasonFailedReCreate   = "FailedUpdatePodReCreate"
	reasonPodsBroken       = "PodsUnavailable"
	reasonResizePending    = "ResizePending"
	reasonWaitingForHook   = "WaitingForHook"
	reasonWaitingForVolume = "WaitingForVolume"
	reasonPaused           = "UpdatePaused"
	reasonOnDelete         = "UpdateOnDelete"
	reasonCreatedJob       = "CreatedImagePullJob"
	reasonFailedCreateJob  = "FailedCreateImagePullJob"
	reasonScaleOutLimited  = "ScaleUpLimited"
	longestEventNote       = 900 // the API server refuses more than 1,024
	podsNamedInAnEventNote = 5
)

// eventKind is how the steps of one sort are told.
type eventKind struct {
	action, succeeded, failed, done, undone string
}

// kindOf finds how a step is told; steps that only move a pod on in its life cycle are told to nobody.
func (w *work) kindOf(s podset.Step) (eventKind, bool) {
	switch {
	case s.Do == podset.Create:
		return eventKind{"CreatePod", reasonCreated, reasonFailedCreate, "created", "create"}, true
	case s.Do == podset.Update:
		return eventKind{"UpdatePod", reasonUpdatedInPlace, reasonFailedInPlace, "began to update in place", "update in place"}, true
	case s.Do == podset.Delete && !w.plan.Scaling:
		return eventKind{"RecreatePod", reasonRecreated, reasonFailedReCreate, "deleted, to be recreated with the new revision,", "recreate"}, true
	case s.Do == podset.Delete:
		return eventKind{"DeletePod", reasonDeleted, reasonFailedDelete, "deleted", "delete"}, true
	default:
		return eventKind{}, false
	}
}

// events tells what was done: one event for all steps of a sort, however many pods they are about.
func (w *work) events() []loop.Event {
	var order []eventKind
	succeeded, failed := map[eventKind][]podops.Result{}, map[eventKind][]podops.Result{}
	for _, r := range w.results {
		kind, ok := w.kindOf(r.Step)
		if !ok {
			continue
		}
		if succeeded[kind] == nil && failed[kind] == nil {
			order = append(order, kind)
		}
		if r.Err == nil {
			succeeded[kind] = append(succeeded[kind], r)
		} else {
			failed[kind] = append(failed[kind], r)
		}
	}
	out := w.told
	for _, kind := range order {
		if done := succeeded[kind]; len(done) > 0 {
			note := fmt.Sprintf("%s %s: %s", kind.done, podNames(done), done[0].Step.Why)
			out = append(out, loop.Event{Reason: kind.succeeded, Action: kind.action, Note: bounded(note, longestEventNote)})
		}
		if undone := failed[kind]; len(undone) > 0 {
			note := fmt.Sprintf("could not %s %s: %v", kind.undone, podNames(undone), undone[0].Err)
			out = append(out, loop.Event{Warning: true, Reason: kind.failed, Action: kind.action, Note: bounded(note, longestEventNote)})
		}
	}
	for _, n := range w.plan.Notes {
		if e, ok := tellingOf(n); ok && !n.Told {
			out = append(out, e)
		}
	}
	return out
}

// tellingOf is the event about something that is wanted and waits for somebody. It is told when the wait begins.
func tellingOf(n podset.Note) (loop.Event, bool) {
	e := loop.Event{Action: "UpdatePod", Note: bounded(n.String(), longestEventNote), Once: string(n.Wish) + ": " + string(n.Cause) + " " + n.Trouble}
	switch n.Wish {
	case podset.WishScaleOut, podset.WishAvailable:
		e.Action = "CreatePod"
	case podset.WishScaleIn:
		e.Action = "DeletePod"
	case podset.WishResize: // an action of its own: the recorder takes events with the same reason and action for one
		e.Action = "ResizePod"
	}
	switch n.Cause {
	case podset.CauseScaleLimit:
		e.Warning, e.Reason = true, reasonScaleOutLimited
	case podset.CauseNotInPlace:
		e.Warning, e.Reason = true, reasonFailedInPlace
	case podset.CauseBroken:
		e.Warning, e.Reason = true, reasonPodsBroken
	case podset.CauseResize:
		e.Warning, e.Reason = true, reasonResizePending
	case podset.CauseHook:
		e.Reason = reasonWaitingForHook
	case podset.CauseVolume:
		e.Reason = reasonWaitingForVolume
	case podset.CausePaused:
		e.Reason = reasonPaused
	case podset.CauseOnDelete:
		e.Reason = reasonOnDelete
	default:
		return e, false
	}
	return e, true
}

func podNames(results []podops.Result) string {
	var names []string
	for _, r := range results[:min(len(results), podsNamedInAnEventNote)] {
		names = append(names, r.Pod)
	}
	text := "pod " + strings.Join(names, ", ")
	if len(results) > 1 {
		text = fmt.Sprintf("%d pods: %s", len(results), strings.Join(names, ", "))
	}
	if len(results) > len(names) {
		text += " …"
	}
	return text
}
