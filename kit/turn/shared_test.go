package turn

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

func TestASharedStatusIsWrittenOnlyWhereItChangedAndForTheVersionThatWasRead(t *testing.T) {
	obj := object()
	obj.Status.DesiredHealthy = 7 // somebody else's
	w := newWorld(t, obj)
	w.loop.SharedStatus = true
	w.healthy(2)
	before := w.stored().ResourceVersion
	w.done()
	var patch map[string]any
	if err := json.Unmarshal([]byte(w.patches[0]), &patch); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"metadata": map[string]any{"uid": "uid", "resourceVersion": before},
		"status":   map[string]any{"currentHealthy": 2.0},
	}
	if diff := cmp.Diff(want, patch); diff != "" {
		t.Errorf("patch (-want +got):\n%s", diff)
	}

	// Somebody writes between the reading and the writing: the write is refused, and made on what is there then.
	w.pass(time.Second)
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		after := obj.DeepCopy()
		after.Status.CurrentHealthy++
		if len(w.patches) == 1 {
			other := w.stored()
			other.Status.CurrentHealthy = 40
			if err := w.api.Status().Update(w.Context(), other); err != nil {
				t.Fatal(err)
			}
		}
		return Report[*budget]{Object: after}
	}
	if wait := w.done(); wait <= 0 || w.stored().Status.CurrentHealthy != 40 {
		t.Errorf("after a conflict: again in %s, status %+v", wait, w.stored().Status)
	}
	w.pass(time.Second)
	if w.done(); w.stored().Status.CurrentHealthy != 41 {
		t.Errorf("status %+v", w.stored().Status)
	}
}

func TestObjectsThatAreBeingDeletedAreWorkedOnOnlyByWhoSeesToFinalizers(t *testing.T) {
	for _, finalizes := range []bool{false, true} {
		obj := object()
		obj.Finalizers, obj.DeletionTimestamp = []string{"kruise.io/test"}, &metav1.Time{Time: time.Unix(1, 0)}
		w := newWorld(t, obj)
		w.loop.Finalizes = finalizes
		if w.done(); (w.begun == 1) != finalizes {
			t.Errorf("finalizes %t: begun %d times", finalizes, w.begun)
		}
	}
}

func TestAnEventCanBeAboutAnotherObject(t *testing.T) {
	w := newWorld(t, object())
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "pod"}}
	var about []runtime.Object
	w.loop.Recorder = recorder(func(regarding, _ runtime.Object) { about = append(about, regarding) })
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		return Report[*budget]{Object: obj.DeepCopy(), Events: []Event{{Reason: "Killing", About: pod}, {Reason: "Done"}}}
	}
	w.done()
	if len(about) != 2 || about[0] != runtime.Object(pod) || about[1].(*budget).Name != key.Name {
		t.Errorf("the events are about %v", about)
	}
}

func TestAnEventNamesTheOnePodThatItIsAboutAsWell(t *testing.T) {
	w := newWorld(t, object())
	var pods []string
	w.loop.Recorder = recorder(func(_, related runtime.Object) {
		if pod, ok := related.(*corev1.ObjectReference); ok {
			pods = append(pods, pod.Kind+" "+pod.Namespace+"/"+pod.Name)
		} else {
			pods = append(pods, "none")
		}
	})
	w.report = func(obj *budget, _ time.Time, _ error) Report[*budget] {
		return Report[*budget]{Object: obj.DeepCopy(), Events: []Event{{Reason: "Created", Pod: "a"}, {Reason: "Created", Pod: "b"}, {Reason: "Done"}}}
	}
	w.done()
	if diff := cmp.Diff([]string{"Pod " + key.Namespace + "/a", "Pod " + key.Namespace + "/b", "none"}, pods); diff != "" {
		t.Errorf("pods (-want +got):\n%s", diff)
	}
}

// recorder takes what events are about.
type recorder func(regarding, related runtime.Object)

// Eventf implements Recorder.
func (r recorder) Eventf(regarding, related runtime.Object, _, _, _, _ string, _ ...any) {
	r(regarding, related)
}
