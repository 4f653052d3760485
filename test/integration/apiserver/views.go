package apiserver

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// CheckScale reads the subresource scale of an object, as an autoscaler does, which is to show so many pods wanted and there, and their
// selector. Then it writes another number, which spec.replicas is to have.
func (s *Server) CheckScale(t *testing.T, object client.Object, wanted, there int32, selector string, to int32) {
	t.Helper()
	scale := &autoscalingv1.Scale{}
	if err := s.Client.SubResource("scale").Get(t.Context(), object, scale); err != nil {
		t.Fatal(err)
	}
	want := autoscalingv1.Scale{
		Spec: autoscalingv1.ScaleSpec{Replicas: wanted}, Status: autoscalingv1.ScaleStatus{Replicas: there, Selector: selector},
	}
	if diff := cmp.Diff(want, autoscalingv1.Scale{Spec: scale.Spec, Status: scale.Status}); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	scale.Spec.Replicas = to
	if err := s.Client.SubResource("scale").Update(t.Context(), object, client.WithSubResourceBody(scale)); err != nil {
		t.Fatal(err)
	}
	if err := s.Client.Get(t.Context(), client.ObjectKeyFromObject(object), object); err != nil {
		t.Fatal(err)
	}
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		t.Fatal(err)
	}
	if got, _, err := unstructured.NestedInt64(fields, "spec", "replicas"); err != nil || got != int64(to) {
		t.Errorf("spec.replicas is %d, want %d (%v)", got, to, err)
	}
}

// ShortNames are the short names of a resource and of its subresources in a version of our group.
func (s *Server) ShortNames(t *testing.T, version, resource string) map[string][]string {
	t.Helper()
	found, err := discovery.NewDiscoveryClientForConfig(s.Config)
	if err != nil {
		t.Fatal(err)
	}
	resources, err := found.ServerResourcesForGroupVersion("apps.kruise.io/" + version)
	if err != nil {
		t.Fatal(err)
	}
	names := map[string][]string{}
	for _, r := range resources.APIResources {
		if strings.HasPrefix(r.Name, resource) {
			names[r.Name] = r.ShortNames
		}
	}
	return names
}
