// Package statefulset proves, on a real API server, what users of StatefulSet see before any controller runs: which objects
// are refused and with which words, which defaults are filled in, that both versions say the same, what is printed.
package statefulset

import (
	"context"
	"testing"

	storagev1 "k8s.io/api/storage/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

// The gates are as by default, but for the one without which claims never grow.
func TestMain(m *testing.M) {
	apiserver.Main(m, &server, makeClasses, apiserver.Manager(func(o *manager.Options, _ *serve.Options) {
		o.Workloads.AutoDeleteClaims, o.Workloads.ResizeClaims = true, true
	}))
}

// makeClasses makes two StorageClasses: one whose volumes can grow, one whose volumes cannot.
func makeClasses(ctx context.Context, s *apiserver.Server) error {
	for name, grows := range map[string]bool{"growing": true, "fixed": false} {
		class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Provisioner: "example.com/disk", AllowVolumeExpansion: &grows}
		if err := s.Client.Create(ctx, class); err != nil {
			return err
		}
	}
	return nil
}

const v1alpha1, v1beta1 = "v1alpha1", "v1beta1"

// demo is the smallest StatefulSet that is let in.
func demo() apiserver.Example {
	return apiserver.Example{Kind: "StatefulSet", Resource: "statefulsets", Text: `
kind: StatefulSet
metadata: {name: demo}
spec:
  replicas: 3
  serviceName: demo
  selector: {matchLabels: {app: guestbook}}
  template:
    metadata: {labels: {app: guestbook}}
    spec:
      containers:
      - {name: main, image: demo:1}
`}
}

// gate is a template whose pods can be changed in place.
const gate = `template: {spec: {readinessGates: [{conditionType: InPlaceUpdateReady}]}}`

// object makes a StatefulSet of a version in a namespace: demo, changed by a patch.
func object(t *testing.T, version, namespace, patch string) *unstructured.Unstructured {
	t.Helper()
	return demo().Object(t, version, namespace, patch)
}
