package controller

import (
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/builder"
)

// history collects every version of a pod that is stored from now on. The function that it returns says which they were.
func (w *world) history(name string) func() []*corev1.Pod {
	w.Helper()
	from := w.Pod(name)
	events, err := w.API.Watch(w.Context(), &corev1.PodList{}, client.InNamespace(w.Namespace), &client.ListOptions{
		Raw: resourceVersion(from.ResourceVersion)})
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(events.Stop)
	return func() (versions []*corev1.Pod) {
		w.Helper()
		last := w.Pod(name).ResourceVersion
		for event := range events.ResultChan() {
			pod, ok := event.Object.(*corev1.Pod)
			if !ok || event.Type != watch.Modified {
				w.Fatalf("the watch says %s %v", event.Type, event.Object)
			}
			if pod.Name == name {
				versions = append(versions, pod)
			}
			if pod.Name == name && pod.ResourceVersion == last {
				return versions
			}
		}
		w.Fatal("the watch ended early")
		return nil
	}
}

// facts is what one stored version of a pod says of its update.
type facts struct {
	Gate, Ready    corev1.ConditionStatus
	Image          string
	New            bool // it has the newest revision, in both labels
	State          string
	Recorded       bool // the annotation tells of the newest revision
	ContainerReady bool // its container runs the image of the spec
}

func (w *world) factsOf(pod *corev1.Pod) facts {
	w.Helper()
	newest := w.Revisions()
	revision := newest[len(newest)-1]
	var state v1beta1.InPlaceUpdateState
	if text := pod.Annotations[v1beta1.InPlaceUpdateStateKey]; text != "" {
		if err := json.Unmarshal([]byte(text), &state); err != nil {
			w.Fatal(err)
		}
	}
	return facts{
		Gate: condition(pod, v1beta1.InPlaceUpdateReady), Ready: condition(pod, corev1.PodReady),
		Image: pod.Spec.Containers[0].Image, State: pod.Labels[v1beta1.LifecycleStateKey],
		New: pod.Labels["controller-revision-hash"] == revision.Name &&
			"web-"+pod.Labels["pod-template-hash"] == revision.Name,
		Recorded:       state.Revision == revision.Name,
		ContainerReady: pod.Status.ContainerStatuses[0].Image == pod.Spec.Containers[0].Image,
	}
}

func TestAnUpdateInPlaceTakesAPodOutOfServiceChangesItAndPutsItBack(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(1).InPlace())
	before := w.active()[0]
	versions := w.history(before.Name)
	w.image("a:2")
	w.Finish()
	var got []facts
	for _, version := range versions() {
		got = append(got, w.factsOf(version))
	}
	want := []facts{
		{Gate: "False", Ready: "False", Image: "a:1", State: "Normal", ContainerReady: true},
		{Gate: "False", Ready: "False", Image: "a:2", New: true, State: "Updating", Recorded: true},
		{Gate: "False", Ready: "False", Image: "a:2", New: true, State: "Updating", Recorded: true, ContainerReady: true}, // kubelet
		{Gate: "True", Ready: "False", Image: "a:2", New: true, State: "Normal", Recorded: true, ContainerReady: true},
		{Gate: "True", Ready: "True", Image: "a:2", New: true, State: "Normal", Recorded: true, ContainerReady: true}, // kubelet
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("versions of the pod (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]int{before.Name: 3}, writesOf(w.Writes())); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
	after := w.Pod(before.Name)
	if after.UID != before.UID || after.Status.ContainerStatuses[0].RestartCount != 1 {
		t.Errorf("the pod was made anew, or its container started %d times", after.Status.ContainerStatuses[0].RestartCount+1)
	}
	var state v1beta1.InPlaceUpdateState
	if err := json.Unmarshal([]byte(after.Annotations[v1beta1.InPlaceUpdateStateKey]), &state); err != nil {
		t.Fatal(err)
	}
	if got := state.LastContainerStatuses["main"].ImageID; got != "sha256:a:1" || !state.UpdateImages {
		t.Errorf("the record says %+v, want the image ID of before", state)
	}
}

func TestAChangeOfLabelsAndAnnotationsIsOneWriteAPodAndNobodyNotices(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3).InPlace().MaxUnavailable("1"))
	w.AfterEachStep = func() {
		if n := w.available(); n != 3 {
			t.Errorf("%d pods are available, want 3 all the time", n)
		}
	}
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Template.Labels["tier"] = "front"
		s.Template.Annotations = map[string]string{"note": "new"}
	})
	w.Finish()
	want := map[string]int{}
	for _, pod := range w.active() {
		want[pod.Name] = 1
		if f := w.factsOf(&pod); !f.New || !f.Recorded || pod.Labels["tier"] != "front" || pod.Annotations["note"] != "new" {
			t.Errorf("pod %s: %+v, labels %v", pod.Name, f, pod.Labels)
		}
	}
	if diff := cmp.Diff(want, writesOf(w.Writes())); diff != "" {
		t.Errorf("writes (-want +got):\n%s", diff)
	}
}

func TestNoMorePodsAreAwayThanMaxUnavailable(t *testing.T) {
	for name, set := range map[string]*builder.CloneSetBuilder{
		"in place":            builder.CloneSet(web).InPlace(),
		"by recreating":       builder.CloneSet(web),
		"with pods to spare":  builder.CloneSet(web).MaxSurge("1"),
		"in place, and spare": builder.CloneSet(web).InPlace().MaxSurge("1"),
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, set.Replicas(5).MaxUnavailable("2"))
			fewest, most := 5, 5
			w.AfterEachStep = func() {
				fewest, most = min(fewest, w.available()), max(most, len(w.active()))
			}
			w.image("a:2")
			w.Finish()
			w.wantImages("in the end", "a:2 ×5")
			surge := 0
			if s := set.Object().Spec.UpdateStrategy.RollingUpdate.MaxSurge; s != nil {
				surge = s.IntValue()
			}
			if fewest != 3 || most != 5+surge {
				t.Errorf("at least %d pods were available and at most %d existed, want 3 and %d", fewest, most, 5+surge)
			}
		})
	}
}

func TestABadImageStopsAtMaxUnavailable(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(5).InPlace().MaxUnavailable("2"))
	w.BrokenImages["bad"] = true
	w.image("bad")
	w.Finish()
	w.wantImages("with the bad image", "a:1 ×3, bad ×2")
	if n := w.available(); n != 3 {
		t.Errorf("%d pods are available, want 3", n)
	}
	w.image("a:2")
	w.Finish()
	w.wantImages("with a good image", "a:2 ×5")
}

func TestThePartitionHolds(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(5).InPlace().MaxUnavailable("100%"))
	partition := func(value string) {
		w.change(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.Parse(value)) })
	}
	partition("3")
	w.image("a:2")
	w.Finish()
	w.wantImages("3 are kept", "a:1 ×3, a:2 ×2")
	if c := w.conditionOf(v1beta1.CloneSetConditionTypeProgressing); c.Reason != v1beta1.CloneSetProgressPartitionAvailable {
		t.Errorf("Progressing is %s: %s", c.Reason, c.Message)
	}
	partition("20%")
	w.Finish()
	w.wantImages("1 is kept", "a:1 ×1, a:2 ×4")
	partition("4")
	w.Finish()
	w.wantImages("the partition was raised: nobody goes back", "a:1 ×1, a:2 ×4")
	partition("0")
	w.Finish()
	w.wantImages("nobody is kept", "a:2 ×5")
	if s := w.Object().Status; s.CurrentRevision != s.UpdateRevision {
		t.Errorf("the current revision is %s, want %s", s.CurrentRevision, s.UpdateRevision)
	}
}

func TestScalingKeepsThePartition(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(4).Partition("2"))
	w.image("a:2")
	w.Finish()
	w.wantImages("half of them", "a:1 ×2, a:2 ×2")
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Replicas = ptr.To(int32(6))
		s.UpdateStrategy.RollingUpdate.Partition = ptr.To(intstr.FromInt32(3))
	})
	w.Finish()
	w.wantImages("scaled out with a larger partition", "a:1 ×3, a:2 ×3")
	w.change(func(s *v1beta1.CloneSetSpec) { s.Replicas = ptr.To(int32(3)) })
	w.Finish()
	w.wantImages("scaled in to the partition", "a:1 ×3")
}

func TestAPausedUpdateStopsAndHealingGoesOn(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(3).InPlace().Paused())
	w.image("a:2")
	w.Finish()
	w.wantImages("while paused", "a:1 ×3")
	if c := w.conditionOf(v1beta1.CloneSetConditionTypeProgressing); c.Reason != v1beta1.CloneSetPaused {
		t.Errorf("Progressing is %s: %s", c.Reason, c.Message)
	}
	w.DeletePod(w.active()[0].Name)
	w.Finish()
	if n := w.available(); n != 3 {
		t.Errorf("%d pods are available after one was deleted, want 3", n)
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Paused = false })
	w.Finish()
	w.wantImages("once resumed", "a:2 ×3")
}

func TestWhatCannotBeChangedInPlaceIsRecreated(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).InPlace())
	before := w.uids()
	w.change(func(s *v1beta1.CloneSetSpec) {
		s.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	})
	w.Finish()
	for uid, name := range w.uids() {
		if before[uid] != "" {
			t.Errorf("pod %s was kept", name)
		}
	}
	if n := w.available(); n != 2 {
		t.Errorf("%d pods are available, want 2", n)
	}
}

func TestARollbackReusesTheOlderRevision(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).InPlace())
	first := w.Revisions()[0].Name
	w.image("a:2")
	w.Finish()
	w.image("a:1")
	w.Finish()
	revisions := w.Revisions()
	if len(revisions) != 2 || revisions[1].Name != first || revisions[1].Revision != 3 {
		t.Errorf("the newest of %d revisions is %s with the number %d, want %s with 3", len(revisions), revisions[1].Name, revisions[1].Revision, first)
	}
	w.wantImages("rolled back", "a:1 ×2")
	if s := w.Object().Status; s.UpdateRevision != first || s.CurrentRevision != first {
		t.Errorf("the status names %s and %s, want %s", s.UpdateRevision, s.CurrentRevision, first)
	}
}

func TestOldRevisionsAreDroppedBeyondTheLimit(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).InPlace().HistoryLimit(1))
	for _, image := range []string{"a:2", "a:3", "a:4"} {
		w.image(image)
		w.Finish()
	}
	numbers := map[int64]bool{}
	for _, r := range w.Revisions() {
		numbers[r.Revision] = true
	}
	if want := []int64{3, 4}; !slices.Equal(slices.Sorted(maps.Keys(numbers)), want) {
		t.Errorf("revisions %v are kept, want %v", slices.Sorted(maps.Keys(numbers)), want)
	}
}

func TestARevisionThatAPodHasIsKeptWhateverTheLimit(t *testing.T) {
	w := running(t, builder.CloneSet(web).Replicas(2).InPlace().HistoryLimit(0).Partition("1"))
	w.image("a:2")
	w.Finish()
	if n := len(w.Revisions()); n != 2 {
		t.Errorf("%d revisions, want that of each pod", n)
	}
	w.change(func(s *v1beta1.CloneSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = nil })
	w.Finish()
	if n := len(w.Revisions()); n != 1 {
		t.Errorf("%d revisions, want that of all pods", n)
	}
}

func TestARolloutGoesOnAfterARestart(t *testing.T) {
	for name, set := range map[string]*builder.CloneSetBuilder{
		"in place": builder.CloneSet(web).InPlace(), "by recreating": builder.CloneSet(web), "with surge": builder.CloneSet(web).MaxSurge("2"),
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, set.Replicas(4).MaxUnavailable("2"))
			w.AfterEachStep = func() {
				if n := w.available(); n < 2 {
					t.Errorf("%d pods are available, want 2 or more", n)
				}
			}
			w.image("a:2")
			for range 12 { // a controller that never lives for more than one step
				w.Turn()
				w.Restart()
				w.Cluster()
			}
			w.Finish()
			w.wantImages("in the end", "a:2 ×4")
			if n := len(w.Revisions()); n != 2 {
				t.Errorf("%d revisions, want 2", n)
			}
		})
	}
}
