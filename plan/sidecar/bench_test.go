package sidecar

import (
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kruise.io/kruise/api/apps/v1beta1"
)

// BenchmarkAPodAmongSets is what a pod's creation costs the manager, with so many sets of which one is about the pod.
func BenchmarkAPodAmongSets(b *testing.B) {
	for _, sets := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprint(sets), func(b *testing.B) {
			var x Index
			for i := range sets {
				s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set-", i)}}
				s.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"team": "all", "app": fmt.Sprint("app-", i)}}
				s.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: "log", Image: "log:1"}}}
				if err := Stamp(s, nil); err != nil {
					b.Fatal(err)
				}
				x.Put(s)
			}
			namespace := map[string]string{corev1.LabelMetadataName: "shop", "team": "a"}
			b.ReportAllocs()
			for b.Loop() {
				pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"team": "all", "app": "app-0", "pod-template-hash": "abc", "zone": "z"}}}
				pod.Spec.Containers = []corev1.Container{{Name: "main"}}
				if problems := Inject(pod, injections(Chosen(x.Matching(namespace, pod.Labels))...), Options{Now: now}); len(problems) > 0 || len(pod.Spec.Containers) != 2 {
					b.Fatal(problems, len(pod.Spec.Containers))
				}
			}
		})
	}
}

// BenchmarkASetAmongSets is what it costs to compare a set that is written with all others, which have so many names for their sidecars.
func BenchmarkASetAmongSets(b *testing.B) {
	for _, names := range []int{100, 1} {
		b.Run(fmt.Sprint(names), func(b *testing.B) {
			others := make([]*v1beta1.SidecarSet, 50_000)
			for i := range others {
				s := &v1beta1.SidecarSet{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprint("set-", i)}}
				s.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint("app-", i)}}
				s.Spec.Containers = []v1beta1.SidecarContainer{{Container: corev1.Container{Name: fmt.Sprint("log-", i%names), Image: "log:1"}}}
				others[i] = s
			}
			for b.Loop() {
				if errs := Conflicts(others[7], others); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}
