package pod

import (
	"context"
	"testing"
	"time"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
	"kruise.io/kruise/test/integration/apiserver"
)

// BenchmarkStartingAmongFiftyThousandSidecarSets is what a manager takes from its start until there is nothing left to do, among sets
// that no manager has worked on yet, and then among the same, which are as they should be. It reports the seconds until it is ready, until a pod gets
// its sidecar, and until it looked at something for the last time; and its writes. The API server and etcd share the machine.
func BenchmarkStartingAmongFiftyThousandSidecarSets(b *testing.B) {
	const sets = 50_000
	background := context.WithoutCancel(b.Context())
	run := func(only bool) *apiserver.Replica {
		r, err := server.RunWebhooks(background, func(m *manager.Options, _ *serve.Options) { m.WebhooksOnly = only })
		if err != nil {
			b.Fatal(err)
		}
		return r
	}
	stop := func(r *apiserver.Replica) {
		if err := r.Stop(); err != nil {
			b.Fatal(err)
		}
	}
	admission := run(true)
	createSets(b, sets)
	stop(admission)
	b.Cleanup(func() {
		var err error
		for range 20 { // the API server ends a request after a minute, with what is deleted until then
			if err = server.Client.DeleteAllOf(background, &v1beta1.SidecarSet{}); err == nil {
				return
			}
		}
		b.Error(err)
	})
	namespace := server.Namespace(b)
	for _, name := range []string{"new", "at rest"} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				looked, wrote, start := lookedAt(b), writes(b), time.Now()
				r := run(false)
				ready := time.Since(start)
				awaitSelected(b, namespace, numbered(0).Spec.Selector.MatchLabels, sets)
				injected := time.Since(start)
				rest := awaitRest(b, looked, sets).Sub(start)
				wrote = writes(b) - wrote
				awaitStatus(b, sets)
				stop(r)
				b.ReportMetric(0, "ns/op")
				b.ReportMetric(ready.Seconds(), "s-ready")
				b.ReportMetric(injected.Seconds(), "s-injected")
				b.ReportMetric(rest.Seconds(), "s-rest")
				b.ReportMetric(wrote, "writes")
			}
		})
	}
}

// writes are the writes of this process: a manager's, and the few of the benchmark itself.
func writes(b *testing.B) (n float64) {
	b.Helper()
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE"} {
		n += sum(b, "rest_client_requests_total", "method", method)
	}
	return n
}

// awaitStatus checks that the status of each set is about the set as it is.
func awaitStatus(b *testing.B, sets int) {
	b.Helper()
	list := &v1beta1.SidecarSetList{}
	if err := server.Client.List(b.Context(), list); err != nil {
		b.Fatal(err)
	}
	if len(list.Items) != sets {
		b.Errorf("there are %d sets", len(list.Items))
	}
	for i := range list.Items {
		if set := &list.Items[i]; set.Status.ObservedGeneration != set.Generation || set.Status.LatestRevision == "" {
			b.Fatalf("the status of %s is %+v", set.Name, set.Status)
		}
	}
}
