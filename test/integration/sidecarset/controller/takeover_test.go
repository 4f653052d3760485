package controller

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
)

// leave stores what an older manager left, and lets the cluster start the pods.
func leave(t *testing.T, file string) *world {
	t.Helper()
	w := emptyWorld(t)
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
			break
		} else if err != nil {
			t.Fatal(err)
		}
		w.store(object, &owner)
	}
	for w.Cluster() {
	}
	return w
}

// store creates an object as it was left. The first one is the owner of what has one.
func (w *world) store(object *unstructured.Unstructured, owner **unstructured.Unstructured) {
	w.Helper()
	status := object.Object["status"]
	if *owner == nil {
		*owner = object
		w.Cleanup(func() {
			if err := client.IgnoreNotFound(w.API.Delete(context.Background(), object)); err != nil {
				w.Error(err)
			}
		})
	} else {
		object.SetNamespace(w.Namespace)
	}
	if refs := object.GetOwnerReferences(); len(refs) > 0 {
		refs[0].UID = (*owner).GetUID()
		object.SetOwnerReferences(refs)
	}
	if err := w.API.Create(w.Context(), object); err != nil {
		w.Fatalf("create %s %s: %v", object.GetKind(), object.GetName(), err)
	}
	if status == nil {
		return
	}
	object.Object["status"] = status
	if err := w.API.Status().Update(w.Context(), object); err != nil {
		w.Fatalf("status of %s: %v", object.GetName(), err)
	}
}

// versions are the resource versions of what must not be written at rest.
func (w *world) versions() map[string]string {
	w.Helper()
	out := map[string]string{}
	for _, pod := range w.Pods() {
		out[pod.Name] = pod.ResourceVersion
	}
	for _, r := range w.revisions() {
		out[r.Name] = r.ResourceVersion
	}
	return out
}

func TestAtRestWhatAnOlderManagerLeftIsNotWritten(t *testing.T) {
	w := leave(t, "at-rest.yaml")
	before := w.versions()
	for range 3 {
		if err := w.Reconcile(w.key); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(before, w.versions()); diff != "" {
		t.Errorf("pods and revisions (-before +after):\n%s", diff)
	}
	for _, write := range w.Writes() {
		if write.Resource != "sidecarsets/status" {
			t.Errorf("it wrote %v", write)
		}
	}
	w.wantStatus("taken over", "2 2 2 2")
	if got, want := w.set(w.key.Name).Status.LatestRevision, w.key.Name+"-7b5c9d4d8"; got != want {
		t.Errorf("the latest revision is %s, want %s as before", got, want)
	}
}

func TestPodsThatAnOlderManagerInjectedAreUpgradedInPlace(t *testing.T) {
	w := leave(t, "at-rest.yaml")
	w.image("proxy:2")
	w.rest()
	w.wantImages("upgraded", "a proxy:2 main:1, b proxy:2 main:1")
	w.wantStatus("upgraded", "2 2 2 2")
	w.untouched()
}

func TestAHotUpgradeThatAnOlderManagerBeganIsFinished(t *testing.T) {
	w := leave(t, "in-a-hot-upgrade.yaml")
	w.rest()
	w.wantImages("finished", "a idle:1 proxy:2 main:1")
	pod := w.Pod("a")
	for key, want := range map[string]string{
		v1beta1.SidecarSetVersionKeyPrefix + "proxy-1": "0", v1beta1.SidecarSetVersionKeyPrefix + "proxy-2": "2",
		v1beta1.SidecarSetWorkingHotUpgradeContainerKey: `{"proxy":"proxy-2"}`,
	} {
		if got := pod.Annotations[key]; got != want {
			t.Errorf("annotation %s is %q, want %q", key, got, want)
		}
	}
	w.wantStatus("finished", "1 1 1 1")
	w.untouched()
}
