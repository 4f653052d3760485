package pod

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/kit/serve"
	"kruise.io/kruise/manager"
)

// BenchmarkCreatingAPod is what a user waits for a pod to be created, among so many SidecarSets. Each set is about one value of
// the label app, so many of them can only be told from the rest of the cluster by that label's key:
//
//   - selected: one set is about the pod, which gets its sidecar;
//   - asked about: the pod has the label, with a value of no set;
//   - left alone: the pod has no such label.
//
// It reports the median and the 99th percentile. The manager, the API server and etcd share the machine.
func BenchmarkCreatingAPod(b *testing.B) {
	kinds := []struct {
		name   string
		labels map[string]string
	}{{"selected", map[string]string{"app": "app-0"}}, {"asked about", map[string]string{"app": "other"}}, {"left alone", map[string]string{"web": "x"}}}
	for _, sets := range []int{-1, 0, 1, 100, 10_000} {
		name := fmt.Sprintf("%d sets", sets)
		if sets < 0 {
			name = "no webhook"
		}
		b.Run(name, func(b *testing.B) {
			among(b, sets)
			namespace := server.Namespace(b)
			for _, kind := range kinds {
				if kind.name == "selected" {
					awaitSelected(b, namespace, kind.labels, sets)
				}
				b.Run(kind.name, func(b *testing.B) { createPods(b, namespace, kind.labels) })
			}
		})
	}
}

// among runs a manager, without admission of pods if sets is less than 0, makes so many sets, and waits until the manager is done with
// them.
func among(b *testing.B, sets int) {
	b.Helper()
	background := context.WithoutCancel(b.Context())
	r, err := server.RunWebhooks(background, func(m *manager.Options, _ *serve.Options) { m.WebhooksOnly, m.Pod.Enabled = false, sets >= 0 })
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := server.Client.DeleteAllOf(background, &v1beta1.SidecarSet{}); err != nil {
			b.Error(err)
		}
		if err := r.Stop(); err != nil {
			b.Error(err)
		}
	})
	looked := lookedAt(b)
	createSets(b, max(sets, 0))
	awaitRest(b, looked, float64(max(sets, 0)))
}

// createSets creates so many sets.
func createSets(b *testing.B, sets int) {
	b.Helper()
	next := make(chan int)
	var writers sync.WaitGroup
	for range 8 {
		writers.Go(func() {
			for i := range next {
				if err := server.Client.Create(b.Context(), numbered(i)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for i := range sets {
		next <- i
	}
	close(next)
	writers.Wait()
}

func numbered(i int) *v1beta1.SidecarSet {
	set := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set-", i)}}
	set.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("app-", i)}}
	set.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "log", Image: "log:1"}}}
	return set
}

func labelled(namespace string, labels map[string]string) *corev1.Pod {
	p := plain(namespace)
	p.Labels = labels
	return p
}

// awaitSelected waits until a pod of the first set gets its sidecar, where there is one, and of the last, too.
func awaitSelected(b *testing.B, namespace string, labels map[string]string, sets int) {
	b.Helper()
	for _, wanted := range []map[string]string{labels, {"app": fmt.Sprint("app-", sets-1)}} {
		var last string
		err := wait.PollUntilContextTimeout(b.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
			p := labelled(namespace, wanted)
			err := server.Client.Create(ctx, p, client.DryRunAll)
			last = fmt.Sprint(containers(p), err)
			return err == nil && strings.HasPrefix(containers(p), "log") == (sets > 0), nil
		})
		if err != nil {
			b.Fatalf("a pod with %v does not become what it is to be: %v; last seen: %s", wanted, err, last)
		}
	}
}

func createPods(b *testing.B, namespace string, labels map[string]string) {
	b.Helper()
	var took []time.Duration
	for b.Loop() {
		begun := time.Now()
		if err := server.Client.Create(b.Context(), labelled(namespace, labels)); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	b.ReportMetric(0, "ns/op") // the mean says little of what users wait
	for name, share := range map[string]int{"p50-ms": 50, "p99-ms": 99} {
		b.ReportMetric(float64(took[(len(took)-1)*share/100].Microseconds())/1000, name)
	}
}
