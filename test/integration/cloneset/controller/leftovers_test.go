package controller

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/builder"
)

const (
	ourGroup     = "apps.kruise.io"
	setsResource = "clonesets"
)

// leave writes what an older manager left of each situation into a namespace of its own, as it was stored then: CloneSets
// as v1alpha1. It returns the namespaces by the name of the file.
func leave(t *testing.T) map[string]string {
	t.Helper()
	probe := builder.CloneSet("probe").Namespace(server.Namespace(t)).Object()
	if err := server.Client.Create(t.Context(), probe); err != nil {
		t.Fatal(err)
	}
	// The API server looks whether there is room on the node of a pod before it lets the pod be resized.
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "node"}}
	node.Status.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("100"), corev1.ResourceMemory: resource.MustParse("100Gi")}
	if err := server.Client.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	server.StoreAs(t, setsResource+"."+ourGroup, "v1alpha1")
	server.AwaitStorage(t, ourGroup, setsResource, probe, ourGroup+"/v1alpha1")
	files, err := filepath.Glob("testdata/takeover/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no situations: %v", err)
	}
	out := map[string]string{}
	for _, file := range files {
		namespace := server.Namespace(t)
		leaveOne(t, file, namespace)
		out[filepath.Base(file)] = namespace
	}
	server.StoreAs(t, setsResource+"."+ourGroup, "v1beta1")
	server.AwaitStorage(t, ourGroup, setsResource, probe, ourGroup+"/v1beta1")
	return out
}

// leaveOne writes the objects of a file, and their status. Owners are found by kind and name.
func leaveOne(t *testing.T, file, namespace string) {
	t.Helper()
	stream, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	decoder := yaml.NewYAMLOrJSONDecoder(stream, 4096)
	uids := map[string]types.UID{}
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		object.SetNamespace(namespace)
		owners := object.GetOwnerReferences()
		for i := range owners {
			owners[i].UID = uids[owners[i].Kind+"/"+owners[i].Name]
		}
		object.SetOwnerReferences(owners)
		status := object.Object["status"]
		if err := server.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("%s: create %s %s: %v", file, object.GetKind(), object.GetName(), err)
		}
		if status != nil {
			object.Object["status"] = status
			if err := server.Client.Status().Update(t.Context(), object); err != nil {
				t.Fatalf("%s: status of %s %s: %v", file, object.GetKind(), object.GetName(), err)
			}
		}
		uids[object.GetKind()+"/"+object.GetName()] = object.GetUID()
	}
	stored, err := server.StoredAs(t.Context(), ourGroup, setsResource, client.ObjectKey{Namespace: namespace, Name: web})
	if err != nil || stored != ourGroup+"/v1alpha1" {
		t.Fatalf("%s: the CloneSet is stored as %s: %v", file, stored, err)
	}
}
