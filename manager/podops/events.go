package podops

import (
	"fmt"
	"strings"

	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/plan/podset"
)

// Reasons are the reasons of a kind's events about steps, which clients may rely on. A step whose reason is empty is told to
// nobody.
type Reasons struct {
	// Created and NotCreated are for pods that are added.
	Created, NotCreated string
	// Deleted and NotDeleted are for pods that are removed.
	Deleted, NotDeleted string
	// UpdatedInPlace and NotUpdatedInPlace are for pods that are changed in place.
	UpdatedInPlace, NotUpdatedInPlace string
	// Recreated and NotRecreated are for pods that are deleted for others of another revision.
	Recreated, NotRecreated string
	// Expanded and NotExpanded are for pods whose claims are to grow.
	Expanded, NotExpanded string
	// Restored and NotRestored are for pods that get back what they have lost.
	Restored, NotRestored string
}

// The reasons of events that are the same for every kind.
const (
	reasonPodsBroken       = "PodsUnavailable"
	reasonResizePending    = "ResizePending"
	reasonWaitingForHook   = "WaitingForHook"
	reasonWaitingForVolume = "WaitingForVolume"
	reasonPaused           = "UpdatePaused"
	reasonOnDelete         = "UpdateOnDelete"
	reasonCreatedJob       = "CreatedImagePullJob"
	reasonFailedCreateJob  = "FailedCreateImagePullJob"
	reasonScaleOutLimited  = "ScaleUpLimited"
	reasonWaitingForBudget = "WaitingForBudget"
	reasonNotUpgradable    = "NotUpgradablePods"
	reasonMissed           = "SidecarsMissed"
)

const (
	longestEventNote       = 900 // the API server refuses more than 1,024
	podsNamedInAnEventNote = 5
)

// telling is how the steps of one sort are told.
type telling struct {
	action, succeeded, failed, done, undone string
}

// tellingOf finds how a step is told; steps that only move a pod on in its life cycle are told to nobody.
func (r Reasons) tellingOf(s podset.Step) telling {
	switch {
	case s.Do == podset.Create:
		return telling{"CreatePod", r.Created, r.NotCreated, "created", "create"}
	case s.Do == podset.Update:
		return telling{"UpdatePod", r.UpdatedInPlace, r.NotUpdatedInPlace, "began to update in place", "update in place"}
	case s.Do == podset.Delete && s.Recreates:
		return telling{"RecreatePod", r.Recreated, r.NotRecreated, "deleted, to be recreated with another revision,", "recreate"}
	case s.Do == podset.Delete:
		return telling{"DeletePod", r.Deleted, r.NotDeleted, "deleted", "delete"}
	case s.Do == podset.Expand:
		return telling{"ExpandClaims", r.Expanded, r.NotExpanded, "asked for larger volumes of", "ask for larger volumes of"}
	case s.Do == podset.Restore:
		return telling{"RestorePod", r.Restored, r.NotRestored, "restored", "restore"}
	default:
		return telling{}
	}
}

// Events tells what was done of a plan, and what is wanted and waits for somebody: one event for all steps of a sort, however
// many pods they are about, and one for each note.
func (r Reasons) Events(plan *podset.Plan, results []Result) []loop.Event {
	var order []telling
	succeeded, failed := map[telling][]Result{}, map[telling][]Result{}
	for _, result := range results {
		t := r.tellingOf(result.Step)
		if succeeded[t] == nil && failed[t] == nil {
			order = append(order, t)
		}
		if result.Err == nil {
			succeeded[t] = append(succeeded[t], result)
		} else {
			failed[t] = append(failed[t], result)
		}
	}
	var out []loop.Event
	for _, t := range order {
		if done := succeeded[t]; len(done) > 0 && t.succeeded != "" {
			note := fmt.Sprintf("%s %s: %s", t.done, podNames(done), done[0].Step.Why)
			e := loop.Event{Reason: t.succeeded, Action: t.action, Note: bounded(note, longestEventNote)}
			if len(done) == 1 {
				e.Pod = done[0].Pod
			}
			out = append(out, e)
		}
		if undone := failed[t]; len(undone) > 0 && t.failed != "" {
			note := fmt.Sprintf("could not %s %s: %v", t.undone, podNames(undone), undone[0].Err)
			out = append(out, loop.Event{Warning: true, Reason: t.failed, Action: t.action, Note: bounded(note, longestEventNote)})
		}
	}
	for _, n := range plan.Notes {
		if e := r.eventOf(n); e.Reason != "" && !n.Told {
			out = append(out, e)
		}
	}
	return out
}

// eventOf is the event about something that is wanted and waits for somebody; without a reason for what passes by itself. It is
// told when the wait begins.
func (r Reasons) eventOf(n podset.Note) loop.Event {
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
		e.Warning, e.Reason = true, r.NotUpdatedInPlace
	case podset.CauseBroken:
		e.Warning, e.Reason = true, reasonPodsBroken
	case podset.CauseResize:
		e.Warning, e.Reason = true, reasonResizePending
	case podset.CauseBudget:
		e.Reason = reasonWaitingForBudget
	case podset.CauseMissed:
		e.Warning, e.Reason, e.Action = true, reasonMissed, "InjectPod"
	case podset.CauseNotUpgradable:
		e.Reason = reasonNotUpgradable
	case podset.CauseHook:
		e.Reason = reasonWaitingForHook
	case podset.CauseVolume:
		e.Reason = reasonWaitingForVolume
	case podset.CausePaused:
		e.Reason = reasonPaused
	case podset.CauseOnDelete:
		e.Reason = reasonOnDelete
	}
	return e
}

func podNames(results []Result) string {
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
