package podset_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	"kruise.io/kruise/plan/inplace"
	"kruise.io/kruise/plan/podset"
)

func resize(_, _ string) inplace.Change {
	return inplace.Change{Resources: map[string]corev1.ResourceRequirements{"web": {}}}
}

func TestPodsThatAreResizedOrChangedInBatches(t *testing.T) {
	decisions{
		"a resize takes no pod away, and no more than maxUnavailable are resized at a time": {
			podset.Pool{Replicas: 3, Change: resize, Rolling: rolling{MaxUnavailable: 2}}, []string{"a v1", "b v1", "c v1"}, []string{"Update a v2", "Update b v2"}},
		"it needs no budget of pods that serve": {
			podset.Pool{Replicas: 2, Change: resize}, []string{"a v1", "b v1"}, []string{"Update a v2"}},
		"a pod that kubelet has not resized stops the others": {
			podset.Pool{Replicas: 3, Change: resize, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1", "c v2 resizing"}, nil},
		"other updates, too": {
			podset.Pool{Replicas: 3, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1", "c v2 resizing"}, nil},
		"but not those that can go wrong nowhere": {
			podset.Pool{Replicas: 3, Change: metadata, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1", "b v1", "c v2 resizing"}, []string{"Update a v2", "Update b v2"}},
		"the record of a resize is closed": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2 closing"}, []string{"Settle a Normal"}},
		"the next batch goes on": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2 next", "b v1"}, []string{"Apply a"}},
		"of an older revision, too, where no update overtakes it": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1, Partition: 2}}, []string{"a v1 next", "b v1"}, []string{"Apply a"}},
		"while the update is paused, too": {
			podset.Pool{Replicas: 2, Paused: true, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 next", "b v2 next"}, []string{"Apply b", "Apply a"}},
		"or it is overtaken": {
			podset.Pool{Replicas: 2, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v1 next", "b v1"}, []string{"Update a v2"}},
		"of a pod on its way out it does not": {
			podset.Pool{Replicas: 1, Rolling: rolling{MaxUnavailable: 1}}, []string{"a v2 next leaving held", "b v2"}, nil},
	}.check(t)
}

func TestAResizeThatDoesNotComeAboutIsTold(t *testing.T) {
	_, plan := decide(podset.Pool{Replicas: 2, Change: resize, Rolling: rolling{MaxUnavailable: 1}}, "a v1", "b v2 resizing")
	want := []string{
		"1 pod is to be updated, but maxUnavailable is 1, and no more pods are resized at a time",
		"1 pod is not resized yet: b (resize: Infeasible)",
	}
	if diff := cmp.Diff(want, plan.Waiting()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}
