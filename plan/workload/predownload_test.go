package workload_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
)

// rollout is a set in the middle of a change of one of its two images.
type rollout struct {
	set   *v1beta1.CloneSet
	marks map[string]string // on the newest revision
	tally podset.Tally
	done  bool
}

func (r *rollout) strategy() *v1beta1.RollingUpdateCloneSetStrategy {
	return r.set.Spec.UpdateStrategy.RollingUpdate
}

func (r *rollout) tuning() *v1beta1.InPlaceUpdateStrategy {
	r.strategy().InPlaceUpdateStrategy = &v1beta1.InPlaceUpdateStrategy{}
	return r.strategy().InPlaceUpdateStrategy
}

// pulls decides about the images of a rollout.
func pulls(t *testing.T, change func(*rollout)) workload.Pulls {
	t.Helper()
	r := &rollout{set: &v1beta1.CloneSet{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web", UID: "set"}}}
	r.set.Spec = v1beta1.CloneSetSpec{
		Replicas: new(int32(5)),
		Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}},
		Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"team": "shop"}},
			Spec: corev1.PodSpec{
				Containers:       []corev1.Container{{Name: "web", Image: "web:1"}, {Name: "side", Image: "side:1"}},
				ImagePullSecrets: []corev1.LocalObjectReference{{Name: "registry"}},
			},
		},
		UpdateStrategy: v1beta1.CloneSetUpdateStrategy{RollingUpdate: &v1beta1.RollingUpdateCloneSetStrategy{
			PodUpdatePolicy: v1beta1.InPlaceIfPossiblePodUpdatePolicyType,
		}},
	}
	history := []*appsv1.ControllerRevision{revisionOf(t, r.set, 1)}
	r.set.Status.CurrentRevision = history[0].Name
	r.set.Spec.Template.Spec.Containers[0].Image = "web:2"
	change(r)
	newest := revisionOf(t, r.set, 2)
	maps.Copy(newest.Labels, r.marks)
	if r.done {
		r.set.Status.CurrentRevision = newest.Name
	}
	view, err := workload.NewCloneSet(r.set, workload.Owned{Revisions: append(history, newest)}, workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	decision, err := view.Pulls(r.tally)
	if err != nil {
		t.Fatal(err)
	}
	return decision
}

// revisionOf is the revision that a set has now.
func revisionOf(t *testing.T, set *v1beta1.CloneSet, number int64) *appsv1.ControllerRevision {
	t.Helper()
	view, err := workload.NewCloneSet(set, workload.Owned{}, workload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := view.NewRevision()
	r.Revision = number
	return r
}

func TestWhenImagesArePulledAhead(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*rollout)
		jobs   int
		ignore bool
		done   bool
	}{
		"an image changes":     {func(*rollout) {}, 1, false, false},
		"both images change":   {func(r *rollout) { r.set.Spec.Template.Spec.Containers[1].Image = "side:2" }, 2, false, false},
		"pods are recreated":   {func(r *rollout) { r.strategy().PodUpdatePolicy = v1beta1.RecreatePodUpdatePolicyType }, 0, true, false},
		"it must be recreated": {func(r *rollout) { r.set.Spec.Template.Spec.HostNetwork = true }, 0, true, false},
		"only labels change": {func(r *rollout) {
			r.set.Spec.Template.Spec.Containers[0].Image, r.set.Spec.Template.Labels = "web:1", map[string]string{"app": "web", "tier": "front"}
		}, 0, true, false},
		"pods are updated when they are deleted": {func(r *rollout) {
			r.set.Spec.UpdateStrategy.Type = v1beta1.OnDeleteCloneSetUpdateStrategyType
		}, 0, true, false},
		"three pods are too few":  {func(r *rollout) { r.set.Spec.Replicas = new(int32(3)) }, 0, true, false},
		"four are not":            {func(r *rollout) { r.set.Spec.Replicas = new(int32(4)) }, 1, false, false},
		"all pods change at once": {func(r *rollout) { r.strategy().MaxUnavailable = new(intstr.FromString("100%")) }, 0, true, false},
		"all pods but those of the partition change at once": {func(r *rollout) {
			r.strategy().MaxUnavailable, r.strategy().Partition = new(intstr.FromString("100%")), new(intstr.FromInt32(4))
		}, 1, false, false},
		"the jobs exist":               {func(r *rollout) { r.marks = map[string]string{"apps.kruise.io/pre-predownload-created": "true"} }, 0, false, false},
		"it was found to be of no use": {func(r *rollout) { r.marks = map[string]string{"apps.kruise.io/image-predownload-ignored": "true"} }, 0, false, false},
		"not enough pods are updated and ready": {func(r *rollout) {
			r.tuning().ImagePreDownloadMinUpdatedReadyPods, r.tally.UpdatedReady = new(int32(2)), 1
		}, 0, false, false},
		"enough pods are updated and ready": {func(r *rollout) {
			r.tuning().ImagePreDownloadMinUpdatedReadyPods, r.tally.UpdatedReady = new(int32(2)), 2
		}, 1, false, false},
		"not the percentage of pods that an annotation asks for": {func(r *rollout) {
			r.set.Spec.Replicas, r.tally.UpdatedReady = new(int32(10)), 1
			r.set.Annotations = map[string]string{"apps.kruise.io/image-predownload-min-updated-ready-pods": "20%"}
		}, 0, false, false},
		"the percentage of pods that an annotation asks for": {func(r *rollout) {
			r.set.Spec.Replicas, r.tally.UpdatedReady = new(int32(10)), 2
			r.set.Annotations = map[string]string{"apps.kruise.io/image-predownload-min-updated-ready-pods": "20%"}
		}, 1, false, false},
		"the rollout is complete": {func(r *rollout) { r.done = true }, 0, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			got := pulls(t, c.change)
			if len(got.Create) != c.jobs || got.Ignore != c.ignore || got.Done != c.done {
				t.Errorf("%d jobs, ignore %v, done %v; want %d, %v, %v", len(got.Create), got.Ignore, got.Done, c.jobs, c.ignore, c.done)
			}
		})
	}
}

func TestAJobPullsWhereOldPodsAre(t *testing.T) {
	var r *rollout
	jobs := pulls(t, func(x *rollout) {
		r = x
		r.tuning().ImagePreDownloadParallelism = new(intstr.FromInt32(7))
		r.strategy().InPlaceUpdateStrategy.ImagePreDownloadTimeoutSeconds = new(int32(60))
	}).Create
	update := revisionOf(t, r.set, 2).Name
	hash := update[len("web-"):]
	want := v1beta1.ImagePullJobSpec{
		Image: "web:2",
		ImagePullJobTemplate: v1beta1.ImagePullJobTemplate{
			PullSecrets: []string{"registry"},
			PodSelector: &metav1.LabelSelector{
				MatchLabels: map[string]string{"app": "web"},
				MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: "controller-revision-hash", Operator: metav1.LabelSelectorOpNotIn, Values: []string{update, hash}},
				},
			},
			Parallelism:      new(intstr.FromInt32(7)),
			PullPolicy:       &v1beta1.PullPolicy{BackoffLimit: new(int32(1)), TimeoutSeconds: new(int32(60))},
			CompletionPolicy: v1beta1.CompletionPolicy{Type: "Always", TTLSecondsAfterFinished: new(int32(600))},
			SandboxConfig: &v1beta1.SandboxConfig{
				Labels: map[string]string{"app": "web"}, Annotations: map[string]string{"team": "shop"},
			},
		},
	}
	if len(jobs) != 1 || jobs[0].Name != update+"-web" || jobs[0].Namespace != "shop" || jobs[0].OwnerReferences[0].UID != "set" {
		t.Fatalf("jobs %+v", jobs)
	}
	if diff := cmp.Diff(want, jobs[0].Spec); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWithoutTuningAPullTakesItsTimeNodeByNode(t *testing.T) {
	job := pulls(t, func(*rollout) {}).Create[0]
	if job.Spec.Parallelism.IntValue() != 1 || *job.Spec.PullPolicy.TimeoutSeconds != 300 {
		t.Errorf("parallelism %s, timeout %d s", job.Spec.Parallelism, *job.Spec.PullPolicy.TimeoutSeconds)
	}
}
