package cloneset

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kruise.io/kruise/kit/loop"
	"kruise.io/kruise/manager/podops"
	"kruise.io/kruise/plan/podset"
)

func done(do podset.Do, pod string) podops.Result {
	return podops.Result{Step: podset.Step{Do: do, Why: "so it is"}, Pod: pod}
}

func undone(do podset.Do, pod string) podops.Result {
	r := done(do, pod)
	r.Err = errors.New("refused")
	return r
}

// recreated makes the deletion of a pod one for its update.
func recreated(r podops.Result) podops.Result {
	r.Step.Recreates = true
	return r
}

func TestEvents(t *testing.T) {
	limited := podset.Note{Wish: podset.WishScaleOut, Pods: 2, Because: "scaleStrategy.maxUnavailable is 1", Cause: podset.CauseScaleLimit}
	const limitedNote = "2 pods are to be created, but scaleStrategy.maxUnavailable is 1"
	for name, c := range map[string]struct {
		results []podops.Result
		notes   []podset.Note
		want    []loop.Event
	}{
		"nothing was done": {},
		"pods were created, and one was not": {
			results: []podops.Result{done(podset.Create, "web-a"), done(podset.Create, "web-b"), undone(podset.Create, "web-c")},
			want: []loop.Event{
				{Reason: "SuccessfulCreate", Action: "CreatePod", Note: "created 2 pods: web-a, web-b: so it is"},
				{Warning: true, Reason: "FailedCreate", Action: "CreatePod", Note: "could not create pod web-c: refused"},
			},
		},
		"a pod was deleted to scale in": {
			results: []podops.Result{done(podset.Delete, "web-a")},
			want:    []loop.Event{{Reason: "SuccessfulDelete", Action: "DeletePod", Note: "deleted pod web-a: so it is", Pod: "web-a"}},
		},
		"a pod could not be deleted to scale in": {
			results: []podops.Result{undone(podset.Delete, "web-a")},
			want:    []loop.Event{{Warning: true, Reason: "FailedDelete", Action: "DeletePod", Note: "could not delete pod web-a: refused"}},
		},
		"a pod was deleted to be recreated": {
			results: []podops.Result{recreated(done(podset.Delete, "web-a"))},
			want: []loop.Event{{Reason: "SuccessfulUpdatePodReCreate", Action: "RecreatePod",
				Note: "deleted, to be recreated with another revision, pod web-a: so it is", Pod: "web-a"}},
		},
		"a pod could not be deleted to be recreated": {
			results: []podops.Result{recreated(undone(podset.Delete, "web-a"))},
			want:    []loop.Event{{Warning: true, Reason: "FailedUpdatePodReCreate", Action: "RecreatePod", Note: "could not recreate pod web-a: refused"}},
		},
		"pods were updated in place, and one was not": {
			results: []podops.Result{done(podset.Update, "web-a"), undone(podset.Update, "web-b")},
			want: []loop.Event{
				{Reason: "SuccessfulUpdatePodInPlace", Action: "UpdatePod", Note: "began to update in place pod web-a: so it is", Pod: "web-a"},
				{Warning: true, Reason: "FailedUpdatePodInPlace", Action: "UpdatePod", Note: "could not update in place pod web-b: refused"},
			},
		},
		"steps within the life cycle are told to nobody": {
			results: []podops.Result{done(podset.Settle, "web-a"), done(podset.Move, "web-b"), done(podset.Apply, "web-c"), undone(podset.Settle, "web-d")},
		},
		"five pods are named, more are counted": {
			results: []podops.Result{
				done(podset.Create, "a"), done(podset.Create, "b"), done(podset.Create, "c"),
				done(podset.Create, "d"), done(podset.Create, "e"), done(podset.Create, "f"),
			},
			want: []loop.Event{{Reason: "SuccessfulCreate", Action: "CreatePod", Note: "created 6 pods: a, b, c, d, e …: so it is"}},
		},
		"scaling out is limited": {
			notes: []podset.Note{limited},
			want:  []loop.Event{{Warning: true, Reason: "ScaleUpLimited", Action: "CreatePod", Note: limitedNote, Once: "scale out: ScaleLimit "}},
		},
		"a change is not possible in place, and must be": {
			notes: []podset.Note{{Wish: podset.WishUpdate, Pods: 1, Because: "so it is", Cause: podset.CauseNotInPlace}},
			want: []loop.Event{{
				Warning: true, Reason: "FailedUpdatePodInPlace", Action: "UpdatePod", Note: "1 pod is to be updated, but so it is", Once: "update: NotInPlace ",
			}},
		},
		"pods are broken": {
			notes: []podset.Note{{Wish: podset.WishAvailable, Pods: 1, Because: "waiting for web-a", Cause: podset.CauseBroken, Trouble: "ErrImagePull"}},
			want: []loop.Event{{
				Warning: true, Reason: "PodsUnavailable", Action: "CreatePod", Note: "1 pod is not available: web-a", Once: "become available: Broken ErrImagePull",
			}},
		},
		"a hook holds a pod that is to be deleted": {
			notes: []podset.Note{{Wish: podset.WishScaleIn, Pods: 1, Because: "so it is", Cause: podset.CauseHook}},
			want:  []loop.Event{{Reason: "WaitingForHook", Action: "DeletePod", Note: "1 pod is to be deleted, but so it is", Once: "scale in: Hook "}},
		},
		// The recorder takes events with the same reason and action for one, and tells only the first.
		"a resize is put off, and the update waits for it": {
			notes: []podset.Note{
				{Wish: podset.WishUpdate, Pods: 2, Because: "no more pods are resized at a time", Cause: podset.CauseResize, Trouble: "resize: Deferred"},
				{Wish: podset.WishResize, Pods: 1, Because: "waiting for web-a (resize: Deferred)", Cause: podset.CauseResize, Trouble: "resize: Deferred"},
			},
			want: []loop.Event{
				{
					Warning: true, Reason: "ResizePending", Action: "UpdatePod", Note: "2 pods are to be updated, but no more pods are resized at a time",
					Once: "update: Resize resize: Deferred",
				},
				{
					Warning: true, Reason: "ResizePending", Action: "ResizePod", Note: "1 pod is not resized yet: web-a (resize: Deferred)",
					Once: "be resized: Resize resize: Deferred",
				},
			},
		},
		"what passes by itself is told by the condition": {notes: []podset.Note{{Wish: podset.WishUpdate, Pods: 1, Because: "others go first"}}},
	} {
		t.Run(name, func(t *testing.T) {
			set := newStory().set
			w := newWork(nil, set)
			w.results, w.plan = c.results, podset.Plan{Notes: c.notes}
			if diff := cmp.Diff(c.want, w.events()); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}
