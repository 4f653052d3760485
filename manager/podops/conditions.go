package podops

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// The types and the reason that every kind's conditions have, where they say how far a workload is.
const (
	progressing      = string(v1beta1.CloneSetConditionTypeProgressing)
	reconciling      = string(v1beta1.CloneSetConditionReconciling)
	stalled          = string(v1beta1.CloneSetConditionStalled)
	deadlineExceeded = v1beta1.CloneSetProgressDeadlineExceeded
)

// Condition is a condition of a workload of any kind. Kinds that do not keep one of the times leave it out.
type Condition struct {
	Type                               string
	Status                             corev1.ConditionStatus
	Reason, Message                    string
	LastUpdateTime, LastTransitionTime metav1.Time
}

// Conditions changes conditions, and their times only where they change.
type Conditions struct {
	// List are the conditions, in the order in which they first appeared.
	List []Condition
	// Now is the time of the changes.
	Now time.Time
}

func (c *Conditions) find(kind string) *Condition {
	for i := range c.List {
		if c.List[i].Type == kind {
			return &c.List[i]
		}
	}
	return nil
}

// Failure sets a condition that is True while there is a failure, and removes it otherwise.
func (c *Conditions) Failure(kind, text string) {
	c.present(kind, text != "", "Error", text)
}

// Progress sets the condition Progressing, and those by which tools that know nothing of our kinds tell whether a workload is on
// its way, has failed, or is there: Reconciling and Stalled
// (https://github.com/kubernetes-sigs/cli-utils/tree/master/pkg/kstatus).
//
// Progressing's LastUpdateTime is when the rollout last advanced; from there the deadline counts. It returns when the deadline
// will be exceeded, or zero.
func (c *Conditions) Progress(p Progress) time.Time {
	old := c.find(progressing)
	since := c.Now
	if old != nil && !p.Advanced && (old.Reason == p.Reason || old.Reason == deadlineExceeded) {
		since = old.LastUpdateTime.Time
	}
	var due time.Time
	status, reason := corev1.ConditionTrue, p.Reason
	if p.Deadline > 0 {
		due = since.Add(p.Deadline)
		if !c.Now.Before(due) {
			status, reason, due = corev1.ConditionFalse, deadlineExceeded, time.Time{}
		}
	}
	c.set(progressing, status, reason, p.Message, since.Equal(c.Now))
	c.present(stalled, status == corev1.ConditionFalse, reason, p.Message)
	c.present(reconciling, status == corev1.ConditionTrue && !p.Settled, reason, p.Message)
	return due
}

// present sets a condition that is True while it is there, or removes it.
func (c *Conditions) present(kind string, is bool, reason, message string) {
	if !is {
		c.List = slices.DeleteFunc(c.List, func(x Condition) bool { return x.Type == kind })
		return
	}
	c.set(kind, corev1.ConditionTrue, reason, message, false)
}

// set writes a condition. touch renews its LastUpdateTime.
func (c *Conditions) set(kind string, status corev1.ConditionStatus, reason, message string, touch bool) {
	now := metav1.NewTime(c.Now)
	old := c.find(kind)
	if old == nil {
		c.List = append(c.List, Condition{
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
