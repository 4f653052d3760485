package workload_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
)

// pullsOf decides about the images of a StatefulSet of ten pods, in the middle of a change of its image.
func pullsOf(t *testing.T, tally podset.Tally, change func(*v1beta1.StatefulSet)) workload.Pulls {
	t.Helper()
	read := func(set *v1beta1.StatefulSet, revisions ...*appsv1.ControllerRevision) *workload.StatefulSet {
		view, err := workload.NewStatefulSet(set, workload.Owned{Revisions: revisions}, workload.Options{PullAhead: true})
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
	set := builder.StatefulSet("web").Namespace("shop").Replicas(10).InPlace().Object()
	old := read(set).NewRevision()
	set.Status.CurrentRevision = old.Name
	set.Spec.Template.Spec.Containers[0].Image = "a:2"
	change(set)
	newest := read(set, old).NewRevision()
	pulls, err := read(set, old, newest).Pulls(tally)
	if err != nil {
		t.Fatal(err)
	}
	return pulls
}

func annotate(key, value string) func(*v1beta1.StatefulSet) {
	return func(set *v1beta1.StatefulSet) { metav1.SetMetaDataAnnotation(&set.ObjectMeta, key, value) }
}

func TestHowImagesOfAStatefulSetArePulledAhead(t *testing.T) {
	strategy := func(s v1beta1.InPlaceUpdateStrategy) func(*v1beta1.StatefulSet) {
		return func(set *v1beta1.StatefulSet) {
			annotate(v1beta1.ImagePreDownloadParallelismKey, "9")(set)
			annotate(v1beta1.ImagePreDownloadTimeoutSecondsKey, "90")(set)
			set.Spec.UpdateStrategy.RollingUpdate.InPlaceUpdateStrategy = &s
		}
	}
	for name, tc := range map[string]struct {
		change               func(*v1beta1.StatefulSet)
		parallelism, timeout int32
	}{
		"one at a time unless somebody says otherwise": {func(*v1beta1.StatefulSet) {}, 1, 300},
		"as the annotations say": {func(set *v1beta1.StatefulSet) {
			annotate(v1beta1.ImagePreDownloadParallelismKey, "3")(set)
			annotate(v1beta1.ImagePreDownloadTimeoutSecondsKey, "60")(set)
		}, 3, 60},
		"as the fields say, which win": {strategy(v1beta1.InPlaceUpdateStrategy{
			ImagePreDownloadParallelism: new(intstr.FromInt32(2)), ImagePreDownloadTimeoutSeconds: new(int32(20)),
		}), 2, 20},
		"as the annotations say what the fields do not": {strategy(v1beta1.InPlaceUpdateStrategy{ImagePreDownloadTimeoutSeconds: new(int32(20))}), 9, 20},
		"annotations that make no sense say nothing": {func(set *v1beta1.StatefulSet) {
			annotate(v1beta1.ImagePreDownloadParallelismKey, "many")(set)
			annotate(v1beta1.ImagePreDownloadTimeoutSecondsKey, "-1")(set)
		}, 1, 300},
	} {
		t.Run(name, func(t *testing.T) {
			pulls := pullsOf(t, podset.Tally{}, tc.change)
			if len(pulls.Create) != 1 {
				t.Fatalf("%+v", pulls)
			}
			spec := pulls.Create[0].Spec
			got := []int32{spec.Parallelism.IntVal, *spec.PullPolicy.TimeoutSeconds}
			if diff := cmp.Diff([]int32{tc.parallelism, tc.timeout}, got); diff != "" || spec.Image != "a:2" {
				t.Errorf("image %s, parallelism and timeout (-want +got):\n%s", spec.Image, diff)
			}
		})
	}
}

func TestWhenImagesOfAStatefulSetArePulledAhead(t *testing.T) {
	for name, tc := range map[string]struct {
		change  func(*v1beta1.StatefulSet)
		updated int
		created bool
		ignored bool
	}{
		"at once": {func(*v1beta1.StatefulSet) {}, 0, true, false},
		"not before as many pods are updated as an annotation says": {annotate(v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey, "2"), 1, false, false},
		"once they are": {annotate(v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey, "2"), 2, true, false},
		"not before a share of them is, rounded up": {annotate(v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey, "11%"), 1, false, false},
		"never where pods are made anew": {func(set *v1beta1.StatefulSet) {
			set.Spec.UpdateStrategy.RollingUpdate.PodUpdatePolicy = v1beta1.RecreatePodUpdatePolicyType
		}, 0, false, true},
		"never where all are changed at a time": {func(set *v1beta1.StatefulSet) {
			set.Spec.PodManagementPolicy = appsv1.ParallelPodManagement
			set.Spec.UpdateStrategy.RollingUpdate.MaxUnavailable = new(intstr.FromString("100%"))
		}, 0, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			pulls := pullsOf(t, podset.Tally{UpdatedReady: tc.updated}, tc.change)
			if created := len(pulls.Create) > 0; created != tc.created || pulls.Ignore != tc.ignored {
				t.Errorf("jobs are made: %v, it is of no use: %v; want %v, %v", created, pulls.Ignore, tc.created, tc.ignored)
			}
		})
	}
}
