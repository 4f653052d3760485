package images

import (
	"hash/fnv"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
)

const (
	defaultTimeout = 600 // seconds
	defaultBackoff = 3
	// DefaultKeep is how long a task is kept beyond the time that its job may take, in seconds.
	DefaultKeep = 300
	// dayOfNever is how long the task of a job that does not end is kept, in seconds: then the image is pulled anew.
	dayOfNever = 24 * 60 * 60
	// leastOfNever is the least deadline of such a task, in seconds.
	leastOfNever = 1800
	// spread is by how much, in seconds, nodes differ in how long they keep tasks, so that not all are written to at once.
	spread = 300
)

// Job is an ImagePullJob as its nodes see it.
type Job struct {
	UID     types.UID
	Key     types.NamespacedName
	Created time.Time
	Ref     Ref
	// Never says that the job does not end.
	Never bool
	// Ended says that the job is through, or being deleted: it wants nothing more.
	Ended bool
	// Ask says that the registry is asked even for images that a node has.
	Ask bool
	// Timeout, Backoff, Deadline and Keep are the policy of a task, in seconds and attempts; Deadline is nil for none.
	Timeout, Backoff int32
	Deadline         *int64
	Keep             int64
	// Secrets are where nodes read the pull secrets.
	Secrets []v1beta1.ReferenceObject
	Sandbox *v1beta1.SandboxConfig
}

// JobOf reads a job. keep is how long a task is kept beyond the time that its job may take, in seconds; secrets are where
// nodes find the pull secrets. The error says that the image cannot be read.
func JobOf(job *v1beta1.ImagePullJob, keep int64, secrets []v1beta1.ReferenceObject) (Job, error) {
	ref, err := Parse(job.Spec.Image)
	if err != nil {
		return Job{}, err
	}
	spec := &job.Spec
	policy := ptr.Deref(spec.PullPolicy, v1beta1.PullPolicy{})
	j := Job{
		UID: job.UID, Key: types.NamespacedName{Namespace: job.Namespace, Name: job.Name}, Created: job.CreationTimestamp.Time, Ref: ref,
		Never:   spec.CompletionPolicy.Type == v1beta1.NeverCompletion,
		Ended:   job.Status.CompletionTime != nil || job.DeletionTimestamp != nil,
		Ask:     spec.ImagePullPolicy == v1beta1.PullAlways,
		Timeout: ptr.Deref(policy.TimeoutSeconds, defaultTimeout), Backoff: ptr.Deref(policy.BackoffLimit, defaultBackoff),
		Secrets: secrets, Sandbox: spec.SandboxConfig,
	}
	completion := spec.CompletionPolicy
	switch {
	case j.Never:
		j.Keep, j.Deadline = dayOfNever, ptr.To(max(int64(j.Timeout), leastOfNever))
	case completion.TTLSecondsAfterFinished != nil:
		j.Keep = int64(*completion.TTLSecondsAfterFinished) + keep
	case completion.ActiveDeadlineSeconds != nil:
		j.Keep = *completion.ActiveDeadlineSeconds + keep
	default:
		j.Keep = int64(j.Timeout)*int64(j.Backoff) + keep
	}
	if !j.Never {
		j.Deadline = completion.ActiveDeadlineSeconds
	}
	return j, nil
}

// reference is the job as the owner of a task.
func (j *Job) reference() corev1.ObjectReference {
	return corev1.ObjectReference{
		APIVersion: v1beta1.GroupVersion.String(), Kind: "ImagePullJob",
		Namespace: j.Key.Namespace, Name: j.Key.Name, UID: j.UID,
	}
}

// policyOf is the policy of a task of several jobs on a node: the most patient of each. There is at least one job.
func policyOf(jobs []Job, node string) *v1beta1.ImageTagPullPolicy {
	timeout, backoff, keep, deadline := int32(0), int32(0), int64(0), ptr.To[int64](0)
	for _, j := range jobs {
		kept := j.Keep + spreadOf(node)
		if j.Never {
			kept = j.Keep + 4*spreadOf(node) - 2*spread // ten minutes more or less
		}
		timeout, backoff, keep = max(timeout, j.Timeout), max(backoff, j.Backoff), max(keep, kept)
		if j.Deadline == nil {
			deadline = nil
		} else if deadline != nil {
			deadline = ptr.To(max(*deadline, *j.Deadline))
		}
	}
	return &v1beta1.ImageTagPullPolicy{
		TimeoutSeconds: &timeout, BackoffLimit: &backoff, ActiveDeadlineSeconds: deadline,
		TTLSecondsAfterFinished: ptr.To(int32(min(keep, math.MaxInt32))), //nolint:gosec // bounded
	}
}

// pullPolicyOf is whether the registry is asked: when one job wants it.
func pullPolicyOf(jobs []Job) v1beta1.ImagePullPolicy {
	for _, j := range jobs {
		if j.Ask {
			return v1beta1.PullAlways
		}
	}
	return v1beta1.PullIfNotPresent
}

// spreadOf is a number of seconds from 0 to spread that is always the same for a node.
func spreadOf(node string) int64 {
	hash := fnv.New32a()
	hash.Write([]byte(node))
	return int64(hash.Sum32() % (spread + 1))
}
