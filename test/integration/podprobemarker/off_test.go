package podprobemarker

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1alpha1"
)

func TestWithTheGateOffNewMarkersAreRefusedInWordsAndOldOnesCanBeLetGo(t *testing.T) {
	namespace := server.Namespace(t)
	old := marker(t, namespace, selecting(probe+"}"))
	old.SetFinalizers([]string{v1alpha1.PodProbeMarkerFinalizer, "example.org/hold"})
	create(t, old)
	// The managers of the other tests outlive this one.
	if err := probing(context.WithoutCancel(t.Context()), false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := probing(context.WithoutCancel(t.Context()), true); err != nil {
			t.Error(err)
		}
	})

	err := server.Client.Create(t.Context(), marker(t, server.Namespace(t), selecting(probe+"}")))
	if want := "no pods are probed: the feature gates KruiseDaemon and PodProbeMarkerGate of kruise-manager must be on"; !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("a new marker: %v", err)
	}
	change := func(body string) {
		t.Helper()
		if err := server.Client.Patch(t.Context(), old, client.RawPatch(types.MergePatchType, []byte(body))); err != nil {
			t.Fatalf("an update that leaves the spec alone: %v", err)
		}
	}
	change(`{"metadata":{"labels":{"a":"b"}}}`)
	change(`{"metadata":{"finalizers":["` + v1alpha1.PodProbeMarkerFinalizer + `"]}}`)
	if err := server.Client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old marker is gone", func() bool { return !read(t, old) })
}
