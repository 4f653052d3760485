package controller

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/manager/daemonset"
)

// leave stores what an older manager left, with its status, and with nodes a, b and c.
func leave(t *testing.T, file string) *world {
	t.Helper()
	t.Parallel()
	w := worldIn(t, server.Namespace(t), daemonset.Options{})
	for _, name := range []string{"a", "b", "c"} {
		w.addNode(name)
	}
	text, err := os.ReadFile(filepath.Join("testdata", "takeover", file))
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("WORLD"), []byte(w.Namespace))
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 1024)
	var owner *unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return w
		} else if err != nil {
			t.Fatal(err)
		}
		object.SetNamespace(w.Namespace)
		status := object.Object["status"]
		if owner == nil {
			owner = object
		} else {
			refs := object.GetOwnerReferences()
			refs[0].UID = owner.GetUID()
			object.SetOwnerReferences(refs)
		}
		w.Create(object)
		if status == nil {
			continue
		}
		object.Object["status"] = status
		if err := w.API.Status().Update(t.Context(), object); err != nil {
			t.Fatalf("status of %s: %v", object.GetName(), err)
		}
	}
}

// versions are the resource versions of what must not be written at rest.
func (w *world) versions() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, pod := range w.Pods() {
		out[pod.Name] = pod.ResourceVersion
	}
	for name, r := range w.revisionsByName() {
		out[name] = r.ResourceVersion
	}
	return out
}

func (w *world) revisionsByName() map[string]appsv1.ControllerRevision {
	w.Helper()
	list := &appsv1.ControllerRevisionList{}
	if err := w.API.List(w.Context(), list, client.InNamespace(w.Namespace)); err != nil {
		w.Fatal(err)
	}
	out := map[string]appsv1.ControllerRevision{}
	for _, r := range list.Items {
		out[r.Name] = r
	}
	return out
}

func TestAtRestWhatAnOlderManagerLeftIsNotWritten(t *testing.T) {
	for name, file := range map[string]string{
		"pods that are recreated":        "at-rest.yaml",
		"pods that are updated in place": "at-rest-in-place.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			w := leave(t, file)
			before, set := w.versions(), w.Object()
			for range 3 {
				if err := w.Reconcile(w.Key); err != nil {
					t.Fatal(err)
				}
			}
			if diff := cmp.Diff(before, w.versions()); diff != "" {
				t.Errorf("pods and revisions (-before +after):\n%s", diff)
			}
			for _, write := range w.Writes() {
				if write.Resource != "daemonsets/status" {
					t.Errorf("it wrote %v", write)
				}
			}
			if diff := cmp.Diff(set.Status, w.Object().Status, cmpopts.IgnoreFields(v1beta1.DaemonSetStatus{}, "Conditions")); diff != "" {
				t.Errorf("status (-before +after):\n%s", diff)
			}
		})
	}
}

func TestAnUpdateInPlaceGoesOnWithThePodsOfAnOlderManager(t *testing.T) {
	w := leave(t, "at-rest-in-place.yaml")
	w.image("a:3")
	w.Finish()
	w.wantPlaced("updated", "a a:3, b a:3, c a:3")
	for _, name := range []string{"agent-aaaaa", "agent-bbbbb", "agent-ccccc"} {
		if pod := w.Pod(name); pod.Status.Phase != corev1.PodRunning {
			t.Errorf("pod %s is %s", name, pod.Status.Phase)
		}
	}
}

func TestARolloutWithSurgeThatAnOlderManagerBeganIsFinished(t *testing.T) {
	w := leave(t, "in-a-surge.yaml")
	w.Finish()
	w.wantPlaced("finished", "a a:2, b a:2, c a:2")
	if pod := w.Pod("agent-ddddd"); pod.Spec.NodeName != w.node("c") {
		t.Errorf("the new pod of node c is on %s", pod.Spec.NodeName)
	}
	w.wantCounts("finished", "3 3 3 3 3 0")
}
