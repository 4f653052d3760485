// Package daemonset proves, on a real API server, what users of DaemonSet see before any controller runs: which objects are
// refused and with which words, which defaults are filled in, how the versions convert, what is printed.
package daemonset

import (
	"testing"

	"kruise.io/kruise/test/integration/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	apiserver.Main(m, &server, apiserver.Webhooks())
}

const v1alpha1, v1beta1 = "v1alpha1", "v1beta1"

// demo is the smallest DaemonSet that is let in.
func demo() apiserver.Example {
	return apiserver.Example{Kind: "DaemonSet", Resource: "daemonsets", Text: `
kind: DaemonSet
metadata: {name: demo}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      containers:
      - {name: main, image: agent:1}
`}
}
