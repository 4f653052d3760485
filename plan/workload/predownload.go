package workload

import (
	"maps"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
)

// Pulls says what is to become of the jobs that pull the images of a rollout ahead of it.
type Pulls struct {
	// Create are jobs that are to exist. Once they do, the newest revision is marked as in ImagePreDownloadCreatedKey.
	Create []*v1beta1.ImagePullJob
	// Ignore says that pulling ahead is of no use for the newest revision, which is marked as in ImagePreDownloadIgnoredKey.
	Ignore bool
	// Done says that the rollout is complete, so that jobs are of no use any more.
	Done bool
}

// fewReplicas is a number of pods for which jobs are not worth their cost.
const fewReplicas = 3

// defaultPullTimeout limits one pull, in seconds, where the set does not say.
const defaultPullTimeout = 300

// Pulls decides about pulling images ahead: once for a revision, when its images change in place and not all pods change in
// the first batch. The error names a field that cannot be read.
func (c *CloneSet) Pulls(tally podset.Tally) (Pulls, error) {
	switch {
	case c.Update == c.Current:
		return Pulls{Done: true}, nil
	case c.Newest == nil || c.Newest.Labels[v1beta1.ImagePreDownloadCreatedKey] != "" || c.Newest.Labels[v1beta1.ImagePreDownloadIgnoredKey] != "":
		return Pulls{}, nil
	}
	pool, err := poolOf(c.Set)
	if err != nil {
		return Pulls{}, err
	}
	change := c.Change(c.Current, c.Update)
	inPlace := pool.Policy != v1beta1.RecreatePodUpdatePolicyType && !pool.OnDelete && change.Possible() && len(change.Images) > 0
	if !inPlace || pool.Replicas <= fewReplicas || pool.MaxUnavailable >= pool.Replicas {
		return Pulls{Ignore: true}, nil
	}
	tuning := c.inPlaceTuning()
	if least := tuning.ImagePreDownloadMinUpdatedReadyPods; least != nil && tally.UpdatedReady < int(*least) {
		return Pulls{}, nil
	}
	return Pulls{Create: c.pullJobs(change, tuning)}, nil
}

func (c *CloneSet) inPlaceTuning() v1beta1.InPlaceUpdateStrategy {
	if r := c.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		return *r.InPlaceUpdateStrategy
	}
	return v1beta1.InPlaceUpdateStrategy{}
}

// pullJobs makes a job for each container whose image changes. It pulls where pods of other revisions are.
func (c *CloneSet) pullJobs(change inplace.Change, tuning v1beta1.InPlaceUpdateStrategy) []*v1beta1.ImagePullJob {
	selector := c.Set.Spec.Selector.DeepCopy()
	selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: "controller-revision-hash", Operator: metav1.LabelSelectorOpNotIn, Values: []string{c.Update, revision.ShortHash(c.Update)},
	})
	template := &c.Set.Spec.Template
	var secrets []string
	for _, secret := range template.Spec.ImagePullSecrets {
		secrets = append(secrets, secret.Name)
	}
	parallelism := tuning.ImagePreDownloadParallelism
	if parallelism == nil {
		parallelism = &intstr.IntOrString{IntVal: 1}
	}
	timeout := int32(defaultPullTimeout)
	if t := tuning.ImagePreDownloadTimeoutSeconds; t != nil {
		timeout = *t
	}
	var jobs []*v1beta1.ImagePullJob
	for _, container := range slices.Sorted(maps.Keys(change.Images)) {
		jobs = append(jobs, &v1beta1.ImagePullJob{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: c.Set.Namespace, Name: c.Update + "-" + container,
				Labels: maps.Clone(c.Set.Spec.Selector.MatchLabels), OwnerReferences: []metav1.OwnerReference{c.Owner()},
			},
			Spec: v1beta1.ImagePullJobSpec{
				Image: change.Images[container],
				ImagePullJobTemplate: v1beta1.ImagePullJobTemplate{
					PodSelector: selector.DeepCopy(), Parallelism: parallelism, PullSecrets: secrets,
					PullPolicy: &v1beta1.PullPolicy{BackoffLimit: new(int32(1)), TimeoutSeconds: &timeout},
					CompletionPolicy: v1beta1.CompletionPolicy{
						Type: v1beta1.AlwaysCompletion, TTLSecondsAfterFinished: new(int32(600)),
					},
					SandboxConfig: &v1beta1.SandboxConfig{Labels: maps.Clone(template.Labels), Annotations: maps.Clone(template.Annotations)},
				},
			},
		})
	}
	return jobs
}
