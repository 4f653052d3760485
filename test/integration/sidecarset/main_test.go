// Package sidecarset proves, on a real API server, what users of SidecarSet see before any controller runs: which objects are
// refused and with which words, which defaults are filled in, how the versions convert, what is printed, and what pods carry.
package sidecarset

import (
	"context"
	"strings"
	"testing"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Webhooks())
}

const v1alpha1, v1beta1 = "v1alpha1", "v1beta1"

// demo is a small SidecarSet that is let in.
func demo() apiserver.Example {
	return apiserver.Example{Kind: "SidecarSet", Resource: "sidecarsets", Cluster: true, Text: `
kind: SidecarSet
metadata: {name: demo}
spec:
  selector: {matchLabels: {app: web}}
  containers:
  - {name: log, image: "log:1"}
`}
}

// unheard is in the answers of an API server that has not heard of the webhook's new CA yet.
const unheard = "certificate signed by unknown authority"

// create makes an object that goes with the test. The webhook may still see one that an earlier test deleted.
func create(t *testing.T, object client.Object) {
	t.Helper()
	apiserver.Eventually(t, "creation of "+object.GetName(), func() bool {
		err := server.Client.Create(t.Context(), object)
		if err != nil && !strings.Contains(err.Error(), "for pods that both can match") && !strings.Contains(err.Error(), unheard) {
			t.Fatal(err)
		}
		return err == nil
	})
	t.Cleanup(func() {
		if err := server.Client.Delete(context.WithoutCancel(t.Context()), object); err != nil {
			t.Error(err)
		}
	})
}
