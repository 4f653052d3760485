package cloneset

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
	"kruise.io/kruise/plan/workload"
)

// longestMessage bounds a condition's message, in bytes.
const longestMessage = 600

// Report turns the outcome into status, conditions and events.
func (w *work) Report(now time.Time, failure error) loop.Report[*v1beta1.CloneSet] {
	report := loop.Report[*v1beta1.CloneSet]{Wake: w.plan.Wake, Events: w.events()}
	report.Advanced = slices.ContainsFunc(w.results, func(r podops.Result) bool { return r.Err == nil })
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

	scaleFailure, updateFailure := w.failures(failure)
	conditions := conditionList{list: status.Conditions, now: now}
	conditions.failure(v1beta1.CloneSetConditionFailedScale, scaleFailure)
	conditions.failure(v1beta1.CloneSetConditionFailedUpdate, updateFailure)
	if w.decided { // otherwise nothing was counted
		w.count(status)
		facts := w.progress(w.set.Status)
		deadline := conditions.progress(facts)
		conditions.way(facts)
		if !deadline.IsZero() && (report.Wake.IsZero() || deadline.Before(report.Wake)) {
			report.Wake = deadline
		}
	}
	status.Conditions = conditions.list
	return report
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

// failures sorts the failure of a reconcile into the conditions that speak of it: adding and removing pods, or
// updating them. A failure before any step concerns both, and is told as one of scaling. A conflict is no failure: it
// passes by itself.
func (w *work) failures(failure error) (scale, update string) {
	if failure == nil || apierrors.IsConflict(failure) {
		return "", ""
	}
	text := w.failureText(failure)
	for _, r := range w.results {
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

// failureText tells a failure in words that stay the same as long as the cause does: a pod that could not be created gets
// another name at every attempt.
func (w *work) failureText(failure error) string {
	text := failure.Error()
	for _, r := range w.results {
		if r.Err != nil && r.Step.Do == podset.Create && r.Pod != "" {
			text = strings.ReplaceAll(text, r.Pod, w.set.Name+"-…")
		}
	}
	return bounded(strings.Join(slices.Compact(strings.Split(text, "\n")), "; "), longestMessage)
}

// progressFacts are what the condition Progressing turns on.
type progressFacts struct {
	reason   string
	message  string
	advanced bool
	deadline time.Duration
	// settled is true when nothing is going on, as the user wants it.
	settled bool
}

// progress finds the reason of the condition Progressing: complete, paused, partition reached, or going on. Whether the
// deadline is exceeded depends on how long nothing advanced, which the condition itself remembers.
func (w *work) progress(before v1beta1.CloneSetStatus) progressFacts {
	t := w.plan.Tally
	wanted := wantedReplicas(w.set)
	rolling := w.set.Spec.UpdateStrategy.RollingUpdate
	f := progressFacts{message: w.message(), settled: true}
	// A pod that serves while it is resized counts as available, but is not what the user wants yet.
	resizing := slices.ContainsFunc(w.plan.Notes, func(n podset.Note) bool { return n.Wish == podset.WishResize })
	whole := t.Replicas == wanted && t.Available == wanted && !resizing
	switch {
	case whole && t.Updated == wanted && t.UpdatedAvailable == wanted:
		f.reason, f.message = v1beta1.CloneSetAvailable, fmt.Sprintf("all %d pods updated and available", wanted)
	case rolling != nil && rolling.Paused:
		f.reason, f.settled = v1beta1.CloneSetPaused, whole
	case whole && t.ExpectedUpdated < wanted && t.Updated >= t.ExpectedUpdated:
		f.reason = v1beta1.CloneSetProgressPartitionAvailable
		f.message = fmt.Sprintf("%d of %d pods updated and available, as the partition wants", t.Updated, wanted)
	default:
		f.reason = v1beta1.CloneSetUpdated
		f.settled = whole && w.set.Spec.UpdateStrategy.Type == v1beta1.OnDeleteCloneSetUpdateStrategyType
		if d := w.set.Spec.ProgressDeadlineSeconds; d != nil && *d != noDeadline {
			f.deadline = time.Duration(*d) * time.Second
		}
	}
	f.advanced = int32(t.Updated) > before.UpdatedReplicas || int32(t.UpdatedReady) > before.UpdatedReadyReplicas ||
		int32(t.UpdatedAvailable) > before.UpdatedAvailableReplicas || before.UpdateRevision != w.view.Update ||
		before.ObservedGeneration != w.set.Generation
	return f
}

// noDeadline is the value of progressDeadlineSeconds that stands for none.
const noDeadline = int32(^uint32(0) >> 1)

// message says how far the rollout is and why what is wanted is not happening.
func (w *work) message() string {
	t := w.plan.Tally
	parts := []string{fmt.Sprintf("%d of %d pods updated, %d of them available", t.Updated, wantedReplicas(w.set), t.UpdatedAvailable)}
	parts = append(parts, w.plan.Waiting()...)
	return bounded(strings.Join(parts, "; "), longestMessage)
}

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

// conditionList changes conditions, and their times only where they change.
type conditionList struct {
	list []v1beta1.CloneSetCondition
	now  time.Time
}

func (c *conditionList) find(kind v1beta1.CloneSetConditionType) *v1beta1.CloneSetCondition {
	for i := range c.list {
		if c.list[i].Type == kind {
			return &c.list[i]
		}
	}
	return nil
}

// failure sets a condition that is True while there is a failure, and removes it otherwise.
func (c *conditionList) failure(kind v1beta1.CloneSetConditionType, text string) {
	c.present(kind, text != "", "Error", text)
}

// way sets the conditions by which tools that know nothing of CloneSets tell whether one is on its way, has failed, or is
// there (https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus).
func (c *conditionList) way(f progressFacts) {
	stalled := c.find(v1beta1.CloneSetConditionTypeProgressing).Status == corev1.ConditionFalse
	c.present(v1beta1.CloneSetConditionStalled, stalled, v1beta1.CloneSetProgressDeadlineExceeded, f.message)
	c.present(v1beta1.CloneSetConditionReconciling, !stalled && !f.settled, f.reason, f.message)
}

// present sets a condition that is True while it is there, or removes it.
func (c *conditionList) present(kind v1beta1.CloneSetConditionType, is bool, reason, message string) {
	if !is {
		c.list = slices.DeleteFunc(c.list, func(x v1beta1.CloneSetCondition) bool { return x.Type == kind })
		return
	}
	c.set(kind, corev1.ConditionTrue, reason, message, false)
}

// progress sets the condition Progressing. Its lastUpdateTime is when the rollout last advanced; from there the deadline
// counts. It returns when the deadline will be exceeded, or zero.
func (c *conditionList) progress(f progressFacts) time.Time {
	old := c.find(v1beta1.CloneSetConditionTypeProgressing)
	since := c.now
	if old != nil && !f.advanced && (old.Reason == f.reason || old.Reason == v1beta1.CloneSetProgressDeadlineExceeded) {
		since = old.LastUpdateTime.Time
	}
	var due time.Time
	status, reason := corev1.ConditionTrue, f.reason
	if f.deadline > 0 {
		due = since.Add(f.deadline)
		if !c.now.Before(due) {
			status, reason, due = corev1.ConditionFalse, v1beta1.CloneSetProgressDeadlineExceeded, time.Time{}
		}
	}
	c.set(v1beta1.CloneSetConditionTypeProgressing, status, reason, f.message, since.Equal(c.now))
	return due
}

// set writes a condition. touch renews its lastUpdateTime.
func (c *conditionList) set(kind v1beta1.CloneSetConditionType, status corev1.ConditionStatus, reason, message string, touch bool) {
	now := metav1.NewTime(c.now)
	old := c.find(kind)
	if old == nil {
		c.list = append(c.list, v1beta1.CloneSetCondition{
			Type: kind, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now,
		})
		return
	}
	if old.Status != status {
		old.LastTransitionTime = now
	}
	if touch {
		old.LastUpdateTime = now
	}
	old.Status, old.Reason, old.Message = status, reason, message
}
