package workload

import (
	"maps"
	"slices"
	"strconv"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/budget"
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

// pulling is what of a workload decides about pulling images ahead.
type pulling struct {
	// inPlace says that its pods are updated in place where they can.
	inPlace bool
	// replicas is the wanted number of pods, maxUnavailable how many of them are changed at a time, and partition how many are kept
	// for later.
	replicas, maxUnavailable, partition int
	// selector selects the pods.
	selector *metav1.LabelSelector
	tuning   v1beta1.InPlaceUpdateStrategy
}

// Pulls decides about pulling images ahead: once for a revision, when its images change in place and not all pods change in
// the first batch. The error names a field that cannot be read.
func (c *CloneSet) Pulls(tally podset.Tally) (Pulls, error) {
	pool, err := poolOf(c.Set)
	if err != nil {
		return Pulls{}, err
	}
	return c.pulls(tally, pulling{
		inPlace:  pool.Policy != v1beta1.RecreatePodUpdatePolicyType && !pool.OnDelete,
		replicas: pool.Replicas, maxUnavailable: pool.MaxUnavailable, partition: pool.Partition,
		selector: c.Set.Spec.Selector, tuning: annotatedTuning(c.Set.Annotations, c.inPlaceTuning(), pool.Replicas),
	}), nil
}

func (c *CloneSet) inPlaceTuning() v1beta1.InPlaceUpdateStrategy {
	if r := c.Set.Spec.UpdateStrategy.RollingUpdate; r != nil && r.InPlaceUpdateStrategy != nil {
		return *r.InPlaceUpdateStrategy
	}
	return v1beta1.InPlaceUpdateStrategy{}
}

// annotatedTuning adds what annotations of a workload of so many pods say about pulling ahead, as they alone did once; fields that
// are set win. An annotation that cannot be understood says nothing.
func annotatedTuning(annotations map[string]string, fields v1beta1.InPlaceUpdateStrategy, replicas int) v1beta1.InPlaceUpdateStrategy {
	number := func(key string) *int32 {
		n, err := strconv.ParseInt(annotations[key], 10, 32)
		if err != nil || n < 0 {
			return nil
		}
		return new(int32(n))
	}
	if parallelism := number(v1beta1.ImagePreDownloadParallelismKey); fields.ImagePreDownloadParallelism == nil && parallelism != nil {
		fields.ImagePreDownloadParallelism = new(intstr.FromInt32(*parallelism))
	}
	if fields.ImagePreDownloadTimeoutSeconds == nil {
		fields.ImagePreDownloadTimeoutSeconds = number(v1beta1.ImagePreDownloadTimeoutSecondsKey)
	}
	if fields.ImagePreDownloadMinUpdatedReadyPods == nil {
		text := annotations[v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey]
		if n, err := budget.Count(intstr.Parse(text), replicas, budget.Up); err == nil { // it may be a percentage
			fields.ImagePreDownloadMinUpdatedReadyPods = new(int32(n))
		}
	}
	return fields
}

// pulls decides about pulling the images of the newest revision ahead.
func (r *Revisions) pulls(tally podset.Tally, p pulling) Pulls {
	switch {
	case r.Update == r.Current:
		return Pulls{Done: true}
	case r.Newest == nil || r.Newest.Labels[v1beta1.ImagePreDownloadCreatedKey] != "" || r.Newest.Labels[v1beta1.ImagePreDownloadIgnoredKey] != "":
		return Pulls{}
	}
	change := r.Change(r.Current, r.Update)
	atOnce := p.partition == 0 && p.maxUnavailable >= p.replicas
	if !p.inPlace || !change.Possible() || len(change.Images) == 0 || p.replicas <= fewReplicas || atOnce {
		return Pulls{Ignore: true}
	}
	if least := p.tuning.ImagePreDownloadMinUpdatedReadyPods; least != nil && tally.UpdatedReady < int(*least) {
		return Pulls{}
	}
	return Pulls{Create: r.pullJobs(change, p)}
}

// pullJobs makes a job for each container whose image changes. It pulls where pods of other revisions are.
func (r *Revisions) pullJobs(change inplace.Change, p pulling) []*v1beta1.ImagePullJob {
	selector := p.selector.DeepCopy()
	selector.MatchExpressions = append(selector.MatchExpressions, metav1.LabelSelectorRequirement{
		Key: "controller-revision-hash", Operator: metav1.LabelSelectorOpNotIn, Values: []string{r.Update, revision.ShortHash(r.Update)},
	})
	template := r.of.Template
	var secrets []string
	for _, secret := range template.Spec.ImagePullSecrets {
		secrets = append(secrets, secret.Name)
	}
	parallelism := p.tuning.ImagePreDownloadParallelism
	if parallelism == nil {
		parallelism = &intstr.IntOrString{IntVal: 1}
	}
	timeout := int32(defaultPullTimeout)
	if t := p.tuning.ImagePreDownloadTimeoutSeconds; t != nil {
		timeout = *t
	}
	var jobs []*v1beta1.ImagePullJob
	for _, container := range slices.Sorted(maps.Keys(change.Images)) {
		jobs = append(jobs, &v1beta1.ImagePullJob{
			ObjectMeta: metav1.ObjectMeta{
				Namespace: r.of.Workload.GetNamespace(), Name: r.Update + "-" + container,
				Labels: maps.Clone(p.selector.MatchLabels), OwnerReferences: []metav1.OwnerReference{r.of.Owner},
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
