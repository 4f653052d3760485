// Package cloneset proves, on a real API server, what users of CloneSet see before any controller runs: which objects are
// refused and with which words, which defaults are filled in, how the versions convert, what is printed.
package cloneset

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Webhooks())
}

const v1alpha1, v1beta1 = "v1alpha1", "v1beta1"

// demo is the smallest CloneSet that is let in.
func demo() apiserver.Example {
	return apiserver.Example{Kind: "CloneSet", Resource: "clonesets", Text: `
kind: CloneSet
metadata: {name: demo}
spec:
  replicas: 5
  selector: {matchLabels: {app: guestbook}}
  template:
    metadata: {labels: {app: guestbook}}
    spec:
      containers:
      - {name: main, image: demo:1}
`}
}

// object makes a CloneSet of a version in a namespace: demo, changed by a patch.
func object(t *testing.T, version, namespace, patch string) *unstructured.Unstructured {
	t.Helper()
	return demo().Object(t, version, namespace, patch)
}
