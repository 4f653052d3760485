package images

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/test/integration/apiserver"
)

func TestWithTheGatesOffNewJobsAreRefusedInWordsAndOldOnesCanBeLetGo(t *testing.T) {
	namespace := server.Namespace(t)
	old := newJob(namespace, "old", 1, func(j *v1beta1.ImagePullJob) {
		j.Finalizers = []string{v1beta1.DeletionProtectionFinalizer, "example.org/hold"}
	})
	create(t, old)
	// The managers of the other tests outlive this one.
	if err := pulling(context.WithoutCancel(t.Context()), false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := pulling(context.WithoutCancel(t.Context()), true); err != nil {
			t.Error(err)
		}
	})

	err := server.Client.Create(t.Context(), newJob(namespace, "new", 1))
	if want := "no images are pulled ahead: the feature gates KruiseDaemon and ImagePullJobGate of kruise-manager must be on"; !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("a new job: %v", err)
	}
	if err := server.Client.Delete(t.Context(), old); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the finalizer of the other manager is off, and no other", func() bool {
		get(t, old)
		return len(old.Finalizers) == 1 && old.Finalizers[0] == "example.org/hold"
	})
	if err := server.Client.Patch(t.Context(), old, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	apiserver.Eventually(t, "the job is gone", func() bool {
		return apierrors.IsNotFound(server.Client.Get(t.Context(), client.ObjectKeyFromObject(old), old))
	})
}
