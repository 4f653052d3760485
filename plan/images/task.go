package images

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

// State is how far a node is with the image of a job.
type State int

// The states.
const (
	// Idle: the node was not asked.
	Idle State = iota
	// Active: the node was asked and is not through.
	Active
	// Succeeded: the node has the image.
	Succeeded
	// Failed: the node gave up, or was given up.
	Failed
)

// Final says that nothing more comes of it.
func (s State) Final() bool { return s == Succeeded || s == Failed }

const (
	// Silence is how long a node may not answer.
	Silence = 10 * time.Minute
	// longestPause is the longest pause between two attempts of a node.
	longestPause = 30 * time.Second
)

// StateOf says how far a node is for a job.
func StateOf(image *v1beta1.NodeImage, ref Ref, job types.UID) State {
	task := taskOf(image.Spec.Images[ref.Name].Tags, ref.Tag)
	if task == nil || !owns(task, job) {
		return Idle
	}
	return stateOf(task, statusOf(image, ref))
}

// Jobs lists the UIDs of the jobs that own tasks of a node.
func Jobs(image *v1beta1.NodeImage) []types.UID {
	var found []types.UID
	for _, spec := range image.Spec.Images {
		for i := range spec.Tags {
			for _, owner := range spec.Tags[i].OwnerReferences {
				found = append(found, owner.UID)
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func taskOf(tags []v1beta1.ImageTagSpec, tag string) *v1beta1.ImageTagSpec {
	for i := range tags {
		if tags[i].Tag == tag {
			return &tags[i]
		}
	}
	return nil
}

func owns(task *v1beta1.ImageTagSpec, job types.UID) bool {
	for i := range task.OwnerReferences {
		if task.OwnerReferences[i].UID == job {
			return true
		}
	}
	return false
}

// statusOf is what the node said of a tag last, of whichever round; nil for nothing.
func statusOf(image *v1beta1.NodeImage, ref Ref) *v1beta1.ImageTagStatus {
	tags := image.Status.ImageStatuses[ref.Name].Tags
	for i := range tags {
		if tags[i].Tag == ref.Tag {
			return &tags[i]
		}
	}
	return nil
}

func stateOf(task *v1beta1.ImageTagSpec, status *v1beta1.ImageTagStatus) State {
	switch {
	case status == nil || status.Version != task.Version:
		return Active
	case status.Phase == v1beta1.ImagePhaseSucceeded:
		return Succeeded
	case status.Phase == v1beta1.ImagePhaseFailed:
		return Failed
	}
	return Active
}

// expiry is when a task that ended is removed.
func expiry(task *v1beta1.ImageTagSpec, status *v1beta1.ImageTagStatus) time.Time {
	end := task.CreatedAt
	if status.CompletionTime != nil {
		end = status.CompletionTime
	}
	policy := ptr.Deref(task.PullPolicy, v1beta1.ImageTagPullPolicy{})
	return end.Add(time.Duration(ptr.Deref(policy.TTLSecondsAfterFinished, DefaultKeep)) * time.Second)
}

// Words for tasks that the node does not end.
const (
	messageSilent   = "node has not responded for a long time"
	messageDeadline = "pulling exceeds the activeDeadlineSeconds"
)

// limit is when a task that has not ended is given up, and why; zero for never. busy says that the node works on another
// task, sign is the last time that it is known to have done something.
func limit(task *v1beta1.ImageTagSpec, status *v1beta1.ImageTagStatus, busy bool, sign time.Time) (at time.Time, why string) {
	created := task.CreatedAt.Time
	policy := ptr.Deref(task.PullPolicy, v1beta1.ImageTagPullPolicy{})
	if policy.ActiveDeadlineSeconds != nil {
		at, why = created.Add(time.Duration(*policy.ActiveDeadlineSeconds)*time.Second+Silence), messageDeadline
	}
	var quiet time.Time
	switch {
	case status == nil || status.Version != task.Version:
		quiet = created.Add(Silence)
	case status.Phase == v1beta1.ImagePhasePulling:
		quiet = pullEnds(task, status)
	case !busy:
		quiet = later(created, sign).Add(Silence)
	}
	if !quiet.IsZero() && (at.IsZero() || quiet.Before(at)) {
		at, why = quiet, messageSilent
	}
	return at, why
}

// pullEnds is when a node that began must have told the outcome, with all attempts and the pauses between.
func pullEnds(task *v1beta1.ImageTagSpec, status *v1beta1.ImageTagStatus) time.Time {
	policy := ptr.Deref(task.PullPolicy, v1beta1.ImageTagPullPolicy{})
	attempt := time.Duration(ptr.Deref(policy.TimeoutSeconds, defaultTimeout))*time.Second + longestPause
	began := task.CreatedAt.Time
	if status.StartTime != nil {
		began = later(began, status.StartTime.Time)
	}
	return began.Add(attempt*time.Duration(ptr.Deref(policy.BackoffLimit, defaultBackoff)+1) + Silence)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
