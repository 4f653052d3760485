package controller

import (
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
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

// leaveOne writes the objects of a file, and looks how the CloneSet is stored.
func leaveOne(t *testing.T, file, namespace string) {
	t.Helper()
	server.Leave(t, file, namespace)
	stored, err := server.StoredAs(t.Context(), ourGroup, setsResource, client.ObjectKey{Namespace: namespace, Name: web})
	if err != nil || stored != ourGroup+"/v1alpha1" {
		t.Fatalf("%s: the CloneSet is stored as %s: %v", file, stored, err)
	}
}
