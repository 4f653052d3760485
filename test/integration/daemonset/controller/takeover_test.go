package controller

import (
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/daemonset"
	"kruise.io/kruise/plan/workload"
	"kruise.io/kruise/test/integration/stepped"
)

// situation is what an older manager left on nodes a, b and c, and what becomes of it.
type situation struct {
	// still: nothing is written but the status of the DaemonSet, and of that nothing that was there is changed.
	still bool
	// placed are the pods in the end, and counts those of the status; empty: complete.
	placed, counts string
	// open opens gates that are off by default.
	open func(*workload.Options)
	// replaced says that pods may be others than before.
	replaced bool
	// then goes on from there.
	then func(*world)
}

// situations are the files in testdata/takeover.
func situations() map[string]situation {
	goOn := func(w *world) {
		before := w.Snapshot().Pods
		w.change(func(s *v1beta1.DaemonSetSpec) {
			s.UpdateStrategy.RollingUpdate.Paused, s.UpdateStrategy.RollingUpdate.Partition = new(false), number(0)
		})
		w.Finish()
		w.wantPlaced("when the rollout may go on", "a a:2, b a:2, c a:2")
		if diff := cmp.Diff(before, w.Snapshot().Pods); diff != "" {
			w.Errorf("pods (-before +after):\n%s", diff)
		}
	}
	surge := situation{placed: "a a:2, b a:2, c a:2", replaced: true, then: func(w *world) {
		if pod := w.Pod("agent-ddddd"); pod.Spec.NodeName != w.node("c") {
			w.Errorf("the new pod of node c is on %s", pod.Spec.NodeName)
		}
	}}
	jobs := situation{still: true, placed: "a a:1, b a:1, c a:2", open: func(o *workload.Options) { o.PullAheadForDaemonSets = true }, then: func(w *world) {
		if n := len(w.Jobs()); n != 1 {
			w.Errorf("while it is paused there are %d jobs, want 1", n)
		}
		goOn(w)
		if n := len(w.Jobs()); n != 0 {
			w.Errorf("when it is over there are %d jobs", n)
		}
	}}
	return map[string]situation{
		"at-rest":            {still: true, placed: "a a:2, b a:2, c a:2"},
		"at-rest-as-v1beta1": {still: true, placed: "a a:2, b a:2, c a:2"},
		"at-rest-in-place": {still: true, placed: "a a:2, b a:2, c a:2", then: func(w *world) {
			before := w.Snapshot().Pods
			w.image("a:3")
			w.Finish()
			w.wantPlaced("updated", "a a:3, b a:3, c a:3")
			if diff := cmp.Diff(before, w.Snapshot().Pods); diff != "" {
				w.Errorf("pods after an update in place (-before +after):\n%s", diff)
			}
		}},
		"partition-reached":            {still: true, placed: "a a:1, b a:1, c a:2", then: goOn},
		"partition-reached-as-v1beta1": {still: true, placed: "a a:1, b a:1, c a:2", then: goOn},
		"paused":                       {still: true, placed: "a a:1, b a:1, c a:2", then: goOn},
		"paused-with-jobs":             jobs,
		"updating-not-restarted":       {placed: "a a:2, b a:2, c a:2"},
		"in-a-surge":                   surge,
		"in-a-surge-of-type-surging":   surge,
		"progressive-create": {still: true, placed: "c a:2", then: func(w *world) {
			w.change(func(s *v1beta1.DaemonSetSpec) { s.UpdateStrategy.RollingUpdate.Partition = number(1) })
			w.Finish()
			if n := len(w.Pods()); n != 2 {
				w.Errorf("with a partition of 1 there are %d pods, want 2", n)
			}
		}},
		"preparing-delete": {placed: "a a:1, b a:1, c a:1", counts: "3 3 3 0 2 0", then: func(w *world) {
			w.Patch(w.Pod("agent-ccccc"), `{"metadata":{"labels":{"example.com/held":null}}}`)
			w.Finish()
			w.wantPlaced("let go", "a a:1, b a:1, c a:2")
			if state := w.Pod("agent-bbbbb").Labels[v1beta1.LifecycleStateKey]; state != string(v1beta1.LifecycleStatePreparingDelete) {
				w.Errorf("the next pod is in the state %q", state)
			}
		}},
	}
}

// TestWhatAnOlderManagerLeftIsTakenOver goes through what is found when this manager is installed in the place of an older one.
func TestWhatAnOlderManagerLeftIsTakenOver(t *testing.T) {
	files, err := filepath.Glob("testdata/takeover/*.yaml")
	if err != nil || len(files) != len(situations()) {
		t.Fatalf("%d files for %d situations, %v", len(files), len(situations()), err)
	}
	for name, s := range situations() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var options daemonset.Options
			if s.open != nil {
				s.open(&options.Options)
			}
			w := worldIn(t, server.Namespace(t), options)
			for _, node := range []string{"a", "b", "c"} {
				w.addNode(node)
			}
			server.Leave(t, "testdata/takeover/"+name+".yaml", w.Namespace)
			before, set := w.Snapshot(), w.Object()
			w.Finish()
			w.wantPlaced("taken over", s.placed)
			if diff := cmp.Diff(before.Pods, w.Snapshot().Pods); diff != "" && !s.replaced {
				t.Errorf("pods (-before +after):\n%s", diff)
			}
			switch {
			case s.still:
				w.wantStill(before, set)
			case s.counts != "":
				w.wantCounts("taken over", s.counts)
			default:
				w.wantCounts("taken over", "3 3 3 3 3 0")
			}
			if s.then != nil {
				s.then(w)
			}
		})
	}
}

// wantStill fails the test when anything was written but the status, or when that says other than it did. What it may say in
// addition is a condition.
func (w *world) wantStill(before stepped.Snapshot, set *v1beta1.DaemonSet) {
	w.Helper()
	for _, write := range w.Writes() {
		if write.Resource != "daemonsets/status" {
			w.Errorf("it wrote %v", write)
		}
	}
	if diff := cmp.Diff(before, w.Snapshot()); diff != "" {
		w.Errorf("pods and revisions (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(set.Status, w.Object().Status, cmpopts.IgnoreFields(v1beta1.DaemonSetStatus{}, "Conditions")); diff != "" {
		w.Errorf("status (-before +after):\n%s", diff)
	}
}
