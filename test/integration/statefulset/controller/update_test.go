package controller

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/test/builder"
)

func TestPodsAreUpdatedOneAfterTheOtherTheHighestFirst(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data"))
	w.image("a:2")
	w.step("at first", "web-0 a:1, web-1 a:1, -web-2 a:1")
	w.play("web-2")
	w.step("once it has ended", "web-0 a:1, web-1 a:1, web-2 a:2")
	w.step("while the new one starts", "web-0 a:1, web-1 a:1, web-2 a:2")
	w.play("web-2")
	w.step("once it is available", "web-0 a:1, -web-1 a:1, web-2 a:2")
	w.Finish()
	w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2")
	if s := w.Object().Status; s.CurrentRevision != s.UpdateRevision || s.CurrentReplicas != 3 || s.UpdatedReplicas != 3 {
		t.Errorf("status %+v", s)
	}
}

func TestPodsBelowThePartitionStayAndComeBackAsTheyWere(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(4).Parallel().Partition(2))
	w.image("a:2")
	w.Finish()
	w.wantPods("with a partition of 2", "web-0 a:1, web-1 a:1, web-2 a:2, web-3 a:2")
	w.Vanish("web-0")
	w.Vanish("web-3")
	w.Finish()
	w.wantPods("after two of them were lost", "web-0 a:1, web-1 a:1, web-2 a:2, web-3 a:2")
	if s := w.Object().Status; s.CurrentReplicas != 2 || s.UpdatedReplicas != 2 || s.CurrentRevision == s.UpdateRevision {
		t.Errorf("status %+v", s)
	}
	w.change(func(s *v1beta1.StatefulSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = ptr.To(int32(0)) })
	w.Finish()
	w.wantPods("without a partition", "web-0 a:2, web-1 a:2, web-2 a:2, web-3 a:2")
}

func TestThePartitionCountsNoReservedOrdinals(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Parallel().Reserve("0", "2").Partition(1))
	w.image("a:2")
	w.Finish()
	w.wantPods("with a partition of 1", "web-1 a:1, web-3 a:2, web-4 a:2")
}

func TestPodsAreUpdatedByPriorityWhereTheyAreNotInOrder(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Parallel().Unordered("order").Partition(2))
	for pod, order := range map[string]string{"web-0": "1", "web-1": "9", "web-2": "5"} {
		w.Patch(w.Pod(pod), `{"metadata":{"labels":{"order":"`+order+`"}}}`)
	}
	w.image("a:2")
	w.Finish()
	w.wantPods("with a partition of 2", "web-0 a:1, web-1 a:2, web-2 a:1")
}

func TestNoMorePodsAreAwayThanMayBe(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(5).Parallel().MaxUnavailable("40%"))
	w.AfterEachStep = func() {
		if n := w.available(); n < 3 {
			t.Errorf("%d pods are available, want 3 or more", n)
		}
	}
	w.image("a:2")
	w.Finish()
	w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2, web-3 a:2, web-4 a:2")
}

func TestAnUpdateInPlaceKeepsPodsAndClaims(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Claim("data").InPlace())
	before := w.uids()
	w.image("a:2")
	w.AfterEachStep = func() {
		if n := w.available(); n < 2 {
			t.Errorf("%d pods are available, want 2 or more", n)
		}
	}
	w.Finish()
	w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2")
	if diff := cmp.Diff(before, w.uids()); diff != "" {
		t.Errorf("pods (-before +after):\n%s", diff)
	}
	w.wantAvailable("in the end", 3)
}

func TestAPausedUpdateStopsAndHealingGoesOn(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).Paused())
	w.image("a:2")
	w.Vanish("web-1")
	w.Finish()
	w.wantAvailable("while paused", 3)
	if w.Pod("web-0").Spec.Containers[0].Image != "a:1" {
		t.Error("a pod was updated while paused")
	}
	w.change(func(s *v1beta1.StatefulSetSpec) { s.UpdateStrategy.RollingUpdate.Paused = false })
	w.Finish()
	w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2")
}

func TestWithOnDeleteOnlyDeletedPodsAreUpdated(t *testing.T) {
	w := running(t, builder.StatefulSet(web).Replicas(3).OnDelete())
	w.image("a:2")
	w.Finish()
	w.wantPods("at first", "web-0 a:1, web-1 a:1, web-2 a:1")
	w.DeletePod("web-1")
	w.Finish()
	w.wantPods("after a deletion", "web-0 a:1, web-1 a:2, web-2 a:1")
}

// A pod that never becomes ready has to be deleted by hand with native StatefulSets, also once the template is good again.
func TestABrokenPodDoesNotStandInTheWayOfItsOwnRepair(t *testing.T) {
	for name, set := range map[string]*builder.StatefulSetBuilder{
		"in order":           builder.StatefulSet(web),
		"in order, in place": builder.StatefulSet(web).InPlace(),
		"at once":            builder.StatefulSet(web).Parallel(),
	} {
		t.Run(name, func(t *testing.T) {
			w := running(t, set.Replicas(3))
			w.BrokenImages["a:broken"] = true
			w.image("a:broken")
			w.Finish()
			w.wantPods("with an image that does not exist", "web-0 a:1, web-1 a:1, web-2 a:broken")
			w.wantAvailable("with an image that does not exist", 2)
			if got, want := w.message(), "web-2 (ImagePullBackOff)"; !strings.Contains(got, want) {
				t.Errorf("the status says %q, and not %q", got, want)
			}
			w.image("a:3")
			w.Finish()
			w.wantPods("with one that does", "web-0 a:3, web-1 a:3, web-2 a:3")
			w.wantAvailable("with one that does", 3)
		})
	}
}

// The same for a set whose first pods never become ready, which has no other pods yet.
func TestASetThatBeganWithABrokenImageIsRepaired(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(3).Image("a:broken"))
	w.BrokenImages["a:broken"] = true
	w.Finish()
	w.wantPods("at first", "web-0 a:broken")
	w.image("a:2")
	w.Finish()
	w.wantPods("in the end", "web-0 a:2, web-1 a:2, web-2 a:2")
	w.wantAvailable("in the end", 3)
}

func TestAPodServesForMinReadySecondsBeforeTheNextOneIsTouched(t *testing.T) {
	w := newWorld(t, builder.StatefulSet(web).Replicas(2).MinReady(60))
	w.Turn()
	w.play("web-0")
	w.step("while the first one is ready, and not for long", "web-0 a:1")
	w.Pass(time.Minute)
	w.step("once it is ready for long enough", "web-0 a:1, web-1 a:1")
}

func TestImagesArePulledAheadOfAnUpdateInPlace(t *testing.T) {
	t.Parallel()
	options := gates()
	options.PullAhead = true
	w := worldIn(t, server.Namespace(t), statefulset.Options{Options: options})
	w.Create(builder.StatefulSet(web).Namespace(w.Namespace).Replicas(4).Parallel().InPlace().Object())
	w.Finish()
	w.image("a:2")
	w.Turn()
	w.Turn()
	if own := w.Jobs(); len(own) != 1 || own[0].Spec.Image != "a:2" || own[0].OwnerReferences[0].UID != w.Object().UID {
		t.Errorf("jobs %v", own)
	}
	w.Finish()
	if own := w.Jobs(); len(own) != 0 {
		t.Errorf("jobs after the rollout: %v", own)
	}
}
