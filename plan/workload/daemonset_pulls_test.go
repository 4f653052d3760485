package workload_test

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/podset"
	"kruise.io/kruise/plan/revision"
	"kruise.io/kruise/plan/workload"
)

// nodePulls decides about the images of a DaemonSet on so many nodes, in the middle of a change of its image.
func nodePulls(t *testing.T, tally podset.Tally, change func(*v1beta1.DaemonSet)) workload.Pulls {
	t.Helper()
	set := agents(rollingUpdate(v1beta1.RollingUpdateDaemonSet{Type: v1beta1.InplaceRollingUpdateType}))
	old := read(t, set, workload.Options{}).NewRevision()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "agent-aaaaa", Labels: map[string]string{
		"app": "agent", appsv1.ControllerRevisionHashLabelKey: revision.ShortHash(old.Name),
	}}}
	set.Spec.Template.Spec.Containers[0].Image = "a:2"
	change(set)
	owned := workload.Owned{Pods: []*corev1.Pod{pod}, Revisions: []*appsv1.ControllerRevision{old}}
	view := func() *workload.DaemonSet {
		d, err := workload.NewDaemonSet(set, owned, nil, nil, workload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if set.Spec.Template.Spec.Containers[0].Image != "a:1" {
		owned.Revisions = append(owned.Revisions, view().NewRevision())
	}
	pulls, err := view().Pulls(tally)
	if err != nil {
		t.Fatal(err)
	}
	return pulls
}

func TestWhenAndHowImagesOfADaemonSetArePulledAhead(t *testing.T) {
	note := func(notes map[string]string) func(*v1beta1.DaemonSet) {
		return func(set *v1beta1.DaemonSet) { set.Annotations = notes }
	}
	strategy := func(change func(*v1beta1.DaemonSetUpdateStrategy)) func(*v1beta1.DaemonSet) {
		return func(set *v1beta1.DaemonSet) { change(&set.Spec.UpdateStrategy) }
	}
	const ignored = "of no use"
	for name, test := range map[string]struct {
		nodes, updated int
		change         func(*v1beta1.DaemonSet)
		want           string
	}{
		"at once, one node at a time": {10, 0, func(*v1beta1.DaemonSet) {}, "a:2, 1 at a time, for 300 s"},
		"as annotations say": {10, 0, note(map[string]string{
			v1beta1.ImagePreDownloadParallelismKey: "3", v1beta1.ImagePreDownloadTimeoutSecondsKey: "60",
		}), "a:2, 3 at a time, for 60 s"},
		"annotations that make no sense say nothing": {10, 0, note(map[string]string{
			v1beta1.ImagePreDownloadParallelismKey: "many", v1beta1.ImagePreDownloadTimeoutSecondsKey: "-1", v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey: "some",
		}), "a:2, 1 at a time, for 300 s"},
		"not before as many nodes are updated as an annotation says": {10, 1, note(map[string]string{v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey: "2"}), "later"},
		"once they are": {10, 2, note(map[string]string{v1beta1.ImagePreDownloadMinUpdatedReadyPodsKey: "2"}), "a:2, 1 at a time, for 300 s"},
		"never where pods are recreated": {10, 0, strategy(func(s *v1beta1.DaemonSetUpdateStrategy) {
			s.RollingUpdate.Type = v1beta1.StandardRollingUpdateType
		}), ignored},
		"never where somebody deletes them": {10, 0, strategy(func(s *v1beta1.DaemonSetUpdateStrategy) {
			s.Type = v1beta1.OnDeleteDaemonSetStrategyType
		}), ignored},
		"never where all nodes change at a time": {10, 0, strategy(func(s *v1beta1.DaemonSetUpdateStrategy) {
			s.RollingUpdate.MaxUnavailable = new(intstr.FromString("100%"))
		}), ignored},
		"never for few nodes": {3, 0, func(*v1beta1.DaemonSet) {}, ignored},
		"no more once all pods are of the newest revision": {10, 0, func(set *v1beta1.DaemonSet) {
			set.Spec.Template.Spec.Containers[0].Image = "a:1"
		}, "done"},
	} {
		t.Run(name, func(t *testing.T) {
			pulls := nodePulls(t, podset.Tally{Desired: test.nodes, UpdatedReady: test.updated}, test.change)
			got := "later"
			switch {
			case pulls.Done:
				got = "done"
			case pulls.Ignore:
				got = ignored
			case len(pulls.Create) == 1:
				spec := pulls.Create[0].Spec
				got = fmt.Sprintf("%s, %d at a time, for %d s", spec.Image, spec.Parallelism.IntVal, *spec.PullPolicy.TimeoutSeconds)
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
