package controller

import (
	"maps"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/statefulset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/builder"
	"kruise.io/kruise/test/integration/stepped"
)

// situation is what an older manager left, and what becomes of it.
type situation struct {
	// still: nothing is written but the status of the StatefulSet, and of that nothing that was there is changed.
	still bool
	// pods are there in the end.
	pods string
	// open opens gates that are off by default.
	open func(*workload.Options)
	// restarted are the pods whose container restarted once, and replaced those that are others of the same name in the end. All
	// others run on.
	restarted, replaced []string
	// then goes on from there.
	then func(*world)
}

// situations are the files in testdata/takeover.
func situations() map[string]situation {
	all := atRest()
	maps.Copy(all, heldUp())
	maps.Copy(all, halfWay())
	return all
}

// atRest are rollouts that were complete.
func atRest() map[string]situation {
	still := func(images string) situation { return situation{still: true, pods: images} }
	inPlace := still("web-0 a:2, web-1 a:2, web-2 a:2")
	inPlace.then = func(w *world) {
		w.wantManifestAgain()
		w.wantUpdateInPlace()
	}
	claims := still("web-0 a:2, web-1 a:2, web-2 a:2")
	claims.then = func(w *world) {
		before := w.claim("data-web-3").UID
		w.scale(4)
		w.Finish()
		if w.claim("data-web-3").UID != before {
			w.Errorf("the pod that came back has another claim")
		}
		w.wantAvailable("scaled out", 4)
	}
	return map[string]situation{
		"at-rest":                             inPlace,
		"at-rest-as-v1alpha1":                 inPlace,
		"at-rest-updated-in-place":            inPlace,
		"at-rest-after-a-collision":           inPlace,
		"at-rest-with-claims":                 claims,
		"at-rest-with-claims-that-go":         still("web-0 a:2, web-1 a:2, web-2 a:2"),
		"at-rest-with-pods-of-older-releases": still("web-0 a:2, web-1 a:2, web-2 a:2"),
		"at-rest-recreated":                   still("web-0 a:2, web-1 a:2, web-2 a:2"),
		"at-rest-with-reserved-ordinals":      still("web-0 a:2, web-2 a:2, web-3 a:2"),
		"at-rest-with-orphans": {pods: "web-0 a:2, web-1 a:2, web-2 a:2", then: func(w *world) {
			w.wantAllOwned()
			w.wantUpdateInPlace()
		}},
		"at-rest-with-a-start-that-does-nothing": still("web-0 a:2, web-1 a:2, web-2 a:2"),
		"from-a-native-set": {pods: "web-0 a:2, web-1 a:2, web-2 a:2", then: func(w *world) {
			w.wantAllOwned()
			w.image("a:3")
			w.Finish()
			w.wantPods("after an update", "web-0 a:3, web-1 a:3, web-2 a:3")
		}},
		"from-a-native-set-with-a-start": {
			pods: "web-5 a:2, web-6 a:2, web-7 a:2", open: func(o *workload.Options) { o.StartOrdinal = true }, then: (*world).wantAllOwned,
		},
	}
}

// heldUp are rollouts that wait for somebody, and go on when they are let.
func heldUp() map[string]situation {
	waits := func(images string, then func(*world)) situation {
		return situation{still: true, pods: images, then: then}
	}
	const half, all = "web-0 a:1, web-1 a:1, web-2 a:2", "web-0 a:2, web-1 a:2, web-2 a:2"
	goOn := func(w *world) {
		before := w.uids()
		w.change(func(s *v1beta1.StatefulSetSpec) {
			s.UpdateStrategy.RollingUpdate.Paused, s.UpdateStrategy.RollingUpdate.Partition = false, ptr.To(int32(0))
		})
		w.Finish()
		w.wantPods("when the rollout may go on", all)
		if diff := cmp.Diff(before, w.uids()); diff != "" {
			w.Errorf("pods (-before +after):\n%s", diff)
		}
	}
	jobs := waits(half, func(w *world) {
		if n := len(w.Jobs()); n != 1 {
			w.Errorf("while it is paused there are %d jobs, want 1", n)
		}
		goOn(w)
		if n := len(w.Jobs()); n != 0 {
			w.Errorf("when it is over there are %d jobs", n)
		}
	})
	jobs.open = func(o *workload.Options) { o.PullAhead = true }
	growing := waits("web-0 a:1, web-1 a:1, web-2 a:1", func(w *world) {
		for range 12 {
			w.provide()
			w.Cluster()
			w.Turn()
		}
		w.Finish()
		w.wantPods("when volumes grow", all)
		w.wantSizes("when volumes grow", "2Gi 2Gi 2Gi")
	})
	growing.open = func(o *workload.Options) { o.ResizeClaims = true }
	return map[string]situation{
		"partition-reached": waits(half, goOn),
		"paused":            waits(half, goOn),
		"paused-with-jobs":  jobs,
		"growing-claims":    growing,
		"preparing-delete": waits(all, func(w *world) {
			w.Patch(w.Pod("web-2"), `{"metadata":{"finalizers":null}}`)
			w.Finish()
			w.wantPods("without the hook", "web-0 a:2, web-1 a:2")
		}),
		"preparing-update": waits("web-0 a:1, web-1 a:1, web-2 a:1", func(w *world) {
			w.Patch(w.Pod("web-2"), `{"metadata":{"labels":{"example.com/hold":null}}}`)
			w.Finish()
			w.wantPods("without the hook", half)
			w.wantState("web-2", v1beta1.LifecycleStateUpdated)
			w.Patch(w.Pod("web-2"), `{"metadata":{"labels":{"example.com/hold":"true"}}}`)
			w.Finish()
			w.wantState("web-2", v1beta1.LifecycleStateNormal)
			w.wantState("web-1", v1beta1.LifecycleStatePreparingUpdate)
		}),
		"updated-waiting-for-a-hook": waits(half, func(w *world) {
			w.Patch(w.Pod("web-2"), `{"metadata":{"labels":{"example.com/registered":"true"}}}`)
			w.Finish()
			w.wantPods("with the hook", half)
			w.wantState("web-2", v1beta1.LifecycleStateNormal)
			w.wantState("web-1", v1beta1.LifecycleStatePreparingUpdate)
		}),
	}
}

// halfWay are rollouts whose manager ended in the middle of something, which is finished.
func halfWay() map[string]situation {
	const all = "web-0 a:2, web-1 a:2, web-2 a:2"
	everybody := []string{"web-0", "web-1", "web-2"}
	return map[string]situation{
		"updating-not-restarted": {pods: all, restarted: everybody},
		"grace-period":           {pods: all, restarted: everybody},
		"recreating":             {pods: all, replaced: []string{"web-0", "web-1"}},
		"specified-delete":       {pods: all, replaced: []string{"web-1"}},
	}
}

// TestWhatAnOlderManagerLeftIsTakenOver goes through what is found when this manager is installed in the place of an older
// one, with the gates that are on by default unless the situation opens another.
func TestWhatAnOlderManagerLeftIsTakenOver(t *testing.T) {
	files, err := filepath.Glob("testdata/takeover/*.yaml")
	if err != nil || len(files) != len(situations()) {
		t.Fatalf("%d files for %d situations, %v", len(files), len(situations()), err)
	}
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			namespace := server.Namespace(t)
			server.Leave(t, "testdata/takeover/"+name+".yaml", namespace)
			options := statefulset.Options{Options: workload.Options{AutoDeleteClaims: true, PodIndexLabel: true}}
			if s.open != nil {
				s.open(&options.Options)
			}
			w := worldIn(t, namespace, options)
			before, set := w.Snapshot(), w.Object()
			w.Finish()
			for range 3 { // for grace periods, one pod after the other: the rest that comes before their end is no rest
				w.Pass(time.Minute)
				w.Finish()
			}
			after := w.Snapshot()
			w.wantPods("taken over", s.pods)
			for pod, uid := range before.Pods {
				if replaced := slices.Contains(s.replaced, pod); replaced == (after.Pods[pod] == uid) {
					t.Errorf("pod %s was replaced: %t", pod, !replaced)
				}
				want := before.Restarts[pod]
				if slices.Contains(s.restarted, pod) {
					want++
				}
				if got := after.Restarts[pod]; got != want && !slices.Contains(s.replaced, pod) {
					t.Errorf("the container of pod %s restarted %d times, want %d", pod, got, want)
				}
			}
			if s.still {
				w.wantStill(before, after, set)
			} else if n := w.Object().Status.AvailableReplicas; n != 3 {
				t.Errorf("%d pods are available, want 3", n)
			}
			if s.then != nil {
				s.then(w)
			}
		})
	}
}

// wantState fails the test unless a pod is in a state of its life cycle.
func (w *world) wantState(pod string, want v1beta1.LifecycleStateType) {
	w.Helper()
	if got := w.Pod(pod).Labels[v1beta1.LifecycleStateKey]; got != string(want) {
		w.Errorf("pod %s is in the state %q, want %q", pod, got, want)
	}
}

// wantAllOwned fails the test unless all pods and revisions are the set's own.
func (w *world) wantAllOwned() {
	w.Helper()
	for _, pod := range w.Pods() {
		if !metav1.IsControlledBy(&pod, w.Object()) {
			w.Errorf("pod %s is owned by %v", pod.Name, pod.OwnerReferences)
		}
	}
	for _, r := range w.Revisions() {
		if !metav1.IsControlledBy(&r, w.Object()) {
			w.Errorf("revision %s is owned by %v", r.Name, r.OwnerReferences)
		}
	}
}

// wantStill fails the test when anything was written but the status, or when that says other than it did. What it may say in
// addition is a condition.
func (w *world) wantStill(before, after stepped.Snapshot, set *v1beta1.StatefulSet) {
	w.Helper()
	for _, write := range w.Writes() {
		if write.Resource != "statefulsets/status" {
			w.Errorf("it wrote %v", write)
		}
	}
	if diff := cmp.Diff(before.Versions, after.Versions); diff != "" {
		w.Errorf("revisions and claims (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(set.Status, w.Object().Status, cmpopts.IgnoreFields(v1beta1.StatefulSetStatus{}, "Conditions")); diff != "" {
		w.Errorf("status (-before +after):\n%s", diff)
	}
}

// wantManifestAgain applies the template as its user wrote it, and fails the test when that is more than a new generation.
func (w *world) wantManifestAgain() {
	w.Helper()
	w.Writes()
	w.change(func(s *v1beta1.StatefulSetSpec) {
		s.Template = builder.StatefulSet(web).InPlace().Image("a:2").Object().Spec.Template
	})
	w.Finish()
	for _, write := range w.Writes() {
		if write.Resource != "statefulsets/status" {
			w.Errorf("with the manifest applied again it wrote %v", write)
		}
	}
}

// wantUpdateInPlace gives the set another image, and fails the test unless the pods get it and stay.
func (w *world) wantUpdateInPlace() {
	w.Helper()
	before := w.uids()
	w.image("a:3")
	w.Finish()
	if diff := cmp.Diff(before, w.uids()); diff != "" {
		w.Errorf("pods after an update in place (-before +after):\n%s", diff)
	}
	w.wantPods("after an update in place", "web-0 a:3, web-1 a:3, web-2 a:3")
	w.wantAvailable("after an update in place", 3)
}
