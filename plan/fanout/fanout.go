// Package fanout decides on which nodes a job works now, when it is over, and what its status says.
//
// It promises: no more nodes at a time than the job's parallelism, whatever nodes come and go; a node that ended is not
// asked again by the same job; a job of type Always ends once every node has, or at its deadline, with the nodes that were
// not through among the failed ones; a job of type Never goes on for nodes that come later. The same input gives the same
// plan, in whatever order the nodes are listed.
package fanout

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
)

// patience is how long a job that no node is selected for waits for one: nodes of a new cluster may be to come.
const patience = time.Minute

// What the message of a status says.
const (
	messageCompleted = "job has completed"
	messageDeadline  = "job exceeds activeDeadlineSeconds"
	messageRunning   = "job is running, progress %d%%"
)

// Node is a selected node. Its state is what the job knows of it: one that ended stays so, whatever other jobs do there.
type Node struct {
	Name  string
	State images.State
}

// Plan is what is to become of a job.
type Plan struct {
	// Begin are the nodes that are to be asked now, in order.
	Begin []string
	// Status is the new status.
	Status v1beta1.ImagePullJobStatus
	// Expired says that the job is over and has been kept long enough.
	Expired bool
	// Wake is when to look again even if nothing happens; zero for never.
	Wake time.Time
}

// Decide makes the plan for a job. A hold says why no further node may begin; empty for no reason.
func Decide(job *v1beta1.ImagePullJob, nodes []Node, hold string, now time.Time) Plan {
	policy := job.Spec.CompletionPolicy
	if job.Status.CompletionTime != nil {
		return over(job.Status, policy, now)
	}
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
	status := count(nodes)
	status.StartTime = job.Status.StartTime
	if status.StartTime == nil {
		status.StartTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
	plan := Plan{}
	if policy.Type != v1beta1.NeverCompletion {
		if complete(&status, job, nodes, now) {
			return over(status, policy, now)
		}
		plan.Wake = nextLook(&status, job)
	}
	parallelism := ptr.Deref(job.Spec.Parallelism, intstr.FromInt32(1))
	if hold == "" && parallelism.IntVal == 0 {
		hold = "parallelism is 0, so no further node begins"
	}
	for _, n := range nodes {
		if n.State == images.Idle && hold == "" && status.Active < parallelism.IntVal {
			plan.Begin = append(plan.Begin, n.Name)
			status.Active++
		}
	}
	status.Message = progress(&status, hold)
	plan.Status = status
	return plan
}

// complete says whether a job of type Always ends now, and says so in its status.
func complete(status *v1beta1.ImagePullJobStatus, job *v1beta1.ImagePullJob, nodes []Node, now time.Time) bool {
	deadline := job.Spec.CompletionPolicy.ActiveDeadlineSeconds
	switch {
	case status.Desired == status.Succeeded+status.Failed && (status.Desired > 0 || !now.Before(job.CreationTimestamp.Add(patience))):
		status.Message = messageCompleted
	case deadline != nil && !now.Before(status.StartTime.Add(time.Duration(*deadline)*time.Second)):
		status.Message = messageDeadline
		status.FailedNodes = nil
		for _, n := range nodes {
			if n.State != images.Succeeded {
				status.FailedNodes = append(status.FailedNodes, n.Name)
			}
		}
		slices.Sort(status.FailedNodes)
		status.Active, status.Failed = 0, status.Desired-status.Succeeded
	default:
		return false
	}
	status.CompletionTime = &metav1.Time{Time: now.Truncate(time.Second)}
	return true
}

// nextLook is when a job of type Always may end though no node says anything.
func nextLook(status *v1beta1.ImagePullJobStatus, job *v1beta1.ImagePullJob) time.Time {
	var at time.Time
	if deadline := job.Spec.CompletionPolicy.ActiveDeadlineSeconds; deadline != nil {
		at = status.StartTime.Add(time.Duration(*deadline) * time.Second)
	}
	if patient := job.CreationTimestamp.Add(patience); status.Desired == 0 && (at.IsZero() || patient.Before(at)) {
		at = patient
	}
	return at
}

// over is the plan of a job that is through.
func over(status v1beta1.ImagePullJobStatus, policy v1beta1.CompletionPolicy, now time.Time) Plan {
	plan := Plan{Status: status}
	plan.Expired, plan.Wake = expired(status.CompletionTime, policy, now)
	return plan
}

// expired says whether a job that is through is to be deleted, or when; zero for never.
func expired(completion *metav1.Time, policy v1beta1.CompletionPolicy, now time.Time) (bool, time.Time) {
	if policy.TTLSecondsAfterFinished == nil {
		return false, time.Time{}
	}
	at := completion.Add(time.Duration(*policy.TTLSecondsAfterFinished) * time.Second)
	if now.Before(at) {
		return false, at
	}
	return true, time.Time{}
}

func progress(status *v1beta1.ImagePullJobStatus, hold string) string {
	if status.Desired == 0 {
		return fmt.Sprintf(messageRunning, 0) + ": no node is selected"
	}
	through := status.Succeeded + status.Failed
	message := fmt.Sprintf(messageRunning, int(through)*100/int(status.Desired))
	if hold != "" && status.Active+through < status.Desired {
		message += ": " + hold
	}
	return message
}

func count(nodes []Node) v1beta1.ImagePullJobStatus {
	var status v1beta1.ImagePullJobStatus
	for _, n := range nodes {
		status.Desired++
		switch n.State {
		case images.Active:
			status.Active++
		case images.Succeeded:
			status.Succeeded++
		case images.Failed:
			status.Failed++
			status.FailedNodes = append(status.FailedNodes, n.Name)
		}
	}
	slices.Sort(status.FailedNodes)
	return status
}
