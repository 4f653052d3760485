package images

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"kruise.io/kruise/api/apps/v1beta1"
	"kruise.io/kruise/plan/images"
)

// writes counts what the manager writes.
var writes atomic.Int64

// counted counts requests that change something.
type counted struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c counted) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet {
		writes.Add(1)
	}
	return c.next.RoundTrip(r)
}

// BenchmarkJobsOverManyNodes has many nodes pull many images at once, as on the day on which a fleet is prepared. The
// daemons are modelled: each reports at most once in two seconds, and an image takes it one report.
func BenchmarkJobsOverManyNodes(b *testing.B) {
	for _, size := range []struct{ nodes, images int }{{100, 10}, {1000, 50}} {
		b.Run(fmt.Sprintf("nodes=%d/images=%d", size.nodes, size.images), func(b *testing.B) {
			for b.Loop() {
				runFleet(b, size.nodes, size.images)
			}
		})
	}
}

// runFleet makes nodes and jobs, and waits until all jobs are complete.
func runFleet(b *testing.B, nodes, pulls int) {
	b.Helper()
	ctx := b.Context()
	label := map[string]string{"fleet": fmt.Sprintf("%d-%d", nodes, time.Now().UnixNano())}
	side(b, nodes, func(i int) error {
		n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{GenerateName: "fleet-", Labels: label}}
		if err := server.Client.Create(ctx, n); err != nil {
			return err
		}
		before := n.DeepCopy()
		n.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now()}}
		return server.Client.Status().Patch(ctx, n, client.MergeFrom(before))
	})
	list := &v1beta1.NodeImageList{}
	for list.Items = nil; len(list.Items) < nodes; time.Sleep(100 * time.Millisecond) {
		if err := server.Client.List(ctx, list, client.MatchingLabels(label)); err != nil {
			b.Fatal(err)
		}
	}
	reports, stop := model(b, label)
	before, began := writes.Load(), time.Now()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "fleet-"}}
	if err := server.Client.Create(ctx, namespace); err != nil {
		b.Fatal(err)
	}
	for i := range pulls {
		j := &v1beta1.ImagePullJob{ObjectMeta: metav1.ObjectMeta{Namespace: namespace.Name, Name: fmt.Sprintf("pull-%d", i)}}
		j.Spec.Image, j.Spec.Parallelism = fmt.Sprintf("image-%d", i), &intstr.IntOrString{IntVal: int32(nodes)} //nolint:gosec // few
		j.Spec.Selector = &v1beta1.ImagePullJobNodeSelector{LabelSelector: metav1.LabelSelector{MatchLabels: label}}
		if err := server.Client.Create(ctx, j); err != nil {
			b.Fatal(err)
		}
	}
	jobs := &v1beta1.ImagePullJobList{}
	open := func(j v1beta1.ImagePullJob) bool {
		return j.Status.CompletionTime == nil || j.Status.Succeeded != int32(nodes) //nolint:gosec // few
	}
	for jobs.Items = nil; len(jobs.Items) < pulls || slices.ContainsFunc(jobs.Items, open); time.Sleep(200 * time.Millisecond) {
		if err := server.Client.List(ctx, jobs, client.InNamespace(namespace.Name)); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(time.Since(began).Seconds(), "s/fleet")
	b.ReportMetric(float64(writes.Load()-before)/float64(nodes), "manager-writes/node")
	b.ReportMetric(float64(reports.Load())/float64(nodes), "daemon-writes/node")
	stop()
	if err := server.Client.DeleteAllOf(ctx, &v1beta1.ImagePullJob{}, client.InNamespace(namespace.Name)); err != nil {
		b.Fatal(err)
	}
	if err := server.Client.DeleteAllOf(ctx, &corev1.Node{}, client.MatchingLabels(label)); err != nil {
		b.Fatal(err)
	}
}

// side calls do for 0 to n-1, sixteen at a time.
func side(b *testing.B, n int, do func(int) error) {
	b.Helper()
	var group sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range n {
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			if err := do(i); err != nil {
				b.Error(err)
			}
		})
	}
	group.Wait()
}

// model plays the daemons of the nodes with a label, and counts what they write.
func model(b *testing.B, label map[string]string) (reports *atomic.Int64, stop func()) {
	b.Helper()
	watch, err := server.Client.Watch(b.Context(), &v1beta1.NodeImageList{}, client.MatchingLabels(label))
	if err != nil {
		b.Fatal(err)
	}
	reports = &atomic.Int64{}
	var mu sync.Mutex
	waiting := map[string]bool{}
	report := func(name string) {
		mu.Lock()
		waiting[name] = false
		mu.Unlock()
		image := &v1beta1.NodeImage{}
		if server.Client.Get(b.Context(), client.ObjectKey{Name: name}, image) != nil {
			return
		}
		before := image.DeepCopy()
		now := metav1.Now()
		for name, spec := range image.Spec.Images {
			for _, task := range spec.Tags {
				images.SetStatus(&image.Status, name, v1beta1.ImageTagStatus{Tag: task.Tag, Version: task.Version, Phase: v1beta1.ImagePhaseSucceeded, CompletionTime: &now})
			}
		}
		images.Count(&image.Status, &image.Spec)
		if server.Client.Status().Patch(b.Context(), image, client.MergeFrom(before)) == nil {
			reports.Add(1)
		}
	}
	go func() {
		for e := range watch.ResultChan() {
			image, ok := e.Object.(*v1beta1.NodeImage)
			if !ok || image.Status.Succeeded == int32(len(image.Spec.Images)) { //nolint:gosec // few
				continue
			}
			mu.Lock()
			if !waiting[image.Name] {
				waiting[image.Name] = true
				time.AfterFunc(2*time.Second, func() { report(image.Name) })
			}
			mu.Unlock()
		}
	}()
	return reports, watch.Stop
}
