package fanout

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"

	"kruise.io/kruise/api/apps/v1beta1"
)

// HashKey is the label of a job of a list with the hash of what the list says of all its images.
const HashKey = "controller-revision-hash"

// longestPrefix is how much of a list's name its jobs have in theirs.
const longestPrefix = 240

// ListPlan is what is to become of a list of images.
type ListPlan struct {
	// Create and Delete are jobs.
	Create, Delete []*v1beta1.ImagePullJob
	// Hash is the value of the label HashKey of the list and its jobs.
	Hash string
	// Status is the new status.
	Status v1beta1.ImageListPullJobStatus
	// Expired says that the list is over and has been kept long enough.
	Expired bool
	// Wake is when to look again even if nothing happens; zero for never.
	Wake time.Time
}

// DecideList makes the plan for a list, of which jobs are those that it owns. A list that is over is left alone. The error
// says that the list cannot be encoded.
func DecideList(list *v1beta1.ImageListPullJob, jobs []*v1beta1.ImagePullJob, now time.Time) (ListPlan, error) {
	hash, err := hashOf(&list.Spec.ImagePullJobTemplate)
	if err != nil {
		return ListPlan{}, fmt.Errorf("hash the template of ImageListPullJob %s/%s: %w", list.Namespace, list.Name, err)
	}
	plan := ListPlan{Hash: hash, Status: list.Status}
	policy := list.Spec.CompletionPolicy
	if list.Status.CompletionTime != nil {
		plan.Expired, plan.Wake = expired(list.Status.CompletionTime, policy, now)
		return plan, nil
	}
	current := map[string]*v1beta1.ImagePullJob{}
	for _, job := range slices.SortedFunc(slices.Values(jobs), func(a, b *v1beta1.ImagePullJob) int { return cmp.Compare(a.Name, b.Name) }) {
		switch {
		case job.DeletionTimestamp != nil:
		case job.Labels[HashKey] != hash || !slices.Contains(list.Spec.Images, job.Spec.Image) || current[job.Spec.Image] != nil:
			plan.Delete = append(plan.Delete, job)
		default:
			current[job.Spec.Image] = job
		}
	}
	status := v1beta1.ImageListPullJobStatus{Desired: int32(len(list.Spec.Images)), StartTime: list.Status.StartTime} //nolint:gosec // at most 255
	if status.StartTime == nil {
		status.StartTime = &metav1.Time{Time: now.Truncate(time.Second)}
	}
	for _, image := range list.Spec.Images {
		if job := current[image]; job != nil {
			add(&status, job)
		} else {
			plan.Create = append(plan.Create, jobFor(list, image, hash))
		}
	}
	if policy.Type != v1beta1.NeverCompletion && status.Completed == status.Desired {
		status.CompletionTime = &metav1.Time{Time: now.Truncate(time.Second)}
		plan.Expired, plan.Wake = expired(status.CompletionTime, policy, now)
	}
	plan.Status = status
	return plan, nil
}

// add counts a job of a list.
func add(status *v1beta1.ImageListPullJobStatus, job *v1beta1.ImagePullJob) {
	s := &job.Status
	if s.Active > 0 {
		status.Active++
	}
	through := s.CompletionTime != nil
	if job.Spec.CompletionPolicy.Type == v1beta1.NeverCompletion {
		through = s.Desired > 0 && s.Desired == s.Succeeded+s.Failed
	}
	if through {
		status.Completed++
		if s.Failed == 0 {
			status.Succeeded++
		}
	}
	if s.Failed > 0 {
		status.FailedImageStatuses = append(status.FailedImageStatuses, &v1beta1.FailedImageStatus{
			ImagePullJob: job.Name, Name: job.Spec.Image,
			Message: fmt.Sprintf("%d of %d nodes failed; status.failedNodes of the ImagePullJob names them, and their NodeImages say why", s.Failed, s.Desired),
		})
	}
}

// jobFor makes the job of an image. It is kept as long as the list, so it has no time to live of its own.
func jobFor(list *v1beta1.ImageListPullJob, image, hash string) *v1beta1.ImagePullJob {
	template := list.Spec.ImagePullJobTemplate.DeepCopy()
	template.CompletionPolicy.TTLSecondsAfterFinished = nil
	prefix := list.Name[:min(len(list.Name), longestPrefix)]
	return &v1beta1.ImagePullJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: list.Namespace, Name: prefix + "-" + shortHash([]byte(hash+" "+image)), Labels: map[string]string{HashKey: hash},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(list, v1beta1.GroupVersion.WithKind("ImageListPullJob"))},
		},
		Spec: v1beta1.ImagePullJobSpec{Image: image, ImagePullJobTemplate: *template},
	}
}

func hashOf(template *v1beta1.ImagePullJobTemplate) (string, error) {
	text, err := json.Marshal(template)
	if err != nil {
		return "", err
	}
	return shortHash(text), nil
}

// shortHash is a hash that may stand in names and labels.
func shortHash(text []byte) string {
	hash := fnv.New32a()
	hash.Write(text)
	return rand.SafeEncodeString(strconv.FormatUint(uint64(hash.Sum32()), 10))
}
