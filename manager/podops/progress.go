package podops

import (
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"kruise.io/kruise/plan/podset"
)

// longestMessage bounds a condition's message, in bytes.
const longestMessage = 600

// Rollout is what tells how far a workload is.
type Rollout struct {
	// Plan is what was decided.
	Plan *podset.Plan
	// Wanted is the wanted number of pods.
	Wanted int
	// Paused and OnDelete say that the user holds the update up.
	Paused, OnDelete bool
	// Deadline is how long a rollout may take to advance; 0 for ever.
	Deadline time.Duration
	// Advanced says that the rollout got further, or changed its aim, since the status was written that the workload has.
	Advanced bool
	// Reasons are those of the condition Progressing.
	Reasons ProgressReasons
}

// ProgressReasons are the reasons of a kind's condition Progressing, by how the rollout is.
type ProgressReasons struct {
	Complete, Paused, PartitionReached, GoingOn string
}

// Progress is what the condition Progressing turns on.
type Progress struct {
	Reason, Message string
	// Advanced says that the time until the deadline counts anew.
	Advanced bool
	// Deadline is 0 when the rollout does not have to advance.
	Deadline time.Duration
	// Settled is true when nothing is going on, as the user wants it.
	Settled bool
}

// Progress finds the reason of the condition Progressing: complete, paused, partition reached, or going on. Whether the
// deadline is exceeded depends on how long nothing advanced, which the condition itself remembers.
func (r Rollout) Progress() Progress {
	t := r.Plan.Tally
	p := Progress{Message: r.message(), Advanced: r.Advanced, Settled: true}
	// A pod that serves while it or its claims are resized counts as available, but is not what the user wants yet.
	resizing := slices.ContainsFunc(r.Plan.Notes, func(n podset.Note) bool {
		return n.Wish == podset.WishResize || n.Wish == podset.WishGrow && n.Cause == podset.CauseClaims
	})
	whole := t.Replicas == r.Wanted && t.Available == r.Wanted && !resizing
	switch {
	case whole && t.Updated == r.Wanted && t.UpdatedAvailable == r.Wanted:
		p.Reason, p.Message = r.Reasons.Complete, r.unlessHeld(fmt.Sprintf("all %d pods updated and available", r.Wanted))
	case r.Paused:
		p.Reason, p.Settled = r.Reasons.Paused, whole
	case whole && t.ExpectedUpdated < r.Wanted && t.Updated >= t.ExpectedUpdated:
		p.Reason = r.Reasons.PartitionReached
		by := "partition"
		if t.KeptBySelector() {
			by = "selector of nodes"
		}
		p.Message = r.unlessHeld(fmt.Sprintf("%d of %d pods updated and available, as the %s wants", t.Updated, r.Wanted, by))
	default:
		p.Reason, p.Settled, p.Deadline = r.Reasons.GoingOn, whole && r.OnDelete, r.Deadline
	}
	return p
}

// message says how far the rollout is and why what is wanted is not happening.
func (r Rollout) message() string {
	t := r.Plan.Tally
	parts := []string{fmt.Sprintf("%d of %d pods updated, %d of them available", t.Updated, r.Wanted, t.UpdatedAvailable)}
	parts = append(parts, r.Plan.Waiting()...)
	return bounded(strings.Join(parts, "; "), longestMessage)
}

// unlessHeld adds to the message of a rollout that is done what a budget holds: pods that somebody asked to go.
func (r Rollout) unlessHeld(message string) string {
	for _, n := range r.Plan.Notes {
		if n.Cause == podset.CauseBudget {
			message += "; " + n.String()
		}
	}
	return bounded(message, longestMessage)
}

// Advanced says whether anything of a plan was carried out.
func Advanced(results []Result) bool {
	return slices.ContainsFunc(results, func(r Result) bool { return r.Err == nil })
}

// Failures sorts the failure of a reconcile into what the conditions speak of: adding and removing pods, or updating them. A
// failure before any step concerns both, and is told as one of scaling. A conflict is no failure: it passes by itself.
//
// The text stays the same as long as the cause does. A pod that could not be created and that has another name at every attempt
// is called fresh; where fresh is empty, names of pods stay.
func Failures(failure error, results []Result, fresh string) (scale, update string) {
	if failure == nil || apierrors.IsConflict(failure) {
		return "", ""
	}
	text := failureText(failure, results, fresh)
	for _, r := range results {
		if r.Err == nil {
			continue
		}
		switch r.Step.Do {
		case podset.Create, podset.Delete:
			return text, ""
		default:
			return "", text
		}
	}
	return text, ""
}

// failureText is the text of a failure, each part of it once.
func failureText(failure error, results []Result, fresh string) string {
	text := failure.Error()
	for _, r := range results {
		if fresh != "" && r.Err != nil && r.Step.Do == podset.Create && r.Pod != "" {
			text = strings.ReplaceAll(text, r.Pod, fresh)
		}
	}
	return bounded(strings.Join(slices.Compact(strings.Split(text, "\n")), "; "), longestMessage)
}

// Bounded is a text that a condition's message has room for.
func Bounded(text string) string { return bounded(text, longestMessage) }

// bounded cuts a text at a character, not within one.
func bounded(text string, most int) string {
	if len(text) <= most {
		return text
	}
	cut := most - len("…")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
